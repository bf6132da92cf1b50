"""Which operators of a network become int8; how close it stays: test_predictor.py, test_openvino.py."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gluon_attn.deploy import quantize


def network(inner, last):
    """x -> conv -> gate -> `last`(x, gate): two convolutions over the pooled picture with `inner` channels between."""
    draw = np.random.RandomState(0).randn
    weights = {"stem": (8, 3, 3, 3), "squeeze": (inner, 8, 1, 1), "expand": (8, inner, 1, 1)}
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
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, 6, 6])],
        [numpy_helper.from_array(draw(*shape).astype("float32"), name) for name, shape in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(
    "inner, last, in_float",
    [(4, "Add", {"squeezed", "gate"}), (4, "Mul", set()), (4096, "Add", set())],
)
def test_a_small_gate_that_is_added_stays_in_float(inner, last, in_float):
    batch = np.random.RandomState(1).randn(4, 3, 8, 8).astype("float32")
    quantized = quantize(network(inner, last).SerializeToString(), [batch])
    onnx.checker.check_model(quantized)
    exact = {output for node in quantized.graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert {node.output[0] for node in convolutions if node.input[1] not in exact} == in_float
    assert len(convolutions) == 3
