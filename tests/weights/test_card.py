"""A card comes back as it was written, prepares pictures as evaluation does, and refuses what would give nonsense."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.errors import GluonAttnError
from gluon_attn.weights.card import Card

FACTS = dict(model="cifar_se_resnet20", classes=("cat", "dog"), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
CARD = Card(**FACTS, input_size=32, crop_pct=0.8, interpolation="bicubic", arch={"widths": (1, 2)}, notes={"a": 1})


def test_a_card_comes_back(tmp_path):
    assert CARD.write(tmp_path) == tmp_path / "card.json"
    assert Card.read(tmp_path) == Card.read(tmp_path / "card.json") == Card.beside(tmp_path / "w.params") == CARD
    assert Card.from_metadata(CARD.to_metadata(), "x") == CARD
    assert Card.beside(tmp_path / "elsewhere" / "w.params") is None
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_files_of_the_first_release_are_read(tmp_path):
    """They knew seven facts, and symbol files kept each as JSON text."""
    first = {"model": "m", "classes": ["a"], "mean": [0.5] * 3, "std": [0.2] * 3, "input_size": 64}
    first = {key: json.dumps(value) for key, value in {**first, "crop_pct": 1.0, "interpolation": "nearest"}.items()}
    expected = Card("m", ("a",), (0.5,) * 3, (0.2,) * 3, 64, 1.0, "nearest")
    assert Card.from_metadata({**first, "somebody": "else's {"}, "net.onnx") == expected
    (tmp_path / "net-card.json").write_text(json.dumps(first))
    assert Card.read(tmp_path / "net-card.json") == expected


def test_the_transform_is_that_of_evaluation():
    image = np.random.RandomState(0).randint(0, 256, (50, 70, 3), np.uint8)
    expected = data.eval_transform(32, CARD.mean, CARD.std, resize=40, interpolation="bicubic")(image)
    np.testing.assert_array_equal(CARD.transform()(image), expected)
    assert CARD.preparation == "shorter side to 40 (bicubic), centre 32x32, mean 0.5, 0.4, 0.3, std 0.2, 0.25, 0.3"


def test_numbers_of_numpy_are_numbers():
    arrays = dict(mean=np.float32([0.5, 0.25, 0]), classes=np.array(["a", "b"]), input_size=np.int64(8))
    card = Card(**{**FACTS, **arrays})
    assert card == Card.of(card.model, vars(card), ["a", "b"])
    assert card.mean == (0.5, 0.25, 0.0) and card.classes == ("a", "b") and type(card.input_size) is int


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(std=(0.2, 0, 0.2)), ["std", "above 0"]),
        (dict(std=(0.2, float("nan"), 0.2)), ["std", "nan", "three finite numbers"]),
        (dict(mean=(0.5, 0.5)), ["mean", "three"]),
        (dict(mean=0.5), ["mean", "0.5", "three"]),
        (dict(mean=(True, False, 1)), ["mean", "three"]),
        (dict(mean=(10**400,) * 3), ["mean", "three"]),
        (dict(interpolation="evil"), ["interpolation 'evil'", "bilinear"]),
        (dict(interpolation=3), ["interpolation is 3", "text"]),
        (dict(input_size=0), ["input_size is 0", "whole number"]),
        (dict(input_size=32.5), ["input_size is 32.5"]),
        (dict(input_size=10**9), ["input_size", "4096"]),
        (dict(crop_pct=1e-3), ["crop_pct", "0.001", "4096"]),
        (dict(crop_pct=1.5), ["crop_pct is 1.5", "at most 1"]),
        (dict(classes=()), ["classes", "names"]),
        (dict(classes="ab"), ["classes is 'ab'", "a list of names"]),
        (dict(classes=(1, 2)), ["classes", "a list of names"]),
        (dict(model=""), ["model is ''", "text"]),
        (dict(arch=["reduction"]), ["arch", "{'reduction': 8}"]),
        (dict(notes={"x": float("inf")}), ["notes", "JSON"]),
        (dict(precision="int4"), ["precision 'int4'", "int8"]),
    ],
)
def test_what_would_give_nonsense_is_refused(tmp_path, change, words):
    values = {**FACTS, "input_size": 32, **change}
    with pytest.raises(GluonAttnError) as caught:
        Card(**values)
    assert all(word in str(caught.value) for word in words), caught.value
    path = tmp_path / "card.json"
    path.write_text(json.dumps(values))
    with pytest.raises(GluonAttnError) as caught:
        Card.read(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ["not JSON"]),
        (b"\xff\xfe", ["not JSON"]),
        (b"[" * 100000, ["not JSON"]),
        (b"[1]", ["no JSON object"]),
        (b"{}", ["does not say its model, classes, mean, std, input_size"]),
        (json.dumps({**FACTS, "input_size": 32, "crop_ptc": 1}).encode(), ["'crop_ptc'", "'crop_pct'"]),
    ],
)
def test_damaged_files_are_sentences(tmp_path, content, words):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(GluonAttnError) as caught:
        Card.read(path)
    assert all(word in str(caught.value) for word in (str(path), *words)), caught.value
    path.unlink()
    with pytest.raises(GluonAttnError, match="Cannot read the card .*No such file"):
        Card.read(path)


def test_reading_one_needs_no_framework(tmp_path):
    CARD.write(tmp_path)
    code = (
        "import sys; sys.modules['mxnet'] = sys.modules['gluoncv'] = None\n"
        "from gluon_attn.weights.card import Card\nprint(Card.read(sys.argv[1]).transform())"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, stdout=subprocess.PIPE, text=True)
    assert "Centre(size=32, resize=40" in answer.stdout
