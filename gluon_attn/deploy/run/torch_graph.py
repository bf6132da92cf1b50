"""A graph of MXNet's operators as a PyTorch module, which runs and trains. Neither MXNet nor GluonCV is needed.

The module is a torch.fx.GraphModule: `print(net.code)` shows the network as Python, one line an operator.
"""

from __future__ import annotations

import itertools
import re
from typing import Optional, Sequence

import numpy as np
import torch
from torch import fx, nn

from gluon_attn.deploy.run.symbol_json import Graph, Node, read_graph
from gluon_attn.deploy.run.torch_file import read_pair
from gluon_attn.deploy.run.torch_network import GluonNetwork, named
from gluon_attn.deploy.run.torch_operators import operator_of
from gluon_attn.errors import GluonAttnError, WeightsError
from gluon_attn.files import AnyPath
from gluon_attn.weights.files import read_arrays, read_file

_CONSTANTS, _STATEFUL = "constants", "operators"  # submodules for what has no name in Gluon
_SHOWN = 6


def load_torch(symbol_json: AnyPath, params: Optional[AnyPath] = None) -> nn.Module:
    """The network in MXNet's pair of files `net-symbol.json` and `net-0000.params`, as a PyTorch module in eval mode.

    Or that in one file `net.safetensors` of `gluon-attn export --format torch`, given alone; `module.metadata` is then
    its card. Parameters and running statistics keep their names in the file; floating-point values become float32.
    Needs torch and numpy only: the graph is JSON, and the weights are read by our own reader, never unpickled.

    >>> net = load_torch("net-symbol.json", "net-0000.params")
    >>> logits = net(images)
    """
    if params is None:
        graph, arrays, metadata = read_pair(symbol_json)
        module = build(graph, arrays, str(symbol_json), unused=True)
        module.metadata = metadata
        return module
    data = read_file(symbol_json)
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise GluonAttnError(f"{symbol_json} is no MXNet graph: it is not text.") from None
    return build(read_graph(text, symbol_json), read_arrays(read_file(params), params), str(params))


def build(graph: Graph, arrays, where="the weights", outputs=None, unused=False) -> GluonNetwork:
    """The module of a Graph with {variable: array}; variables without an array are the inputs, in the graph's order.

    where : named in errors
    outputs : makes the module's result of the list of the graph's outputs; by default the only one, or a tuple
    unused : keep arrays that are not in the graph; otherwise they are an error
    """
    inputs = _inputs(graph, arrays, where)
    names = {node.name for node in graph.nodes if node.is_variable}
    extra = [name for name in arrays if name not in names]
    if extra and not unused:
        raise WeightsError(f"{where} holds what the graph does not use: {_some(extra)}. Is it of another network?")
    builder = _Builder(graph, arrays, inputs)
    results = builder.run()
    given = outputs(results) if outputs else (results[0] if len(results) == 1 else tuple(results))
    builder.traced.output(given)
    module = GluonNetwork(builder.root, builder.traced, class_name="GluonNetwork").eval()
    module.places = builder.places
    for name in extra:
        store(module, name, arrays[name], statistic=name.endswith(("running_mean", "running_var")))
    return module


class _Builder:
    """One pass over the nodes: `values` holds what each of them gives, as nodes of the traced graph."""

    def __init__(self, graph, arrays, inputs):
        self.graph, self.arrays, self.inputs = graph, arrays, inputs
        self.root, self.traced, self.values, self.places = nn.Module(), fx.Graph(), {}, {}
        self.paths = set()  # of what has no name in Gluon
        self.statistics, self.fixed = _roles(graph)

    def run(self):
        for index, node in enumerate(self.graph.nodes):
            if not node.is_variable:
                self.values[index] = self.computed(node)
            elif node.name in self.inputs:
                self.values[index] = self.traced.placeholder(_identifier(node.name))
            elif node.name in self.arrays:
                self.values[index] = self.stored(node)
        return [self.value(entry) for entry in self.graph.outputs]

    def value(self, entry):
        source, output = entry
        value = self.values[source]
        if isinstance(value, tuple):
            return self.traced.call_function(_item, (value[0], output))
        if output:
            raise GluonAttnError(
                f"The graph uses output {output} of {self.graph.nodes[source].operator} "
                f"{self.graph.nodes[source].name!r}, of which the PyTorch engine knows the first alone."
            )
        return value

    def stored(self, node):
        array, one = self.arrays[node.name], node.name in self.fixed
        array = np.ones_like(array) if one else array  # MXNet writes them so, too, when it runs
        store(self.root, node.name, array, not one and not is_constant(node), node.name in self.statistics)
        return self.traced.get_attr(node.name)

    def computed(self, node):
        operator, attributes = operator_of(node)
        known = [entry for entry in node.inputs if entry[0] in self.values]
        arguments = tuple(self.value(entry) for entry in known)
        if isinstance(operator, type):
            path = self.free(f"{_STATEFUL}.{_identifier(node.name)}")
            with named(node):
                place(self.root, path, operator(**attributes))
            result = self.traced.create_node("call_module", path, arguments, name=_identifier(node.name))
        elif not arguments:
            path = self.free(f"{_CONSTANTS}.{_identifier(node.name)}")
            with named(node):
                place(self.root, path, operator(**attributes), persistent=False)
            return self.traced.get_attr(path)
        else:
            name = _identifier(node.name)
            result = self.traced.create_node("call_function", operator, arguments, attributes, name=name)
            # A pickled module is traced anew, and our operators are not looked into.
            result.meta["is_wrapped"] = operator.__module__.startswith("gluon_attn.")
        self.places[result.name] = (node.operator, node.name)
        return (result,) if getattr(operator, "several", False) else result

    def free(self, path):
        """The path, or with a number where a block that is called twice has it already."""
        paths = (path if not count else f"{path}_{count}" for count in itertools.count())
        found = next(path for path in paths if path not in self.paths)
        self.paths.add(found)
        return found


def _item(values, index):
    return values[index]


def is_constant(node: Node) -> bool:
    """Whether the graph says of a variable that it is not trained: grad_req='null', or a gluon.Constant."""
    return node.notes.get("__grad_req__") == "null" or str(node.notes.get("__init__")).startswith("Constant_")


def store(root: nn.Module, name: str, array: np.ndarray, trained=True, statistic=False):
    """The array as a parameter of that name, as float32; as a buffer, where it is a statistic or no such number."""
    tensor = torch.from_numpy(np.array(array, dtype="float32" if array.dtype.kind == "f" else array.dtype.name))
    constant = statistic or not tensor.is_floating_point()
    place(root, name, tensor if constant else nn.Parameter(tensor, requires_grad=trained))


def place(root: nn.Module, path: str, value, persistent=True):
    """Put a parameter, a tensor or a module under a dotted path."""
    *parents, last = path.split(".")
    module = root
    for name in parents:
        if name not in module._modules:
            _check_word(module, name, path)
            module.add_module(name, nn.Module())
        module = module._modules[name]
    _check_word(module, last, path)
    if isinstance(value, nn.Module):
        module.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        module.register_parameter(last, value)
    else:
        module.register_buffer(last, value, persistent)


def _check_word(module, name, path):
    if not name or hasattr(module, name) or hasattr(fx.GraphModule, name):
        raise GluonAttnError(
            f"{path!r} cannot be the name of a parameter in PyTorch, where {name!r} means something else, or is taken: "
            "give that part of the network another name."
        )


_NORMS = ("BatchNorm", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU")


def _roles(graph):
    """(names of running statistics, names of gammas that count as 1): what no gradient changes."""
    statistics, fixed = set(), set()
    for node in graph.nodes:
        if node.operator in _NORMS:
            names = [graph.nodes[source].name for source, _ in node.inputs]
            statistics.update(names[3:5])
            if node.attributes.get("fix_gamma", True):
                fixed.add(names[1])
    return statistics, fixed


def _inputs(graph: Graph, arrays, where) -> Sequence[str]:
    """Names of the network's inputs: variables without an array that are no layer's weights, and no loss's labels."""
    takers, inputs, missing = graph.takers(), [], []
    for index, node in enumerate(graph.nodes):
        if not node.is_variable or node.name in arrays:
            continue
        uses = takers.get(index, [])
        if uses and all(taker.operator.endswith("Output") and at == 1 for taker, at in uses):
            continue
        weight = "__shape__" in node.notes or any(_is_weight(taker, at) for taker, at in uses)
        (missing if weight else inputs).append(node.name)
    if missing:
        raise WeightsError(f"{where} lacks {_some(missing)}, which the graph needs. Is it of another network?")
    if not inputs:
        raise GluonAttnError("The graph has no input: every variable of it has a value.")
    return inputs


_LAYERS = ("Convolution", "Deconvolution", "FullyConnected", "Embedding", *_NORMS)
_LAYERS += ("InstanceNorm", "LayerNorm", "GroupNorm", "LeakyReLU")


def _is_weight(taker: Node, at: int) -> bool:
    return taker.operator in _LAYERS and at > 0


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _some(names, shown: Optional[int] = _SHOWN):
    return ", ".join(names[:shown]) + (f", ... ({len(names)} in all)" if len(names) > shown else "")
