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
    found = tune.parse_search("no_wd=0|true,batch-size=8|16,reduction=4|8,optimizer=nag", "cifar_se_resnet20")
    assert found == dict(no_wd=[False, True], batch_size=[8, 16], reduction=[4, 8], optimizer=["nag"])


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("lr=fast", "--lr cannot be 'fast'"),
        ("lr=0.1..0.01", "lr=0.1..0.01 is no range: .*from a number above 0"),
        ("lr=0..0.1", "is no range"),
        ("lr=a..b", "is no range"),
        ("batch_size=8..16", "batch_size=8..16 is no range: .*all take choices"),
        ("lr=-1|0.1", "--lr cannot be -1.0 .*give a number above 0"),
        ("no_wd=maybe", "--no-wd cannot be 'maybe'"),
        ("optimizer=sgd|foo", "Unknown --optimizer 'foo'"),
        ("attention=se|nosuch", "Unknown attention of cifar_resnet20 'nosuch'"),
        ("reduction=0", "--search: reduction=0 cannot be: give a whole number from 1"),
        ("reduction=x", "--search: reduction='x' cannot be"),
    ],
)
def test_what_no_trial_could_take_is_a_sentence(words, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        tune.parse_search(words, "cifar_resnet20")


def test_a_trial_is_judged_where_it_is_evaluated(tmp_path):
    search = tune.Search(tiny(tmp_path, epochs=3, eval_every=2), tmp_path)
    seen = []
    assert search({"lr": 0.05}, lambda **row: seen.append(row)) == search.best["accuracy"]
    assert [row["epoch"] for row in seen] == [2, 3] and search.best["epochs"] == 3


def test_trials_that_fail_leave_no_best_recipe(tmp_path):
    search = tune.Search(tiny(tmp_path), tmp_path)
    with pytest.raises(GluonAttnError):
        search({"batch_size": 16, "lr": -1.0}, lambda **row: None)
    assert (tmp_path / "tune.csv").is_file() and not (tmp_path / "best.yaml").exists()
    with pytest.raises(GluonAttnError, match="No trial was evaluated .trial 0: --lr cannot be"):
        search.best  # noqa: B018
    with pytest.raises(GluonAttnError, match="holds a search already"):
        tune.tune(tiny(tmp_path), {"lr": [0.1]}, tmp_path, trials=1)


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
