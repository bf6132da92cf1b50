"""One Predictor, two engines, two precisions: the same classes as Gluon on the images as `evaluate` prepares them."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from gluon_attn import GluonAttnError, data
from gluon_attn.deploy import Predictor, export_onnx, export_symbol
from gluon_attn.weights.card import Card
from tests.helpers import build

onnx = pytest.importorskip("onnx")
DIGITS = data.get_dataset("digits", "test")
CARD = Card("cifar_aff_resnet20", tuple(DIGITS.classes), DIGITS.mean, DIGITS.std, 32, 1.0)
PICTURES = [DIGITS[i][0] for i in range(0, 200, 10)]


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


@pytest.mark.parametrize("engine", ["onnxruntime", "mxnet"])
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


@pytest.mark.parametrize("file", ["net.onnx", "net-symbol.json"])
def test_int8_stays_close(files, expected, file):
    predictor = Predictor(files / file, precision="int8", calibration=PICTURES)
    found = predictor.logits(PICTURES)
    assert abs(found - expected).max() > 0, "nothing was quantised"
    assert abs(found - expected).max() < 0.05 * abs(expected).max()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda f: Predictor(f / "net.onnx", engine="tensorrt"), ["engine 'tensorrt'", "onnxruntime"]),
        (lambda f: Predictor(f / "net.onnx", engine="mxnet"), ["-symbol.json"]),
        (lambda f: Predictor(f / "net.onnx", precision="int8"), ["calibration"]),
        (lambda f: Predictor(f / "net.onnx", precision="int4"), ["precision 'int4'", "int8"]),
        (lambda f: Predictor(f / "net.onnx", precision="int8", calibration=[]), ["empty"]),
        (lambda f: Predictor(f / "net.onnx", True), ["holds its weights"]),
        (lambda f: Predictor(f / "net-symbol.json", threads=2), ["OMP_NUM_THREADS"]),
        (lambda f: Predictor(f / "net.onnx")(PICTURES[0]), ["[image]"]),
        (lambda f: Predictor(f / "net.onnx")([PICTURES[0] / 255.0]), ["uint8", "float64"]),
    ],
)
def test_mistakes_are_sentences(files, make, words):
    with pytest.raises(GluonAttnError) as caught:
        make(files)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("file", ["net.onnx", "net-symbol.json", "cifar_abn_resnet20"])
def test_of_several_outputs_the_logits_are_taken(tmp_path, file):
    """ABN gives its attention's logits first: they would pass for the network's."""
    net = build("cifar_abn_resnet20", outputs="all", classes=10)
    transform = data.eval_transform(32, DIGITS.mean, DIGITS.std)
    expected = net(mx.nd.array(np.stack([transform(image) for image in PICTURES[:2]])))[1].asnumpy()
    export_onnx(net, tmp_path / "net.onnx", 32, card=CARD)
    export_symbol(net, tmp_path / "net", 32, card=CARD)
    net.save_parameters(str(tmp_path / "net.params"))
    for engine in [None] if "." in file else ["onnxruntime", "mxnet"]:
        options = {} if "." in file else dict(pretrained=tmp_path / "net.params", classes=10, outputs="all", card=CARD)
        predictor = Predictor(tmp_path / file if "." in file else file, engine=engine, **options)
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
