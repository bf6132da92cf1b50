"""Which operators of a network become int8; how close it stays: test_predictor.py, test_openvino.py."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gluon_attn import GluonAttnError
from gluon_attn.deploy import quantize
from gluon_attn.deploy.export import bias_correction
from gluon_attn.deploy.run.onnxruntime_engine import session


def model_of(nodes, values, **edges):
    """An ONNX model of these nodes and weights; `edges` are its input and its output: name=shape."""
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in edges.items())
    weights = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "net", [given], [found], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


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
    values = {name: draw(*shape).astype("float32") for name, shape in weights.items()}
    return model_of(nodes, values, data=["N", 3, 8, 8], y=["N", width, 6, 6])


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


@pytest.mark.parametrize("what", ["input", "weights"])
def test_only_float32_is_made_int8(what):
    """onnxruntime's own words for others are of nodes that nobody wrote."""
    model = network(4, "Add")
    if what == "input":
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    else:
        weight = model.graph.initializer[0]
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype("float16"), weight.name))
    with pytest.raises(GluonAttnError, match="is of float16, .* export it in float32"):
        quantize(model, [BATCH])


def test_a_fixed_batch_is_calibrated_as_a_free_one():
    model, batches, steps = classifier(), pictures(5, 3), []
    for fixed in (0, 2):
        if fixed:
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = fixed
        made = quantize(model, batches)
        scales = (tensor for tensor in made.graph.initializer if tensor.name.endswith("_scale"))
        steps.append({tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in scales})
    assert steps[0] == steps[1] and steps[0]


def classifier(bias=True, groups=1, channels=32, classes=5):
    """images -> convolution, ReLU, convolution, ReLU -> mean of the map -> dense -> logits; no node has a name."""
    draw = np.random.RandomState(0).randn
    weights = {"first": (channels, 3, 3, 3), "second": (128, channels // groups, 3, 3), "dense": (classes, 128)}
    weights.update({"first_bias": (channels,), "second_bias": (128,), "dense_bias": (classes,)} if bias else {})
    values = {name: draw(*shape).astype("float32") / np.prod(shape[1:]) ** 0.5 for name, shape in weights.items()}

    def inputs(data, name):
        return [data, name, f"{name}_bias"] if bias else [data, name]

    nodes = [
        helper.make_node("Conv", inputs("images", "first"), ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", inputs("b", "second"), ["c"], group=groups),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", inputs("f", "dense"), ["logits"], transB=1),
    ]
    return model_of(nodes, values, images=["N", 3, 12, 12], logits=["N", classes])


def given(model, edge, batches):
    """What the model computes at that edge."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.append(onnx.ValueInfoProto(name=edge))
    running = session(model.SerializeToString())
    return np.concatenate([running.run([edge], {"images": batch})[0] for batch in batches])


def pictures(*sizes):
    return [np.random.RandomState(n).rand(n, 3, 12, 12).astype("float32") for n in sizes]


def second_from_float(int8, x):
    """The second convolution of the int8 model on x of the float one, rounded as the int8 model rounds: (y, step)."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in int8.graph.initializer}
    makers = {output: node for node in int8.graph.node for output in node.output}
    node = next(node for node in int8.graph.node if node.name == "c")
    scale, zero = (values[name] for name in makers[node.input[0]].input[1:])
    weight, bias = (makers[name].input for name in node.input[1:])
    exact = {
        "weight": values[weight[0]] * values[weight[1]].reshape(-1, 1, 1, 1),
        "bias": (values[bias[0]] * values[bias[1]]).astype("float32"),
    }
    convolution = helper.make_node("Conv", ["x", "weight", "bias"], ["y"], group=node.attribute[-1].i)
    one = model_of([convolution], exact, x=x.shape, y=None)
    rounded = np.clip(np.round(x / scale) + zero, 0, 255).astype("float32") - zero
    return session(one.SerializeToString()).run(None, {"x": rounded * scale})[0], values[bias[1]]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_every_channel_keeps_its_mean(bias, groups, monkeypatch):
    model, batches = classifier(bias, groups), pictures(5, 16, 40)
    x, wanted = given(model, "b", batches), given(model, "c", batches).mean((0, 2, 3))
    found, step = second_from_float(quantize(model, batches), x)
    assert (abs(found.mean((0, 2, 3)) - wanted) < 0.51 * step + 1e-6).all()
    monkeypatch.setattr(bias_correction, "correct", lambda *_: None)
    found, _ = second_from_float(quantize(model, batches), x)
    assert abs(found.mean((0, 2, 3)) - wanted).max() > 20 * step.max()  # there was something to correct


def test_layers_that_share_a_bias_are_corrected_one_by_one():
    """Two convolutions of one weight and one bias, of different inputs, as the branches of CBAM's gate are."""
    model = classifier()
    again = [helper.make_node("Conv", ["b", "second", "second_bias"], ["c"], group=1)]
    again += [helper.make_node("Mul", ["b", "half"], ["b2"]), helper.make_node("Relu", ["b2"], ["b3"])]
    again += [
        helper.make_node("Conv", ["b3", "second", "second_bias"], ["c2"]),
        helper.make_node("Max", ["c", "c2"], ["m"]),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.3), "half"))
    nodes = list(model.graph.node)
    nodes[2:3] = again
    nodes[nodes.index(next(node for node in nodes if node.output[0] == "d"))].input[0] = "m"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    before, batches = model.SerializeToString(), pictures(16)
    quantized = quantize(model, batches)
    assert model.SerializeToString() == before
    biases = {n.name: n.input[2] for n in quantized.graph.node if n.op_type == "Conv" and n.name in ("c", "c2")}
    assert len(set(biases.values())) == 2
    found, step = second_from_float(quantized, given(model, "b", batches))
    wanted = given(model, "c", batches).mean((0, 2, 3))
    assert (abs(found.mean((0, 2, 3)) - wanted) < 0.51 * step + 1e-6).all()


def test_a_classifier_stays_in_float_and_the_model_as_it_was():
    model = classifier()
    before, batches = model.SerializeToString(), pictures(8)
    quantized = quantize(model, batches)
    assert model.SerializeToString() == before
    makers = {output: node for node in quantized.graph.node for output in node.output}
    assert makers["logits"].op_type == "Gemm" and makers["logits"].input[1] == "dense"
    assert np.unique(given(quantized, "logits", batches)).size == 40


def test_a_classifier_with_a_softmax_behind_it_stays_in_float():
    model = classifier()
    model.graph.node[-1].output[0] = "scores"
    model.graph.node.append(helper.make_node("Softmax", ["scores"], ["logits"], axis=1))
    quantized = quantize(model, pictures(8))
    assert next(node for node in quantized.graph.node if node.name == "scores").input[1] == "dense"
    assert next(node for node in quantized.graph.node if node.name == "c").input[1] != "second"


def test_every_node_has_a_name_of_its_own():
    """Though one is called as another's output is, or two are called alike."""
    model = classifier()
    model.graph.node[1].name = model.graph.node[3].name = "c"  # what the second convolution gives
    kept = quantize(model, pictures(8), keep_float=["c_"])
    assert next(node for node in kept.graph.node if node.output[0] == "c").input[1] == "second"
    names = [node.name for node in kept.graph.node]
    assert len(names) == len(set(names))


def test_nodes_are_kept_in_float_by_name():
    kept = quantize(classifier(), pictures(8), keep_float=["c"])
    assert next(node for node in kept.graph.node if node.name == "c").input[1] == "second"
    with pytest.raises(GluonAttnError, match="Unknown node 'second'.* Choices: a, .*keep_float="):
        quantize(classifier(), pictures(8), keep_float=["second"])


@pytest.mark.parametrize(
    "sizes, count", [([1] * 200, 64), ([16] * 20, 64), ([500, 500], 1000), ([7], 7), ([0, 8, 0], 8)]
)
def test_biases_are_corrected_on_images_from_everywhere(sizes, count):
    chosen = bias_correction._some([np.full((size, 1), place) for place, size in enumerate(sizes)])
    assert sum(map(len, chosen)) == count
    assert chosen[0][0, 0] == min(place for place, size in enumerate(sizes) if size)
    assert chosen[-1][0, 0] == max(place for place, size in enumerate(sizes) if size)
