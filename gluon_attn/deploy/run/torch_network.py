"""The PyTorch module of a Gluon network, whose errors say which operator they are of."""

from __future__ import annotations

import traceback
from contextlib import contextmanager

import torch
from torch import fx

from gluon_attn.errors import GluonAttnError

_GENERATED = "eval_with_key"  # in the file name that torch.fx gives to the code it writes


class GluonNetwork(fx.GraphModule):
    """A torch.fx.GraphModule; `places` is {name of a node there: (operator, its name in the Gluon graph)}."""

    places: dict = {}

    def __call__(self, *inputs, **named):
        if torch.compiler.is_compiling():
            return super().__call__(*inputs, **named)
        try:
            return super().__call__(*inputs, **named)
        except Exception as problem:
            _say_where(problem, self._place_of(problem))
            raise

    def _place_of(self, problem):
        """(operator, name) of the line in the generated code that the problem went through, or None."""
        for frame in traceback.extract_tb(problem.__traceback__):
            if _GENERATED in frame.filename:
                return self.places.get((frame.line or "").split(" = ")[0])
        return None

    def __deepcopy__(self, memo):
        other = super().__deepcopy__(memo)
        other.places = self.places
        return other

    def __reduce__(self):
        return _restored, (*super().__reduce__(), [self.places.get(name) for name in _calls(self.graph)])


def _restored(make, arguments, places):
    """A pickled network is traced anew: its nodes have other names, in the same order."""
    module = make(*arguments)
    network = GluonNetwork(module, module.graph, class_name=GluonNetwork.__name__).train(module.training)
    network.places = {name: place for name, place in zip(_calls(network.graph), places) if place}
    return network


def _calls(graph):
    return [node.name for node in graph.nodes if node.op in ("call_function", "call_module")]


@contextmanager
def named(node):
    """Errors within say the Node's operator and name."""
    try:
        yield
    except Exception as problem:
        place = (node.operator, node.name)
        _say_where(problem, place)
        if isinstance(problem, GluonAttnError):
            raise
        raise GluonAttnError(str(problem)) from problem


def _say_where(problem, place):
    """Put the place before the text. The type stays: what runs out of memory can still be told from what is wrong."""
    if place is None:
        return
    operator, name = place
    text = str(problem.args[0]) if problem.args else type(problem).__name__
    problem.args = (f"{operator} at {name!r}: {text}", *problem.args[1:])
