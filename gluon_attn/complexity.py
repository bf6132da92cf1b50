"""Parameters and multiply-accumulates, from shapes alone: nothing is computed."""

from __future__ import annotations

import json
from dataclasses import dataclass

import mxnet as mx
import numpy as np


@dataclass(frozen=True)
class Complexity:
    """What one image costs. MACs count convolutions, dense layers and matrix products, not element-wise work."""

    parameters: int
    macs: int
    activations: int


def count_parameters(net):
    """Trainable parameters: those that an optimiser moves (not running statistics, not a fixed gamma)."""
    return sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")


def complexity(net, size, in_channels=3):
    """Complexity of `net` for one (in_channels, size, size) image; the network need not be initialised."""
    outputs = net(mx.sym.Variable("data"))
    graph = mx.sym.Group(list(outputs)) if isinstance(outputs, (tuple, list)) else outputs
    shapes = _shapes(graph, (1, in_channels, size, size))
    macs = activations = 0
    nodes = json.loads(graph.tojson())["nodes"]
    for node in nodes:
        if node["op"] == "null":
            continue
        out = shapes[f"{node['name']}_output"] if f"{node['name']}_output" in shapes else shapes.get(node["name"])
        inputs = [shapes[_output_name(nodes[i], k)] for i, k, *_ in node["inputs"]]
        macs += _MACS.get(node["op"], _none)(node, inputs, out)
        if node["op"] in ("Convolution", "FullyConnected"):
            activations += int(np.prod(out))
    return Complexity(count_parameters(net), macs, activations)


def _shapes(graph, shape):
    internals = graph.get_internals()
    _, outs, _ = internals.infer_shape(data=shape)
    return dict(zip(internals.list_outputs(), outs))


def _output_name(node, index):
    if node["op"] == "null":
        return node["name"]
    return f"{node['name']}_output" if index == 0 else f"{node['name']}_output{index}"


def _conv_macs(node, inputs, out):
    weight = inputs[1]  # (out, in / groups, kh, kw)
    return int(np.prod(out)) * int(np.prod(weight[1:]))


def _dense_macs(node, inputs, out):
    return int(np.prod(out)) * inputs[1][1]


def _dot_macs(node, inputs, out):
    transposed = node.get("attrs", {}).get("transpose_a", "False") in ("True", "1")
    return int(np.prod(out)) * inputs[0][-2 if transposed else -1]


def _none(node, inputs, out):
    return 0


_MACS = {"Convolution": _conv_macs, "FullyConnected": _dense_macs, "batch_dot": _dot_macs, "dot": _dot_macs}
