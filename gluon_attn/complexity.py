"""Parameters and multiply-accumulates, from shapes alone: nothing is computed."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Dict, Tuple

import mxnet as mx
import numpy as np

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.errors import GluonAttnError
from gluon_attn.tracing import plain_graph


@dataclass(frozen=True)
class Complexity:
    """What one image costs. MACs count convolutions (transposed ones, too), dense layers and matrix products (`dot`,
    `batch_dot`, `linalg.gemm`, `linalg.gemm2`), not element-wise work.

    activations : values that convolutions and dense layers give; training_bytes : of the outputs of all operators in
    float32, which a training step keeps; peak_bytes : the most that one operator reads and writes at once, without its
    weights.
    """

    parameters: int
    macs: int
    activations: int
    training_bytes: int = 0
    peak_bytes: int = 0


def count_parameters(net: mx.gluon.HybridBlock) -> int:
    """Trainable parameters: those that an optimiser moves (not running statistics, not a fixed gamma or beta).

    >>> count_parameters(gluon_attn.get_model("cifar_resnet20", classes=10))
    272474
    """
    return sum(_trained(net).values())


def _trained(net):
    """{name: size} of what an optimiser moves; a rate of 0 holds as a missing gradient does."""
    parameters = net.collect_params().items()
    return {name: int(np.prod(p.shape)) for name, p in parameters if p.grad_req != "null" and p.lr_mult}


def complexity(net: mx.gluon.HybridBlock, size: int, in_channels: int = 3) -> Complexity:
    """Complexity of `net` for one (in_channels, size, size) image; the network need not be initialised.

    >>> complexity(gluon_attn.get_model("resnet50"), 224).macs / 1e9
    4.089184256
    """
    refuse_no_count(size=size, in_channels=in_channels)
    with plain_graph(net):
        graph = net(mx.sym.Variable("data"))
    return _sum_up(_node_costs(graph, net, (in_channels, size, size)), count_parameters(net))


def check_size(net: mx.gluon.HybridBlock, *sizes: int, in_channels: int = 3) -> None:
    """GluonAttnError where the network cannot take (in_channels, size, size) images of one of the sizes.

    >>> check_size(gluon_attn.get_model("cifar_ge_resnet20"), 32)
    """
    refuse_no_count(in_channels=in_channels)
    for size in sizes:
        refuse_no_count(size=size)
    check_images(net, *((in_channels, size, size) for size in sizes))


def check_images(net: mx.gluon.HybridBlock, *shapes: Tuple[int, int, int]) -> None:
    """GluonAttnError where the network cannot take images (channels, height, width) of one of the shapes.

    >>> check_images(gluon_attn.get_model("cifar_ge_resnet20"), (3, 32, 32))
    """
    with plain_graph(net):
        graph = _group(net(mx.sym.Variable("data")))
    for shape in shapes:
        _infer(graph, net, shape)


def stage_complexity(net: mx.gluon.HybridBlock, size: int, in_channels: int = 3) -> Dict[str, Complexity]:
    """{'stem': Complexity, 'stage1': ..., ..., 'head': ...}: what each adds to those before it.

    >>> list(stage_complexity(gluon_attn.get_model("cifar_resnet20"), 32))
    ['stem', 'stage1', 'stage2', 'stage3', 'head']
    """
    refuse_no_count(size=size, in_channels=in_channels)
    names = ["stem", *(f"stage{i + 1}" for i in range(len(net.stages))), "head"]
    trained = _trained(net)
    result, before, parameters_before = {}, Counter(), 0
    for name in names:
        data = mx.sym.Variable("data")
        with plain_graph(net):
            graph = net(data) if name == "head" else net.features_at(data, [name])[name]
        # Not the first nodes: a head that reads several stages (LTPA) is computed among them.
        costs = Counter(_node_costs(graph, net, (in_channels, size, size)))
        reached = trained if name == "head" else _group(graph).list_arguments()  # with those that logits do not need
        parameters = sum(trained.get(argument, 0) for argument in reached)
        result[name] = _sum_up((costs - before).elements(), parameters - parameters_before)
        before, parameters_before = costs, parameters
    return result


def _sum_up(costs, parameters):
    macs, activations, outputs, touched = tuple(zip(*costs)) or ((0,),) * 4
    return Complexity(parameters, sum(macs), sum(activations), 4 * sum(outputs), 4 * max(touched))


def _group(outputs):
    return mx.sym.Group(list(outputs)) if isinstance(outputs, (tuple, list)) else outputs


def _node_costs(outputs, net, image):
    """(MACs, activations, values given, values given and read) of every operator, in order of computation."""
    nodes, shapes = _shapes(_group(outputs), net, image)
    costs = []
    for number, node in enumerate(nodes):
        if node["op"] == "null":
            continue
        outs = shapes[number]
        sources = [(nodes[i], shapes[i][k]) for i, k, *_ in node["inputs"]]
        macs = _MACS.get(node["op"], _none)(node, [side for _, side in sources], outs[0])
        given = sum(int(np.prod(out)) for out in outs)
        read = sum(int(np.prod(side)) for source, side in sources if source["op"] != "null" or source["name"] == "data")
        costs.append((macs, given if node["op"] in _LAYERS else 0, given, given + read))
    return costs


def _shapes(graph, net, image):
    """(the graph's nodes, the shapes of each node's outputs), by place: names of outputs differ between operators."""
    internals = graph.get_internals()
    found = _infer(internals, net, image)
    written = json.loads(internals.tojson())
    shapes = [[] for _ in written["nodes"]]
    for (number, *_), side in zip(written["heads"], found):
        shapes[number].append(side)
    return written["nodes"], shapes


def _infer(graph, net, image):
    """The shapes of the graph's outputs for one image of the shape (or one clip), or a sentence."""
    frames = getattr(net, "frames", 1)
    try:
        # `infer_shape` would print all that it was given to stdout before it raises, and answers may be there.
        return graph.infer_shape_partial(data=(1, *([frames] if frames > 1 else []), *image))[1]
    except mx.MXNetError as problem:
        raise GluonAttnError(
            f"This {type(net).__name__} cannot take images of {'x'.join(map(str, image))}: {_reason(problem)}. Give "
            "images of the size= (and in_channels=) that it was built for; what is tied to it says its map_size= or "
            "image_size=."
        ) from None


def _reason(problem):
    """Parameters of another shape, or what MXNet says last, behind the place in its code."""
    said = str(problem).splitlines()[-1]
    if "Shape inconsistent" in said:
        return "its parameters have shapes for others"
    where = re.search(r"Error in operator (\w+)", said)
    said = re.split(r"Check failed: .*?: ", said)[-1]
    return f"{said[:200]} (MXNet's words{f' of the operator {where[1]!r}' if where else ''})"


def _conv_macs(node, inputs, out):
    weight = inputs[1]  # (out, in / groups, kh, kw)
    return int(np.prod(out)) * int(np.prod(weight[1:]))


def _dense_macs(node, inputs, out):
    return int(np.prod(out)) * inputs[1][1]


def _transposed_conv_macs(node, inputs, out):
    data, weight = inputs[:2]  # weight (in, out / groups, kh, kw)
    return int(np.prod(data)) * int(np.prod(weight[1:]))


def _product_macs(rows):
    """Of matrix products, which sum over the columns of their first input, or over its axis `rows`, transposed."""

    def count(node, inputs, out):
        attributes = node.get("attrs", {})
        transposed = attributes.get("transpose_a", "False") in ("True", "1")
        return int(np.prod(out)) * inputs[0][int(attributes.get("axis", rows)) if transposed else -1]

    return count


def _none(node, inputs, out):
    return 0


_MACS = {
    "Convolution": _conv_macs,
    "Deconvolution": _transposed_conv_macs,
    "FullyConnected": _dense_macs,
    "batch_dot": _product_macs(-2),
    "dot": _product_macs(0),
    "_linalg_gemm": _product_macs(-2),
    "_linalg_gemm2": _product_macs(-2),
}
_LAYERS = ("Convolution", "Deconvolution", "FullyConnected")
