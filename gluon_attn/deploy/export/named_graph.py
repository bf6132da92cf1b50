"""Any hybridizable Gluon network as a graph whose parameters are named as in its files. Needs MXNet alone."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Dict, List

import mxnet as mx
import numpy as np

from gluon_attn import cpu
from gluon_attn.deploy.run.mxnet_engine import INPUT
from gluon_attn.deploy.run.symbol_json import Graph, read_graph
from gluon_attn.errors import GluonAttnError
from gluon_attn.tracing import plain_graph


def named_graph(net, inputs=None):
    """(Graph, {name: numpy array}, function from the list of the graph's outputs to what the network gives).

    The names are those of `net.save_parameters`. It is the graph of inference: nothing in it that only training on a
    CPU needs.
    """
    if not isinstance(net, mx.gluon.HybridBlock):
        raise GluonAttnError(
            f"{type(net).__name__} is no HybridBlock, and so has no graph: derive it from gluon.HybridBlock, with its "
            "forward in hybrid_forward(F, x)."
        )
    names = _names(net)
    arrays = _arrays(net, names)
    outputs = _traced(net, inputs)
    flat = list(_flat(outputs))
    graph = read_graph(mx.sym.Group(flat).tojson(), type(net).__name__)
    fixed = _fixed(net)
    nodes = [_renamed(node, names, fixed) if node.is_variable else node for node in graph.nodes]
    return Graph(nodes, graph.outputs), arrays, lambda results: _like(outputs, iter(results))


def _names(net) -> Dict[str, str]:
    """{name in the graph: name in files}; of a shared parameter's names the first."""
    names = {}
    for path, parameter in net._collect_params_with_prefix().items():
        names.setdefault(parameter.name, path)
    for name in net.collect_params():
        names.setdefault(name, name)
    return names


def _fixed(net):
    """Names in files of what grad_req='null', or lr_mult=0, keeps from training."""
    names, parameters = _names(net), net.collect_params().items()
    return {names[name] for name, parameter in parameters if parameter.grad_req == "null" or not parameter.lr_mult}


def _arrays(net, names) -> Dict[str, np.ndarray]:
    cpu.finish_relaying()
    arrays = {}
    for name, parameter in net.collect_params().items():
        if parameter._data is None:
            raise GluonAttnError(
                f"{name} has no values: load weights, or call net.initialize() (and net(x) once, where shapes are "
                "deferred), before converting."
            )
        arrays[names[name]] = parameter.data(parameter.list_ctx()[0]).asnumpy()
    return arrays


def _renamed(node, names, fixed):
    name = names.get(node.name, node.name)
    return replace(node, name=name, notes={**node.notes, "__grad_req__": "null"} if name in fixed else node.notes)


def _traced(net, inputs):
    variables = [mx.sym.Variable(name) for name in _input_names(net, inputs)]
    try:
        with plain_graph(net):
            return net(*variables)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as problem:
        raise GluonAttnError(
            f"{type(net).__name__} cannot be traced with {len(variables)} input(s) ({problem}): a hybridizable network "
            "computes with F alone, whatever the shape. Say inputs= where it takes another number."
        ) from problem


def _input_names(net, count) -> List[str]:
    if isinstance(net, mx.gluon.SymbolBlock):
        return [symbol.name for symbol in net._cached_graph[0]]
    kind, block = type(net), mx.gluon.HybridBlock
    overridden = [method for method in ("__call__", "forward") if getattr(kind, method) is not getattr(block, method)]
    method = getattr(kind, overridden[0]) if overridden else kind.hybrid_forward
    parameters = list(inspect.signature(method).parameters.values())[1 if overridden else 2 :]
    demanded = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    demanded = [name for name in demanded if name not in net._reg_params]
    count = len(demanded) if count is None else count
    return [INPUT] if count == 1 else [*demanded, *(f"{INPUT}{i}" for i in range(len(demanded), count))][:count]


def _flat(outputs):
    if not isinstance(outputs, (list, tuple)):
        yield outputs
    else:
        for output in outputs:
            yield from _flat(output)


def _like(outputs, results):
    """The results, in the structure of the traced outputs; an operator's several outputs are a list, as in Gluon."""
    if isinstance(outputs, (list, tuple)):
        return type(outputs)([_like(output, results) for output in outputs])
    count = len(outputs.list_outputs())
    return next(results) if count == 1 else [next(results) for _ in range(count)]
