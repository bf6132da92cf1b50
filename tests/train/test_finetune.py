"""AdamW, frozen parts, the head's rate, patience, and runs that go on for longer."""

from __future__ import annotations

import dataclasses
import json

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.check import check
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train import build, fit
from gluon_attn.train.adamw import AdamW
from gluon_attn.train.parts import weights_in_all
from gluon_attn.train.update import create_trainer
from gluon_attn.weights.files import read_arrays
from tests.train.tiny import TINY, accuracies, tiny


def arrays(path):
    return read_arrays(path.read_bytes())


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A trained file for ten classes."""
    folder = tmp_path_factory.mktemp("start")
    fit(tiny(folder, epochs=1), progress=False)
    return folder / "best.params"


def reference(w, gradients, lrs, wd, decayed):
    """Algorithm 2 of Loshchilov and Hutter in float64, the decay scaled by the rate as in PyTorch."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (g, lr) in enumerate(zip(gradients, lrs), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - lr * (step + wd * decayed * w)
    return w


@pytest.mark.parametrize("decayed", [0, 1])
def test_adamw_is_its_definition(decayed):
    rng = np.random.RandomState(0)
    w, gradients = rng.randn(7), rng.randn(20, 7) * 10.0 ** rng.randint(-6, 3, (20, 1))
    gradients[3] = 0
    lrs = np.linspace(0, 0.1, 20)
    optimiser = AdamW(wd=0.05, learning_rate=0.1)
    optimiser.set_wd_mult({0: decayed})
    optimiser.rescale_grad = 1 / 4
    weight = mx.nd.array(w)
    state = optimiser.create_state(0, weight)
    for g, lr in zip(gradients, lrs):
        optimiser.set_learning_rate(lr)
        optimiser.update(0, weight, mx.nd.array(4 * g), state)
    np.testing.assert_allclose(weight.asnumpy(), reference(w, gradients, lrs, 0.05, decayed), rtol=2e-5, atol=1e-6)


@pytest.mark.ci
def test_an_interrupted_adamw_run_ends_in_the_same_weights(tmp_path, start):
    given = dict(optimizer="adamw", lr=1e-3, wd=0.05, epochs=3, head_lr=10, freeze=["stem"], pretrained=str(start))
    fit(tiny(tmp_path / "a", **given), progress=False)
    fit(tiny(tmp_path / "b", **given), progress=False, on_epoch=lambda row: row["epoch"] == 1)
    fit(tiny(tmp_path / "b", **given, resume="auto"), progress=False)
    one, other = (arrays(tmp_path / run / "last.params") for run in "ab")
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    with pytest.raises(GluonAttnError, match="--optimizer nag cannot go on with what adamw remembers"):
        newest = sorted((tmp_path / "b").glob("checkpoint-*.npz"))[-1]
        fit(tiny(tmp_path / "b", **{**given, "optimizer": "nag"}, resume=str(newest)), progress=False)


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}, {"optimizer": "adamw"}, {"devices": "cpu:0,cpu:1,cpu:2"}])
def test_frozen_parts_stay_to_the_last_bit(tmp_path, start, more):
    given = dict(pretrained=str(start), freeze="stem,stage1", wd=0.01, epochs=1, **more)
    metrics = fit(tiny(tmp_path, **given), progress=False)
    before, after = arrays(start), arrays(tmp_path / "last.params")
    for name, array in before.items():
        same = np.array_equal(array, after[name])
        assert same == name.startswith(("stem.", "stages.0.")), name
    whole = gluon_attn.get_model("cifar_resnet20", classes=10, **TINY)
    assert metrics["parameters"] == weights_in_all(whole)
    assert "stem, stage1 frozen" in (tmp_path / "train.log").read_text()


def test_parts_are_checked(tmp_path, start):
    with pytest.raises(GluonAttnError, match="Unknown part in --freeze 'stage9'.*stage3, stem"):
        fit(tiny(tmp_path, pretrained=str(start), freeze="stage9"), progress=False)
    with pytest.raises(GluonAttnError, match="leaves nothing to train"):
        fit(tiny(tmp_path, pretrained=str(start), freeze="stem,stage1,stage2,stage3,head"), progress=False)
    with pytest.raises(GluonAttnError, match="give --pretrained true"):
        check(tiny(tmp_path, freeze="stem"))
    with pytest.raises(GluonAttnError, match="only the first worker evaluates"):
        check(tiny(tmp_path, patience=3, kvstore="dist_sync"))


def test_the_head_learns_faster(start):
    recipe = tiny("unused", pretrained=str(start), head_lr=10)
    net = build.build(recipe, 10, [mx.cpu()])
    trainer = create_trainer(net, recipe, "device")
    rates = {name: trainer.optimizer._get_lr(i) for i, name in enumerate(p.name for p in trainer._params)}
    head = set(net.head.collect_params())
    assert head and {rates[name] for name in head} == {0.5}
    assert {rate for name, rate in rates.items() if name not in head} == {0.05}


def test_a_new_head_is_drawn_from_the_seed(start):
    nets = {
        case: build.build(tiny("unused", pretrained=str(start), **given), classes, [mx.cpu()])
        for case, (classes, given) in {
            "kept": (10, {}),
            "new": (10, {"new_head": True}),
            "again": (10, {"new_head": True}),
            "other seed": (10, {"new_head": True, "seed": 1}),
            "three": (3, {}),
            "three again": (3, {}),
        }.items()
    }
    values = {case: net.head.fc.weight.data().asnumpy() for case, net in nets.items()}
    np.testing.assert_array_equal(values["kept"], arrays(start)["head.fc.weight"])
    np.testing.assert_array_equal(values["new"], values["again"])
    np.testing.assert_array_equal(values["three"], values["three again"])
    assert not np.array_equal(values["new"], values["kept"]) and not np.array_equal(values["new"], values["other seed"])
    for case in ("new", "three"):
        np.testing.assert_array_equal(nets[case].stem[0].weight.data().asnumpy(), arrays(start)["stem.0.weight"])


def test_patience(tmp_path, monkeypatch):
    accuracies(monkeypatch, [0.1, 0.3, 0.3, 0.2, 0.9])
    metrics = fit(tiny(tmp_path, epochs=9, patience=2, dataset_options={"per_class": 1}), progress=False)
    assert metrics["epochs_done"] == 4 and metrics["best_epoch"] == 2
    assert "ended after epoch 4: no better accuracy on test in 2 evaluations" in (tmp_path / "train.log").read_text()
    # What was ended stays ended, without another evaluation.
    again = fit(tiny(tmp_path, epochs=9, patience=2, dataset_options={"per_class": 1}, resume="auto"), progress=False)
    assert again["epochs_done"] == 4


def test_patience_counts_on_after_an_interruption(tmp_path, monkeypatch):
    accuracies(monkeypatch, [0.3, 0.2, 0.1, 0.1])
    given = dict(epochs=9, patience=2, dataset_options={"per_class": 1})
    fit(tiny(tmp_path, **given), progress=False, on_epoch=lambda row: row["epoch"] == 1)
    assert fit(tiny(tmp_path, **given, resume="auto"), progress=False)["epochs_done"] == 3


def test_patience_and_rare_evaluations(tmp_path, monkeypatch):
    """It counts them, and is asked after them alone: the accuracies are those of the weights that are left."""
    accuracies(monkeypatch, [0.5, 0.6, 0.4])
    given = dict(epochs=30, eval_every=2, patience=1, dataset_options={"per_class": 1})
    metrics = fit(tiny(tmp_path, **given), progress=False)
    assert (metrics["epochs_done"], metrics["best_epoch"], metrics["last_accuracy"]) == (6, 4, 0.4)
    assert fit(tiny(tmp_path, **given, resume="auto"), progress=False)["epochs_done"] == 6


def test_an_epoch_that_turns_out_to_be_the_last_is_evaluated(tmp_path, monkeypatch):
    accuracies(monkeypatch, [0.5])
    given = dict(epochs=4, eval_every=3, dataset_options={"per_class": 1})
    metrics = fit(tiny(tmp_path, **given), progress=False, on_epoch=lambda row: True)
    assert (metrics["epochs_done"], metrics["best_epoch"], metrics["last_accuracy"]) == (1, 1, 0.5)
    assert (tmp_path / "best.params").read_bytes() == (tmp_path / "last.params").read_bytes()
    assert (tmp_path / "history.csv").read_text().splitlines()[1].split(",")[3] == "0.5"


@pytest.mark.ci
def test_more_epochs(tmp_path):
    step = dict(schedule="step", milestones=[1])
    fit(tiny(tmp_path / "a", epochs=3, **step), progress=False)
    fit(tiny(tmp_path / "b", epochs=2, **step), progress=False)
    assert fit(tiny(tmp_path / "b", epochs=3, **step, resume="auto"), progress=False)["epochs_done"] == 3
    one, other = (arrays(tmp_path / run / "last.params") for run in "ab")
    np.testing.assert_array_equal(one["head.fc.weight"], other["head.fc.weight"])
    with pytest.raises(GluonAttnError, match="was started with --epochs 3"):
        fit(tiny(tmp_path / "b", epochs=2, **step, resume="auto"), progress=False)
    fit(tiny(tmp_path / "c", epochs=1), progress=False)
    with pytest.raises(GluonAttnError, match="--epochs 1, on which the cosine schedule depends"):
        fit(tiny(tmp_path / "c", epochs=2, resume="auto"), progress=False)


def test_the_recipe_of_fine_tuning():
    recipe = Recipe.load("finetune", model="se_resnet50")
    check(recipe)
    assert (recipe.optimizer, recipe.head_lr, recipe.new_head, recipe.patience) == ("adamw", 10, True, 8)
    assert recipe.validation == 0.2 and recipe.pretrained == "true"
    assert Recipe.of({"freeze": ""}).freeze == [] and Recipe.of({"freeze": "stem, stage1"}).freeze == ["stem", "stage1"]
    assert dataclasses.replace(recipe).as_dict() == json.loads(json.dumps(recipe.as_dict()))
