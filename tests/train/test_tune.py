"""Hyper-parameter search; what needs autogluon.core is skipped where it is not installed (extra `tune`)."""

from __future__ import annotations

import csv

import pytest

from gluon_attn import cli
from gluon_attn.errors import GluonAttnError
from gluon_attn.train import Recipe, fit, tune
from tests.train.tiny import tiny


def test_what_to_search():
    found = tune.parse_search("lr,mixup=0|0.2,wd=1e-4..1e-3,attention", "cifar_se_resnet20")
    assert found["lr"] == (0.005, 0.5) and found["mixup"] == [0.0, 0.2] and found["wd"] == (1e-4, 1e-3)
    assert {"", "aff", "inv_se"} <= set(found["attention"])
    with pytest.raises(GluonAttnError, match="Unknown --search 'lrr'. Did you mean 'lr'"):
        tune.parse_search("lrr", "cifar_resnet20")
    with pytest.raises(GluonAttnError, match="write a range, 0.01..0.1, or choices"):
        tune.parse_search("lr=fast", "cifar_resnet20")


def test_a_configuration_becomes_a_recipe(tmp_path):
    recipe = tiny(tmp_path, model="cifar_se_resnet20", arch={})
    got = tune.apply(recipe, {"lr": 0.3, "attention": "aff", "reduction": 8})
    assert (got.model, got.arch, got.lr) == ("cifar_aff_resnet20", {"reduction": 8}, 0.3)
    got = tune.apply(recipe, {"attention": "", "reduction": 8})
    assert (got.model, got.arch) == ("cifar_resnet20", {})  # a plain network has no reduction


def test_the_median_rule():
    others = [[0.2, 0.4, 0.6], [0.3, 0.5, 0.7], [0.1, 0.2]]
    assert not tune.is_behind([0.0, 0.1], others)  # too early to tell
    assert tune.is_behind([0.0, 0.1, 0.5], others) and not tune.is_behind([0.0, 0.1, 0.6], others)
    assert not tune.is_behind([0.0, 0.1, 0.1], others[:2])  # too few to compare with


def test_mistakes(capsys):
    words = ["tune", "--model", "cifar_resnet20", "--dataset", "digits"]
    assert cli.main(words) == 2 and "A search needs an end" in capsys.readouterr().err
    assert cli.main([*words, "--trials", "2", "--search", "lr", "--dry-run"]) == 0
    assert "search    lr: 0.005 .. 0.5" in capsys.readouterr().out


def test_it_beats_a_bad_start(tmp_path):
    """From a rate a hundred times too small; the best recipe is a file that trains."""
    pytest.importorskip("autogluon.core")
    bad = tiny(tmp_path / "bad", lr=0.0005, dataset_options={"per_class": 20}, epochs=5)
    spaces = {"lr": (0.005, 0.3), "label_smoothing": [0.0, 0.1]}
    search = tune.tune(bad, spaces, tmp_path / "tune", trials=5)
    start = fit(tune.held_out(bad), progress=False)
    assert len(search.trials) == 5 and search.best["accuracy"] > start["best_accuracy"] + 0.1
    with open(tmp_path / "tune" / "tune.csv") as stream:
        assert len(list(csv.DictReader(stream))) == 5
    assert (tmp_path / "tune" / "trial-004" / "history.csv").is_file() and (tmp_path / "tune" / "tune.png").is_file()
    best = Recipe.load(tmp_path / "tune" / "best.yaml")
    assert best.lr == pytest.approx(search.best["lr"]) and best.validation == 2
