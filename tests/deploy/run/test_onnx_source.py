"""ONNX files of other origin: their numbers, sizes and names; what takes no pictures, or is no batch, is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gluon_attn.deploy import Predictor, export_onnx
from gluon_attn.deploy.run.onnx_source import OnnxSource
from gluon_attn.errors import GluonAttnError
from tests.deploy.test_openvino import CARD, PICTURES
from tests.helpers import build

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

ENGINES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "net.onnx"
    export_onnx(build("cifar_resnet20", classes=10, layers=(1, 1, 1)), path, 32, card=CARD)
    return onnx.load(str(path))


def _changed(model, **how):
    """A copy whose input has another type or shape, or that has a second one, added to the logits."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    if how.get("second"):
        graph.input.insert(how["second"] - 1, helper.make_tensor_value_info("t", TensorProto.FLOAT, [10]))
        inner = graph.output[0].name
        for node in graph.node:
            node.output[:] = ["inner" if name == inner else name for name in node.output]
        graph.node.append(helper.make_node("Add", ["inner", "t"], [inner]))
        return model
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["cast" if each == name else each for each in node.input]
    graph.node.insert(0, helper.make_node("Cast", [name], ["cast"], to=TensorProto.FLOAT))
    shape = how.get("shape", ["N", 3, 32, 32])
    graph.input[0].CopyFrom(helper.make_tensor_value_info(name, how.get("dtype", TensorProto.FLOAT), shape))
    return model


REFUSED = {
    "a second input": (dict(second=2), "has 2 inputs .*where pictures are one"),
    "a second one, before the pictures": (dict(second=1), "has 2 inputs .*where pictures are one"),
    "bytes": (dict(dtype=TensorProto.UINT8), "whole numbers, any x 3 x 32 x 32. Pictures are real numbers"),
    "whole numbers": (dict(dtype=TensorProto.INT64), "whole numbers"),
    "another size than the card's": (dict(shape=["N", 3, 64, 64]), "any x 3 x 64 x 64. Pictures .* any x 3 x 32 x 32"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", REFUSED)
def test_what_takes_no_such_pictures_is_refused(what, engine, model, tmp_path):
    how, said = REFUSED[what]
    onnx.save(_changed(model, **how), str(tmp_path / "net.onnx"))
    with pytest.raises(GluonAttnError, match=said):
        Predictor(tmp_path / "net.onnx", engine=engine, threads=1, card=CARD)


@pytest.mark.parametrize("shape", [[None, 1, 32, 32], [None, 32, 32, 3], [None, 3072], [3], [16, 3, 32, 33]])
def test_shapes_that_are_none_of_the_pictures(shape):
    with pytest.raises(GluonAttnError, match="any x 3 x 32 x 32 by its card"):
        OnnxSource(b"").check_inputs([("data", True, shape)], 32)


@pytest.mark.parametrize("shape", [None, [None, 3, 32, 32], [1, 3, None, 32], [None] * 4])
def test_shapes_that_pictures_may_have(shape):
    OnnxSource(b"").check_inputs([("data", True, shape)], 32)


# OpenVINO itself reads no convolution of what has no number of axes.
@pytest.mark.parametrize("engine, shape", [*((engine, list("nchw")) for engine in ENGINES), ("onnxruntime", None)])
def test_free_sides_are_taken(engine, shape, model, tmp_path):
    onnx.save(model, str(tmp_path / "net.onnx"))
    onnx.save(_changed(model, shape=shape), str(tmp_path / "free.onnx"))
    expected = Predictor(tmp_path / "net.onnx", engine=engine, threads=1).logits(PICTURES)
    found = Predictor(tmp_path / "free.onnx", engine=engine, threads=1).logits(PICTURES)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_files_of_other_real_numbers_give_float32(dtype, engine, model, tmp_path):
    onnx.save(model, str(tmp_path / "net.onnx"))
    other = _changed(model, dtype=dtype)
    other.graph.node.append(helper.make_node("Cast", [other.graph.output[0].name], ["out"], to=dtype))
    other.graph.output[0].CopyFrom(helper.make_tensor_value_info("out", dtype, ["N", 10]))
    onnx.save(other, str(tmp_path / "other.onnx"))
    expected = Predictor(tmp_path / "net.onnx", engine=engine, threads=1).logits(PICTURES)
    predictor = Predictor(tmp_path / "other.onnx", engine=engine, threads=1)
    found = predictor.logits(PICTURES)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2 * abs(expected).max())
    assert found.dtype == predictor.probabilities(PICTURES).dtype == np.float32


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fixed", [1, 4])
def test_files_of_a_fixed_batch_take_any_number(fixed, engine, model, tmp_path):
    """torch.onnx.export fixes it to that of its example where nobody says otherwise."""
    onnx.save(model, str(tmp_path / "net.onnx"))
    onnx.save(_changed(model, shape=[fixed, 3, 32, 32]), str(tmp_path / "fixed.onnx"))
    free, predictor = (Predictor(tmp_path / f"{name}.onnx", engine=engine, threads=1) for name in ("net", "fixed"))
    for count in (1, 3, 4, 7, 20):
        expected = free.logits(PICTURES[:count])
        np.testing.assert_allclose(predictor.logits(PICTURES[:count]), expected, rtol=1e-4, atol=1e-5)
    calibrated = Predictor(
        tmp_path / "fixed.onnx", engine=engine, threads=1, precision="int8", calibration=PICTURES[:7]
    )
    assert 0 < abs(calibrated.logits(PICTURES) - expected).max() < 0.1 * abs(expected).max()


def test_more_logits_than_images_are_not_cut_off(model, tmp_path):
    """Of a fixed batch, what fills up the last piece is left out, and nothing else."""
    doubled = _changed(model, shape=[2, 3, 32, 32])
    doubled.graph.node.append(helper.make_node("Concat", [doubled.graph.output[0].name] * 2, ["out"], axis=0))
    doubled.graph.output[0].CopyFrom(helper.make_tensor_value_info("out", TensorProto.FLOAT, [4, 10]))
    onnx.save(doubled, str(tmp_path / "net.onnx"))
    predictor = Predictor(tmp_path / "net.onnx", engine="onnxruntime", threads=1)
    for count in (1, 2):
        with pytest.raises(GluonAttnError, match=f"for {count} images"):
            predictor.logits(PICTURES[:count])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "batch, said",
    [
        (np.full((1, 3, 32, 32), np.nan, "float32"), "NaN or infinite"),
        (np.full((1, 3, 32, 32), np.inf, "float32"), "NaN or infinite"),
        (np.zeros((1, 3, 32, 32), "float64"), "float64"),
        (np.zeros((3, 32, 32), "float32"), r"\(3, 32, 32\)"),
        (np.zeros((2, 3, 40, 40), "float32"), r"\(N, 3, 32, 32\) by the card; this one is \(2, 3, 40, 40\)"),
        (np.zeros((2, 1, 32, 32), "float32"), r"this one is \(2, 1, 32, 32\)"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_batch_is_refused(batch, said, engine, model, tmp_path):
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(GluonAttnError, match=said):
        Predictor(tmp_path / "net.onnx", engine=engine, threads=1).run(batch)


@pytest.mark.parametrize("engine", ENGINES)
def test_any_file_name_is_opened(engine, model, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.onnx")
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    assert Predictor(path, engine=engine, threads=1).logits(PICTURES[:1]).shape == (1, 10)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_that_memory_cannot_hold_is_said(engine, model, tmp_path):
    onnx.save(model, str(tmp_path / "net.onnx"))
    try:
        Predictor(tmp_path / "net.onnx", engine=engine, threads=1, batch_size=50_000_000)
    except GluonAttnError as error:
        assert "memory" in str(error) and "smaller batch_size" in str(error)  # OpenVINO, which takes it at once


@pytest.mark.parametrize("path", ["x" * 300 + ".onnx", "x" * 5000 + ".onnx", "net.onnx/below.onnx", "a\0b.onnx"])
def test_what_cannot_be_opened_is_a_sentence(path, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(model, "net.onnx")
    for engine in ENGINES:
        with pytest.raises(GluonAttnError, match="cannot be read"):
            Predictor(path, engine=engine)


def test_bytes_are_no_path():
    with pytest.raises(GluonAttnError, match="takes a file of"):
        Predictor(b"net.onnx")
