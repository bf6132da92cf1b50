"""Which operators of a network become int8; how close it stays: test_predictor.py, test_openvino.py."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gluon_attn import GluonAttnError
from gluon_attn.deploy import quantize


def network(inner, last, width=96):
    """x -> conv -> gate -> `last`(x, gate): two convolutions over the pooled picture with `inner` channels between."""
    draw = np.random.RandomState(0).randn
    weights = {"stem": (width, 3, 3, 3), "squeeze": (inner, width, 1, 1), "expand": (width, inner, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["data", "stem"], ["x"], name="stem"),
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Conv", ["pooled", "squeeze"], ["squeezed"], name="squeeze"),
        helper.make_node("Relu", ["squeezed"], ["positive"]),
        helper.make_node("Conv", ["positive", "expand"], ["gate"]),  # without a name, as ours are
        helper.make_node(last, ["x", "gate"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", width, 6, 6])],
        [numpy_helper.from_array(draw(*shape).astype("float32"), name) for name, shape in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


GATE = {"squeezed", "gate"}


@pytest.mark.parametrize(
    "inner, last, width, in_float",
    [
        (4, "Mul", 96, GATE),  # few weights
        (64, "Add", 96, GATE),
        (64, "Mul", 96, set()),
        (4096, "Add", 96, set()),
        (4, "Mul", 8, set()),  # of few, where all have few
        (4, "Add", 8, GATE),
    ],
)
def test_small_gates_stay_in_float_and_larger_ones_that_are_added(inner, last, width, in_float):
    batch = np.random.RandomState(1).randn(4, 3, 8, 8).astype("float32")
    quantized = quantize(network(inner, last, width).SerializeToString(), [batch])
    onnx.checker.check_model(quantized)
    exact = {output for node in quantized.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert {node.output[0] for node in convolutions if node.input[1] not in exact} == in_float
    assert len(convolutions) == 3


BATCH = np.zeros((2, 3, 8, 8), "float32")


@pytest.mark.parametrize(
    "batches, words",
    [
        ([], "batches is empty"),
        ([BATCH[:0]], "batches is empty"),
        (BATCH, r"float32 \(any, 3, 8, 8\); one of these is float32 \(3, 8, 8\)"),
        ([BATCH.astype("float64")], r"one of these is float64 \(2, 3, 8, 8\)"),
        ([BATCH[:, :1]], r"one of these is float32 \(2, 1, 8, 8\)"),
        ([BATCH.tolist()], "one of these is list"),
    ],
)
def test_batches_that_the_network_cannot_take(batches, words):
    with pytest.raises(GluonAttnError, match=words):
        quantize(network(4, "Add"), batches)


@pytest.mark.parametrize("content", [b"my notes", b"", None])
def test_what_is_no_model(tmp_path, content):
    if content is not None:
        (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(GluonAttnError, match="net.onnx is no ONNX model"):
        quantize(tmp_path / "net.onnx", [BATCH])
    with pytest.raises(GluonAttnError, match="What was given is no ONNX model"):
        quantize(content, [BATCH])


def test_int8_is_not_made_int8_again():
    with pytest.raises(GluonAttnError, match="is int8 already"):
        quantize(quantize(network(4, "Add"), [BATCH + 1]), [BATCH])
