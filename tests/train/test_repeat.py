"""Several seeds of one recipe, and their mean and standard deviation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gluon_attn import GluonAttnError, cli
from gluon_attn.recipe.check import check_repeated
from gluon_attn.train.repeat import in_words, repeat, summarise
from tests.train.tiny import stop_after, tiny


def test_mean_and_deviation_of_errors():
    results = [
        dict(model="m", dataset="d", seed=seed, best_accuracy=top1, best_top5=0.9, best_chosen_on="test")
        for seed, top1 in enumerate((0.70, 0.72, 0.77))
    ]
    summary = summarise(results)
    assert summary["top1_error"]["values"] == [30, 28, 23] and summary["seeds"] == [0, 1, 2]
    np.testing.assert_allclose(summary["top1_error"]["mean"], 27)
    np.testing.assert_allclose(summary["top1_error"]["std"], np.std([30, 28, 23], ddof=1), atol=1e-4)
    assert in_words(summary) == "m, test error over 3 runs: top-1 27.00 ± 3.61 %, top-5 10.00 ± 0.00 %"


def test_seeds_differ_and_the_test_set_is_measured(tmp_path):
    summary = repeat(tiny(tmp_path, epochs=1, validation=2), runs=2, progress=False)
    assert summary["measured_on"] == "test"
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    for seed, error in zip((0, 1), summary["top1_error"]["values"]):
        metrics = json.loads((tmp_path / f"seed-{seed}" / "metrics.json").read_text())
        assert metrics["seed"] == seed
        np.testing.assert_allclose(100 * (1 - metrics["test_accuracy_of_best"]), error, atol=1e-4)
        assert metrics["test_top5_of_best"] >= metrics["test_accuracy_of_best"]
    weights = [(tmp_path / f"seed-{seed}" / "last.params").read_bytes() for seed in (0, 1)]
    assert weights[0] != weights[1]


def test_the_command_says_how_often(tmp_path, capsys):
    flags = ["--model", "cifar_inv_se_resnet20", "--dataset", "digits", "--recipe", "inverse_cifar", "--dry-run"]
    assert cli.main(["repeat", "--runs", "3", *flags]) == 0
    assert capsys.readouterr().out.startswith("3 runs of")


def test_asked_to_end_it_leaves_as_a_single_training_does(tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(tiny(tmp_path / "runs").to_yaml())
    stop_after(3, monkeypatch)
    monkeypatch.setattr("gluon_attn.train.stop._leave", lambda: print("left"))
    assert cli.main(["repeat", "--recipe", str(recipe)]) == 0
    stopped, left = capsys.readouterr().out.splitlines()[-2:]
    assert stopped.startswith("stopped at epoch 1, batch 3") and left == "left"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["seed-0"]


@pytest.mark.parametrize(("seed", "runs", "fits"), [(3, 2, False), (0, 2, False), (0, 4, True)])
def test_a_summary_of_other_seeds_is_not_written_over(tmp_path, monkeypatch, seed, runs, fits):
    before = json.dumps({"seeds": [0, 1, 2]})
    (tmp_path / "summary.json").write_text(before)
    result = dict(model="m", dataset="d", best_accuracy=0.5, best_chosen_on="test")
    monkeypatch.setattr("gluon_attn.train.repeat.fit", lambda recipe, progress: {**result, "seed": recipe.seed})
    if fits:
        assert repeat(tiny(tmp_path, seed=seed), runs)["seeds"] == [0, 1, 2, 3]
        return
    with pytest.raises(GluonAttnError, match="summary.json is of the seeds 0, 1, 2, .*take another --output"):
        repeat(tiny(tmp_path, seed=seed), runs)
    assert (tmp_path / "summary.json").read_text() == before


def test_no_runs_are_an_error(tmp_path):
    with pytest.raises(GluonAttnError, match="--runs 0 trains nothing"):
        repeat(tiny(tmp_path), runs=0)


@pytest.mark.parametrize("runs, resume, said", [(0, "", "trains nothing"), (3, "a.npz", "from the same one")])
def test_repetitions_that_are_none(runs, resume, said, tmp_path):
    with pytest.raises(GluonAttnError, match=said):
        check_repeated(tiny(tmp_path, resume=resume), runs)
