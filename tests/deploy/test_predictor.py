"""One Predictor, every engine and precision: the same classes as Gluon on the images as `evaluate` prepares them."""

from __future__ import annotations

import json
import re
from collections import deque
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from gluon_attn import GluonAttnError, _compat, data, deploy
from gluon_attn.deploy import Predictor, export_onnx, export_symbol
from gluon_attn.deploy.export.trace import as_block
from gluon_attn.deploy.run import engines, mxnet_engine
from gluon_attn.weights.card import Card
from tests.helpers import build

onnx = pytest.importorskip("onnx")
DIGITS = data.get_dataset("digits", "test")


def every_engine(able=lambda engine: True):
    """The engines of the table for which `able` holds; those that are not installed are skipped."""
    for name, engine in engines.ENGINES.items():
        absent = pytest.mark.skipif(not engines.is_installed(name), reason=f"what {name} needs is not installed")
        if able(engine):
            yield pytest.param(name, marks=absent)


CARD = Card("cifar_aff_resnet20", tuple(DIGITS.classes), DIGITS.mean, DIGITS.std, 32, 1.0)
PICTURES = [DIGITS[i][0] for i in range(0, 200, 10)]
WRITERS = {".onnx": "export_onnx", ".json": "export_symbol", ".safetensors": "export_torch"}  # by the last suffix


@pytest.fixture(scope="module")
def net():
    return build("cifar_aff_resnet20", classes=10)


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    export_onnx(net, folder / "net.onnx", 32, card=CARD)
    export_symbol(net, folder / "net", 32, card=CARD)
    net.save_parameters(str(folder / "net.params"))
    return folder


@pytest.fixture(scope="module")
def expected(net):
    transform = data.eval_transform(32, DIGITS.mean, DIGITS.std)
    batch = np.stack([transform(image, None) for image in PICTURES])
    return net(mx.nd.array(batch)).asnumpy()


@pytest.mark.parametrize("file", ["net.onnx", "net-symbol.json"])
def test_stored_files_give_what_gluon_gives(files, expected, file):
    predictor = Predictor(files / file, batch_size=7)
    np.testing.assert_allclose(predictor.logits(PICTURES), expected, rtol=1e-3, atol=1e-4)
    (name, probability), *_ = predictor(PICTURES[:1], top=3)[0]
    powers = np.exp(expected[0] - expected[0].max())
    assert name == DIGITS.classes[expected[0].argmax()]
    assert probability == pytest.approx((powers / powers.sum()).max(), rel=1e-3)


def test_the_page_has_every_engine():
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    for name, engine in engines.ENGINES.items():
        row = f"| `{name}` | `{engine.suffix}` | {', '.join(engine.precisions)} |"
        assert row in page, "add a row to the table in docs/deploy.md"


def test_what_every_engine_needs_is_said_everywhere():
    top = Path(__file__).parents[2]
    pages = {name: (top / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CONTRIBUTING.md")}
    for name, engine in engines.ENGINES.items():
        package = engine.package or name
        assert package == "mxnet" or package in _compat._REMEDIES, f"what brings {package}, in _compat._REMEDIES"
        assert re.search(rf'"{package}\W', pages["pyproject.toml"]), f"an extra with {package} in pyproject.toml"
        assert re.search(rf"^\| {package} ", pages["CONTRIBUTING.md"], re.M), f"why {package}, in CONTRIBUTING.md"


@pytest.mark.parametrize("engine", every_engine(lambda engine: engine.suffix != ".safetensors"))
def test_no_images_and_another_size(files, engine):
    """The same of every engine: nothing is run for nothing, and another size is said by a card."""
    predictor = Predictor(files / f"net{engines.find(engine).suffix}", engine=engine)
    predictor.engine = None
    none = predictor.run(np.zeros((0, 3, 32, 32), "float32"))
    assert none.shape == (0, 10) and none.dtype == "float32"
    with pytest.raises(GluonAttnError, match=r"\(2, 3, 40, 40\). .*card=predictor.card.but\(input_size=") as caught:
        predictor.run(np.zeros((2, 3, 40, 40), "float32"))
    assert len(str(caught.value)) < 300
    larger = Predictor(files / f"net{engines.find(engine).suffix}", engine=engine, card=CARD.but(input_size=40))
    assert larger.run(np.zeros((2, 3, 40, 40), "float32")).shape == (2, 10)


@pytest.mark.parametrize("engine", every_engine())
def test_a_name_of_the_zoo(files, net, engine):
    predictor = Predictor("cifar_aff_resnet20", files / "net.params", engine, classes=10)
    spec = data.eval_transform(32, predictor.card.mean, predictor.card.std)
    expected = net(mx.nd.array(np.stack([spec(image, None) for image in PICTURES[:3]]))).asnumpy()
    np.testing.assert_allclose(predictor.logits(PICTURES[:3]), expected, rtol=1e-3, atol=1e-4)
    assert predictor.card.classes[3] == "class 3"


def test_paths_pictures_and_arrays_are_one(files, tmp_path):
    Image.fromarray(PICTURES[0]).save(tmp_path / "digit.png")
    predictor = Predictor(files / "net.onnx", threads=1)
    rows = predictor.logits([tmp_path / "digit.png", Image.fromarray(PICTURES[0]), PICTURES[0]])
    np.testing.assert_allclose(rows[1:], rows[:1].repeat(2, 0), rtol=1e-4, atol=1e-5)
    assert predictor.logits([]).shape == (0, 10)
    np.testing.assert_array_equal(predictor.logits(deque(PICTURES[:1] * 3)), rows[2:].repeat(3, 0))


def _turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(PICTURES[0])).save(tmp_path / "a.png", exif=exif)


def _transparent(tmp_path):
    black = np.zeros((32, 32, 4), "uint8")  # nothing but alpha: the digit in black on white
    black[..., 3] = 255 - PICTURES[0][..., 0]
    Image.fromarray(black).save(tmp_path / "a.png")


def _deep(tmp_path):
    Image.fromarray(PICTURES[0][..., 0].astype("uint16") * 257).save(tmp_path / "a.png")


@pytest.mark.parametrize("save", [_turned, _transparent, _deep])
def test_a_picture_is_what_people_see(files, tmp_path, save):
    """Three files that show the digit, and would be another picture if read byte by byte."""
    save(tmp_path)
    predictor = Predictor(files / "net.onnx", threads=1)
    with Image.open(tmp_path / "a.png") as opened:
        rows = predictor.logits([PICTURES[0], tmp_path / "a.png", opened])
    np.testing.assert_allclose(rows[1:], rows[:1].repeat(2, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", every_engine(lambda engine: "int8" in engine.precisions))
def test_int8_stays_close(files, expected, engine):
    file = files / f"net{engines.find(engine).suffix}"
    if engine == "mxnet" and not mxnet_engine._has_vnni():
        with pytest.raises(GluonAttnError, match="needs a CPU with VNNI"):
            Predictor(file, precision="int8", calibration=PICTURES)
        return
    predictor = Predictor(file, engine=engine, precision="int8", calibration=PICTURES)
    found = predictor.logits(PICTURES)
    assert abs(found - expected).max() > 0, "nothing was quantised"
    assert abs(found - expected).max() < 0.05 * abs(expected).max()


def test_mxnet_calibrates_on_every_batch(monkeypatch):
    """Its own count is of images, not of batches: the first alone was looked at."""
    monkeypatch.setattr(mxnet_engine, "_has_vnni", lambda: True)
    block = as_block(build("cifar_resnet20", classes=10, layers=(1, 1, 1)))
    images = np.random.RandomState(0).randn(3, 4, 3, 32, 32).astype("float32")
    images[0] /= 100

    def logits(batches):
        engine = mxnet_engine.MxnetEngine((block, ["logits"]))
        engine.quantize(batches)
        engine.prepare(32, 4)
        return engine(images[1])

    np.testing.assert_array_equal(logits(images), logits(images[::-1]))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda f: Predictor(f / "net.onnx", engine="tensorrt"), ["engine 'tensorrt'", "onnxruntime"]),
        (lambda f: Predictor(f / "net.onnx", engine="mxnet"), ["-symbol.json"]),
        (lambda f: Predictor(f / "net.onnx", precision="int8"), ["calibration=", "deploy.quantize"]),
        (lambda f: Predictor(f / "net.onnx", precision="int4"), ["precision 'int4'", "int8"]),
        (lambda f: Predictor(f / "net.onnx", "onnxruntime", precision="bfloat16"), ["holds its weights"]),
        (
            lambda f: Predictor(f / "net.onnx", engine="onnxruntime", precision="bfloat16"),
            ["'bfloat16' is for engine='openvino'", "float32"],
        ),
        (lambda f: Predictor(f / "net.onnx", engine="onnxruntime", cache=f), ["cache=", "openvino"]),
        (lambda f: Predictor(f / "net.onnx", batch_size=-1), ["batch_size=-1", "1 or more"]),
        (lambda f: Predictor(f / "net.onnx", batch_size=2.0), ["batch_size=2.0", "whole number"]),
        (lambda f: Predictor(f / "net.onnx", threads=10**6), ["threads=1000000", "1024"]),
        (lambda f: Predictor(f / "net.onnx", threads=-1), ["threads=-1"]),
        (lambda f: Predictor(f / "net.onnx", threads=None), ["threads=None"]),
        (lambda f: Predictor(f / "net.onnx", card={"mean": 0}), ["card=", "deploy.Card"]),
        (lambda f: Predictor(None), ["None", "gluon-attn export"]),
        (lambda f: Predictor(f / "none.onnx"), ["no file", "none.onnx"]),
        (lambda f: Predictor(f / "none-symbol.json"), ["no file", "none-symbol.json"]),
        (lambda f: Predictor(f / "net.ONNX"), ["net.ONNX is no file of", "net.onnx, net-symbol.json"]),
        (lambda f: Predictor("net.ONNX"), ["net.ONNX is no file of"]),
        (lambda f: Predictor(f / "net"), ["net is no file of"]),
        (lambda f: Predictor(f), ["is no file of"]),
        (lambda f: Predictor("aff_resnet5"), ["Unknown model 'aff_resnet5'. Did you mean"]),
        (lambda f: Predictor(f / "net.onnx")(PICTURES[:1], top=-1), ["top=-1", "1 or more"]),
        (lambda f: Predictor(f / "net.onnx")(None), ["list of images", "None"]),
        (lambda f: Predictor(f / "net.onnx")({"a": PICTURES[0]}), ["list of images", "no dictionary"]),
        (lambda f: Predictor(f / "net.onnx")([None]), ["an array", "None"]),
        (lambda f: Predictor(f / "net.onnx")([np.zeros((0, 0, 3), "uint8")]), ["0x0"]),
        (lambda f: Predictor(f / "net.onnx")([np.zeros((5, 0, 3), "uint8")]), ["0x5"]),
        (lambda f: Predictor(f / "net.onnx")([Image.new("RGB", (0, 0))]), ["0x0"]),
        (lambda f: Predictor(f / "net.onnx", card=CARD.but(classes=["a"]))(PICTURES[:1]), ["(1, 10)", "1 classes"]),
        (lambda f: Predictor(f / "net.onnx", precision="int8", calibration=[]), ["empty"]),
        (lambda f: Predictor(f / "net.onnx", True), ["holds its weights"]),
        (lambda f: Predictor(f / "net-symbol.json", threads=2), ["OMP_NUM_THREADS"]),
        (lambda f: Predictor(CARD.model, f / "net.params", "onnxruntime", classes=7), ["know 10 classes, not 7"]),
        (lambda f: Predictor(CARD.model, "digits", "mxnet", classes=7), ["know 10 classes, not 7"]),
        (lambda f: Predictor(CARD.model, False, "mxnet"), ["pretrained=False", "needs weights"]),
        (lambda f: Predictor(CARD.model, "digits", "mxnet", features=True), ["features= gives no logits"]),
        (lambda f: Predictor(CARD.model, "digits", "mxnet", in_channels=1), ["in_channels=1", "3 channels"]),
        (lambda f: Predictor(f / "net.onnx")(PICTURES[0]), ["[image]"]),
        (lambda f: Predictor(f / "net.onnx")([PICTURES[0] / 255.0]), ["uint8", "float64"]),
    ],
)
def test_mistakes_are_sentences(files, make, words):
    with pytest.raises(GluonAttnError) as caught:
        make(files)
    assert all(word in str(caught.value) for word in words)


def test_a_file_that_is_there_is_no_unknown_name(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("weights", CARD.model):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(GluonAttnError, match="weights is no file of `gluon-attn export`"):
        Predictor("weights")
    assert Predictor(CARD.model, files / "net.params", "mxnet", classes=10).card.model == CARD.model


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("engine", every_engine())
def test_of_several_outputs_the_logits_are_taken(tmp_path, engine, file):
    """ABN gives its attention's logits first: they would pass for the network's."""
    one_block = {"layers": (1, 1, 1)}
    net = build("cifar_abn_resnet20", outputs="all", classes=10, **one_block)
    transform = data.eval_transform(32, DIGITS.mean, DIGITS.std)
    expected = net(mx.nd.array(np.stack([transform(image) for image in PICTURES[:2]])))[1].asnumpy()
    if file:
        path = tmp_path / f"net{engines.find(engine).suffix}"
        write = getattr(deploy, WRITERS[path.suffix])
        write(net, tmp_path / ("net" if path.suffix == ".json" else path.name), 32, card=CARD)
        predictor = Predictor(path, engine=engine)
    else:
        net.save_parameters(str(tmp_path / "net.params"))
        options = dict(pretrained=tmp_path / "net.params", classes=10, outputs="all", card=CARD, **one_block)
        predictor = Predictor("cifar_abn_resnet20", engine=engine, **options)
    np.testing.assert_allclose(predictor.logits(PICTURES[:2]), expected, rtol=1e-3, atol=1e-4)


def test_a_file_without_logits_is_refused(tmp_path):
    export_onnx(build("cifar_resnet20", features=("stage1", "stage3")), tmp_path / "net.onnx", 32, card=CARD)
    with pytest.raises(GluonAttnError, match="gives stage1, stage3, none of which is called 'logits'"):
        Predictor(tmp_path / "net.onnx")


def test_a_symbol_file_of_the_first_release(files, expected, tmp_path):
    """Its card held JSON texts, and did not name the outputs."""
    for name in ("net-symbol.json", "net-0000.params"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    first = {key: value for key, value in CARD.to_metadata().items() if key not in ("outputs", "precision", "notes")}
    (tmp_path / "net-card.json").write_text(json.dumps(first))
    found = Predictor(tmp_path / "net-symbol.json").logits(PICTURES)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def _cut(content):
    return content[: len(content) // 2]


def _flipped(content):
    return content[:200] + bytes(255 - byte for byte in content[200:300]) + content[300:]


OF_ONNX = list(every_engine(lambda engine: engine.suffix == ".onnx"))


@pytest.mark.parametrize("engine", OF_ONNX)
@pytest.mark.parametrize("break_", [_cut, _flipped, lambda content: b"", lambda content: b"[" * 1000])
def test_broken_onnx_files_are_sentences(files, tmp_path, engine, break_):
    path = tmp_path / "net.onnx"
    path.write_bytes(break_((files / "net.onnx").read_bytes()))
    with pytest.raises(GluonAttnError) as caught:
        Predictor(path, engine=engine)(PICTURES[:1])
    assert str(path) in str(caught.value) or "damaged" in str(caught.value)
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", OF_ONNX)
def test_nan_weights_do_not_pass_for_an_answer(files, tmp_path, engine):
    model = onnx.load(str(files / "net.onnx"))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[:] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, str(tmp_path / "net.onnx"))
    with pytest.raises(GluonAttnError, match="NaN or infinite"):
        Predictor(tmp_path / "net.onnx", engine=engine)(PICTURES[:1])


def _symbol_files(files, tmp_path, suffix, change):
    for name in ("net-symbol.json", "net-0000.params", "net-card.json"):
        content = (files / name).read_bytes()
        (tmp_path / name).write_bytes(change(content) if name.endswith(suffix) else content)
    return tmp_path / "net-symbol.json"


@pytest.mark.parametrize("suffix", ["-symbol.json", ".params", "-card.json"])
@pytest.mark.parametrize("break_", [_cut, lambda content: b"", lambda content: b"{}", lambda content: b"[" * 100000])
def test_broken_symbol_files_are_sentences(files, tmp_path, suffix, break_):
    path = _symbol_files(files, tmp_path, suffix, break_)
    with pytest.raises(GluonAttnError) as caught:
        Predictor(path)
    assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 600


def test_nan_weights_of_a_symbol_file_are_refused(files, tmp_path):
    arrays = mx.nd.load(str(files / "net-0000.params"))
    name = next(name for name in arrays if name.endswith("weight"))
    arrays[name][:] = np.nan
    mx.nd.save(str(tmp_path / "nan.params"), arrays)
    path = _symbol_files(files, tmp_path, ".params", lambda content: (tmp_path / "nan.params").read_bytes())
    with pytest.raises(GluonAttnError, match=f"{name[4:]} holds NaN"):
        Predictor(path)


@pytest.mark.parametrize(
    "name", ["cifar_se_resnet20", "cifar_cbam_resnet20", "cifar_resnet20", "cifar_abn_se_resnet20"]
)
def test_fusions_of_mxnet_leave_gates_alone(name):
    """The sum behind a gate was fused into the wrong convolution, in every SE and CBAM network."""
    net, x = build(name, classes=10), np.stack([CARD.transform()(image) for image in PICTURES[:3]])
    engine = mxnet_engine.MxnetEngine((as_block(net), ["logits"]))
    engine.prepare(32, 3)
    np.testing.assert_allclose(engine(x), net(mx.nd.array(x)).asnumpy(), rtol=1e-4, atol=1e-5)
