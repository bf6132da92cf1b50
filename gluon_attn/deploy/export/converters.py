"""MXNet operators whose ONNX converter is missing or slow in mxnet.onnx; importing this module registers them."""

from __future__ import annotations

import ast

import numpy as np
from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
from mxnet.onnx.mx2onnx._op_translations import _op_translations_opset12 as opset12
from onnx.helper import make_node

from gluon_attn.errors import GluonAttnError

OPSET = 13  # the newest that mxnet.onnx writes
_THEIRS = {**MXNetGraph.registry_[12], **MXNetGraph.registry_[13]}


@MXNetGraph.register("Convolution", opset_version=OPSET)
def convolution(node, **kwargs):
    """Conv1D has the same attributes as Conv2D; only its layout is refused."""
    if node["attrs"].get("layout") == "NCW":
        node = {**node, "attrs": {**node["attrs"], "layout": "NCHW"}}
    return _THEIRS["Convolution"](node, **kwargs)


@MXNetGraph.register("BatchNorm", opset_version=OPSET)
def batch_norm(node, **kwargs):
    """With fix_gamma (Gluon's scale=False) gamma counts as 1 whatever is stored; mxnet.onnx writes what is stored."""
    (result,) = _THEIRS["BatchNorm"](node, **kwargs)
    if node["attrs"].get("fix_gamma", "True") in ("True", "1"):
        ones = np.ones_like(kwargs["weights"][result.input[1]])
        result.input[1] = f"{node['name']}_ones"
        opset12.create_const_node(result.input[1], ones, kwargs)
    return [result]


@MXNetGraph.register("max", opset_version=OPSET)
def maximum(node, **kwargs):
    """The maximum over height and width is a pooling, which onnxruntime runs faster than a reduction."""
    attrs = node["attrs"]
    if attrs.get("axis") == "(2, 3)" and attrs.get("keepdims") == "True":
        name, inputs, _ = opset12.get_inputs(node, kwargs)
        return [make_node("GlobalMaxPool", inputs, [name], name=name)]
    return _THEIRS["max"](node, **kwargs)


@MXNetGraph.register("L2Normalization", opset_version=OPSET)
def l2_normalization(node, **kwargs):
    """x / sqrt(sum of x^2 + eps): over L with mode='spatial' of (N, C, L), over all but N with mode='instance'."""
    name, (x, *_), attrs = opset12.get_inputs(node, kwargs)
    mode = attrs.get("mode", "instance")
    if mode not in ("spatial", "instance"):
        return _THEIRS["L2Normalization"](node, **kwargs)
    weights = kwargs["initializer"]
    opset12.create_const_node(f"{name}_eps", np.array([float(attrs.get("eps", 1e-10))], "float32"), kwargs)
    opset12.create_tensor([2 if mode == "spatial" else 1], f"{name}_axes", weights)
    flat, quotient = (x, name) if mode == "spatial" else (f"{name}_flat", f"{name}_quotient")
    nodes = [
        make_node("Mul", [flat, flat], [f"{name}_squares"]),
        make_node("ReduceSum", [f"{name}_squares", f"{name}_axes"], [f"{name}_sum"], keepdims=1),
        make_node("Add", [f"{name}_sum", f"{name}_eps"], [f"{name}_positive"]),
        make_node("Sqrt", [f"{name}_positive"], [f"{name}_norm"]),
        make_node("Div", [flat, f"{name}_norm"], [quotient], name=quotient),
    ]
    return nodes if mode == "spatial" else [make_node("Flatten", [x], [flat]), *nodes, *_like(name, quotient, x)]


@MXNetGraph.register("GroupNorm", opset_version=OPSET)
def group_norm(node, **kwargs):
    """The instance norm of (N, groups, the rest), as MXNet's gamma and beta are of the groups, not of the channels."""
    name, (x, gamma, beta), attrs = opset12.get_inputs(node, kwargs)
    opset12.create_tensor([0, int(attrs.get("num_groups", 1)), -1], f"{name}_groups", kwargs["initializer"])
    normalised = f"{name}_normalised"
    return [
        make_node("Reshape", [x, f"{name}_groups"], [f"{name}_grouped"]),
        make_node(
            "InstanceNormalization",
            [f"{name}_grouped", gamma, beta],
            [normalised],
            epsilon=float(attrs.get("eps", 1e-5)),
        ),
        *_like(name, normalised, x),
    ]


def _like(name, y, x):
    """`name`: y in the shape of x."""
    return [make_node("Shape", [x], [f"{name}_shape"]), make_node("Reshape", [y, f"{name}_shape"], [name], name=name)]


@MXNetGraph.register("Reshape", opset_version=OPSET)
def reshape(node, **kwargs):
    """The codes -3 (two axes become one) and -4 (one becomes two), computed from the input's shape at run time."""
    name, inputs, attrs = opset12.get_inputs(node, kwargs)
    codes = list(ast.literal_eval(attrs["shape"]))
    if not {-3, -4} & set(codes):
        return _THEIRS["Reshape"](node, **kwargs)
    vector = _Sides(name, inputs[0], kwargs["initializer"])
    while codes:
        code = codes.pop(0)
        if code == 0:
            vector.keep()
        elif code == -3:
            vector.merge()
        elif code == -4:
            vector.put(codes.pop(0), codes.pop(0))
        elif code == -2:
            raise GluonAttnError(f"Reshape {attrs['shape']} of {name} has no ONNX form: write its sides out.")
        else:
            vector.put(code)
    shape = make_node("Concat", vector.pieces, [f"{name}_shape"], axis=0)
    return [*vector.nodes, shape, make_node("Reshape", [inputs[0], f"{name}_shape"], [name], name=name)]


class _Sides:
    """The vector of the sides of a result, piece by piece, of those of the input `source`, from the first on."""

    def __init__(self, name, source, weights):
        self.name, self.weights, self.axis, self.pieces = name, weights, 0, []
        self.nodes = [make_node("Shape", [source], [f"{name}_of"])]

    def keep(self):
        """The input's next side."""
        self.pieces.append(self._next(1))

    def merge(self):
        """The product of the input's next two sides."""
        label = f"{self.name}_product{self.axis}"
        self.nodes.append(make_node("ReduceProd", [self._next(2)], [label], axes=[0], keepdims=1))
        self.pieces.append(label)

    def put(self, *values):
        """These, in place of the input's next side."""
        self.pieces.append(self._constant(values))
        self.axis += 1

    def _next(self, count):
        label, ends = f"{self.name}_sides{self.axis}", (self.axis, self.axis + count)
        self.nodes.append(make_node("Slice", [f"{self.name}_of", *(self._constant([end]) for end in ends)], [label]))
        self.axis += count
        return label

    def _constant(self, values):
        label = f"{self.name}_c{len(self.weights)}"
        opset12.create_tensor(list(values), label, self.weights)
        return label
