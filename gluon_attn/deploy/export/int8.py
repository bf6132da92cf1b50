"""Static int8 quantisation through onnxruntime: per-channel weights, activations calibrated on images.

Convolutions and dense layers are quantised, and the ReLUs among them, which vanish: the convolution's output is then
quantised once, over the range that is left. Measured on aff_resnet50, batch 16, one core: 2.72 times the speed of
float32, 2.58 where the ReLUs stay in float between two quantisations. With the sums, products, pools and sigmoids
round the gates as well it was no faster and no closer.

Convolutions of few weights stay in float, as those of the gates in small networks are: cifar_aff_resnet20 had 96.3 % of
the clutter right with them in int8, and 96.7 % with them in float as without int8; logits of CBAM's and AFF's networks
for Tiny ImageNet were nearer to float32's by 6 to 12 %, in 0.93 to 1.08 of the speed (0.87 where nearly all are small).

So do larger ones over a single place that lead to a sum, as the global half of AFF's gate: a rounded one errs alike at
every place. Of Tiny ImageNet's test photographs aff_resnet18 has 44.77 % right in float32, 44.40 % with
them in int8 and 44.62 % without (92.6 and 93.9 % of its answers are then those of float32), in 0.98 of the time. Large
ones are as quick as their weights are read, and SE's, whose result is a factor, lose nothing in int8: in float
se_resnet50 took 1.09 times as long, and its file grew by a quarter.

So does the classifier, whose logits would be rounded to 8 bits, too, and biases are corrected (bias_correction.py):
of resnet18 on Tiny ImageNet 95.4 % of the answers are those of float32 without the two, 97.2 % with them, at one speed.

Weights keep 7 of their 8 bits: with 8, a CPU without VNNI saturates, and cifar_aff_resnet20 had 95.5 % of the test
digits right where it has 99.25 % in float32, and 99.0 % with 7 (97.25 and 99.0 % in OpenVINO).
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
from typing import Any, Iterable, Sequence

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from gluon_attn.deploy.export import bias_correction
from gluon_attn.deploy.export.node_names import name_nodes
from gluon_attn.deploy.run.pieces import pieces
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.scoped import quiet

QUANTIZED = ("Conv", "Gemm", "Relu")
SMALL = 2**11  # weights; SE's convolutions, at reduction 16, have more from 256 channels on
SMALL_INTO_SUM = 2**14


class _Batches(CalibrationDataReader):
    def __init__(self, name, batches):
        self.feeds = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.feeds, None)


def quantize(
    model: Any, batches: Iterable[np.ndarray], operators: Sequence[str] = QUANTIZED, keep_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """The int8 form of an ONNX model (a ModelProto, its bytes or a path), as a ModelProto with the same metadata.

    batches : prepared images, float32 arrays (N, 3, H, W); a few hundred images in all. A model whose batch is fixed is
        given them in as many at a time
    operators : operator types to quantise; keep_float : names of nodes that stay in float, beside those above

    >>> deploy.export_onnx(net, "net.onnx", size=32)
    >>> onnx.save(quantize("net.onnx", [x.asnumpy()]), "int8.onnx")
    """
    model = onnx.ModelProto.FromString(_opened(model).SerializeToString())  # a copy, to be changed
    name_nodes(model.graph)
    batches = _checked(batches, model.graph.input[0])
    keep_float = [*_known(keep_float, model), *_small(model), *_into_sums(model), *_classifiers(model)]
    bias_correction.give_biases(model, but=keep_float)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    # Not heard: onnxruntime's advice to pre-process, which does not apply, since BatchNorm is folded.
    with quiet(logging.getLogger()), tempfile.TemporaryDirectory() as folder:
        plain, small = (os.path.join(folder, name) for name in ("plain.onnx", "int8.onnx"))
        onnx.save(model, plain)
        quantize_static(
            plain,
            small,
            _Batches(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=list(keep_float),
            per_channel=True,
            reduce_range=True,  # 7 bits: CPUs without VNNI add pairs of products in 16 bits, which saturate
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        quantized = onnx.load(small)
    bias_correction.correct(quantized, model, batches)
    onnx.helper.set_model_props(quantized, {**metadata, "precision": '"int8"'})
    return quantized


def _opened(model):
    """The ModelProto, in float."""
    where = model if isinstance(model, (str, os.PathLike)) else "What was given"
    try:
        if isinstance(model, bytes):
            model = onnx.load_model_from_string(model)
        elif where is model:
            model = onnx.load(model)
        inputs = model.graph.input
    except Exception as problem:  # each form of a file that onnx reads has errors of its own
        raise GluonAttnError(f"{where} is no ONNX model: {' '.join(str(problem).split())[:300]}") from None
    if not inputs:
        raise GluonAttnError(f"{where} is no ONNX model of a network: it has no input.")
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise GluonAttnError(f"{where} is int8 already: give the float file that it was made of.")
    for kind in _kinds(model.graph):
        if kind != onnx.TensorProto.FLOAT:
            said = onnx.TensorProto.DataType.Name(kind).lower()
            raise GluonAttnError(f"{where} is of {said}, and int8 is made of float32: export it in float32.")
    return model


def _kinds(graph):
    """What numbers its input is of, and the weights of its layers."""
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    yield graph.input[0].type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in weights:
            yield weights[node.input[1]]


def _checked(batches, given):
    """The list of `batches`, as the model's input `given` takes them."""
    sides = [axis.dim_value for axis in given.type.tensor_type.shape.dim]  # 0: any
    wanted = [side if place else 0 for place, side in enumerate(sides)]
    form, batches = ", ".join(str(side or "any") for side in wanted), list(batches)
    for batch in batches:
        dtype, shape = getattr(batch, "dtype", type(batch).__name__), getattr(batch, "shape", ())
        fits = len(shape) == len(wanted) and all(side in (0, found) for side, found in zip(wanted, shape))
        if not (isinstance(batch, np.ndarray) and dtype == np.float32 and fits):
            raise GluonAttnError(
                f"batches is a list of numpy arrays float32 ({form}); one of these is {dtype} {tuple(shape)}."
            )
    if not sum(map(len, batches)):
        raise GluonAttnError("batches is empty: give a few hundred prepared images in all.")
    return [piece for batch in batches for piece in pieces(batch, sides[0])] if sides[0] else batches


def _small(model):
    """Names of the convolutions of few weights; none where all have few, or nothing would be int8."""
    weights = _weights(model)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    small = [node for node in convolutions if weights(node) <= SMALL]
    return [node.name for node in small] if len(small) < len(convolutions) else []


def _weights(model):
    """The number of weights of a convolution of the model."""
    known = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    return lambda node: known.get(node.input[1], math.inf)


def _known(keep_float, model):
    """`keep_float`, of which each is the name of a node."""
    names = {node.name for node in model.graph.node}
    for name in keep_float:
        if name not in names:
            raise unknown("node", name, names, remedy="keep_float= takes names of the model's nodes.")
    return keep_float


def _classifiers(model):
    """Names of the dense layers behind which there is no other layer, but a softmax for one: they give the logits."""
    makers = {output: node for node in model.graph.node for output in node.output}
    ends, found, seen = [value.name for value in model.graph.output], set(), set()
    while ends:
        name = ends.pop()
        node = None if name in seen else makers.get(name)
        seen.add(name)
        if node is not None and node.op_type == "Gemm":
            found.add(node.name)
        elif node is not None and node.op_type != "Conv":
            ends.extend(node.input)
    return sorted(found)


def _into_sums(model):
    """Names of the small convolutions over one place that lead to a sum."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in inferred.value_info
    }
    weights = _weights(model)
    makers = {output: node for node in model.graph.node for output in node.output}
    ends = [name for node in model.graph.node if node.op_type == "Add" for name in node.input]
    found = []
    while ends:
        node = makers.get(ends.pop())
        if node is None or shapes.get(node.output[0], [])[2:] != [1, 1]:
            continue
        if node.op_type == "Conv" and weights(node) <= SMALL_INTO_SUM:
            found.append(node.name)
        if node.op_type == "Relu" or node.name in found:
            ends.append(node.input[0])
    return found
