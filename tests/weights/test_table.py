"""Stored weights: each of params/<dataset>/<model>/<tag>/ has a name, and a damaged description is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gluon_attn
from gluon_attn import save_weights
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import WeightsError
from gluon_attn.weights import table
from gluon_attn.weights.card import Card
from gluon_attn.weights.verify import digest
from tests.helpers import build

MODEL = "cifar_resnet20"
ARCHS = {"clutter": {"layers": (1, 1, 1)}, "digits": {"layers": (1, 1, 1), "widths": (4, 8, 16)}}


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUON_ATTN_PARAMS", str(tmp_path))
    return tmp_path


def store(params, dataset, tag, model=MODEL, **arch):
    """What `store --tag` leaves."""
    folder = params / dataset / model / tag
    save_weights(build(model, classes=10, **arch), folder / table.STORED)
    facts = {**SPECS[MODEL].preprocessing, "dataset": dataset}
    Card.of(model, facts, [str(number) for number in range(10)], arch=arch).write(folder)
    hash_ = digest("sha256", (folder / table.STORED).read_bytes())
    weights = dict(sha256=hash_, top1_error=1.0, classes=10)
    (folder / "metrics.json").write_text(json.dumps({"weights": weights}), encoding="utf-8")
    return folder


def test_one_tag_in_two_data_sets_is_two_rows(params):
    store(params, "clutter", "mine", **ARCHS["clutter"])
    assert [entry.tag for entry in table.entries(MODEL)] == ["mine"]
    store(params, "digits", "mine", **ARCHS["digits"])
    assert [entry.tag for entry in table.entries(MODEL)] == ["clutter-mine", "digits-mine"]
    with pytest.raises(WeightsError, match="'mine' is not one file for .*: choose among clutter-mine, digits-mine"):
        gluon_attn.get_model(MODEL, pretrained="mine")
    for dataset, arch in ARCHS.items():
        for word in (f"{dataset}-mine", dataset):
            net = gluon_attn.get_model(MODEL, pretrained=word)
            assert net.card.dataset == dataset and {**net.zoo_arch, **arch} == net.zoo_arch


def test_a_stored_folder_is_a_run_of_one_epoch(params):
    folder = store(params, "digits", "mine", layers=(1, 1, 1))
    assert gluon_attn.load_run(folder).card == Card.read(folder)
    for which in ("best", "last"):
        with pytest.raises(WeightsError, match=f"stored weights, .* leave out which='{which}'"):
            gluon_attn.load_run(folder, which=which)


def test_a_published_tag_stays_what_it_is(params):
    store(params, "cifar10", "cifar10", "cifar_se_resnet20", layers=(1, 1, 1))
    tags = {entry.tag: entry.source for entry in table.entries("cifar_se_resnet20")}
    assert tags == {"cifar10": "imgclsmob", "cifar100": "imgclsmob", "cifar10-cifar10": "gluon_attn"}
    assert table.choose("cifar_se_resnet20", "cifar10").source == "imgclsmob"
    assert table.variants("cifar_se_resnet20")["cifar10"] == {}


WEIGHTS = dict(sha256="0", top1_error=1.0, classes=10)


@pytest.mark.parametrize(
    "metrics", [[], {}, 3, {"weights": []}, {"weights": "x"}, {"weights": WEIGHTS}, {"weights": {"classes": 10}}]
)
def test_a_damaged_description_is_a_sentence(params, metrics):
    folder = params / "digits" / MODEL / "mine"
    folder.mkdir(parents=True)
    (folder / table.STORED).write_bytes(b"")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    for ask in (lambda: table.choose(MODEL, "mine"), lambda: gluon_attn.list_models(MODEL, pretrained=True)):
        with pytest.raises(WeightsError, match=r"weights.params has no usable description in .*metrics.json.*store"):
            ask()


def test_the_page_names_every_tag():
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    assert not [entry.tag for entry in table.all_published() if f"`'{entry.tag}'`" not in page]
