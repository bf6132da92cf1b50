"""Whole runs on the embedded digits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.errors import GluonAttnError
from gluon_attn.train import Recipe, fit
from gluon_attn.weights.files import read_arrays
from tests.train.tiny import tiny


def arrays(path):
    return read_arrays(Path(path).read_bytes())


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.slow  # tests/test_smoke.py has an epoch
@pytest.mark.all_digits
def test_a_few_epochs_on_digits_beat_ninety_percent(tmp_path):
    """A small AFF network on all 1,397 images of half the side; the stored best weights give that accuracy again."""
    small = {"layers": [1, 1, 1], "widths": [16, 16, 32]}
    given = dict(model="cifar_aff_resnet20", arch=small, epochs=4, batch_size=24, image_size=16, devices="cpu:0")
    given["eval_batch_size"] = 100
    recipe = Recipe.load("digits", output=str(tmp_path), **given)
    metrics = fit(recipe, progress=False)
    assert metrics["last_accuracy"] > 0.9 and metrics["best_chosen_on"] == "test"
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained=str(tmp_path / "best.params"), classes=10, **small)
    from gluon_attn.evaluate import evaluate
    from gluon_attn.train.inputs import open_inputs

    assert evaluate(net, open_inputs(recipe).evaluation)["top1"] == metrics["best_accuracy"]


@pytest.mark.curves
def test_the_folder_of_a_run(tmp_path):
    metrics = fit(tiny(tmp_path, label_smoothing=0.1, mixup=0.2, mixup_off_epochs=1, temperature=4.0), progress=False)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored == metrics and stored["epochs"] == 2 and stored["seed"] == 0 and stored["versions"]["mxnet"]
    assert {"model", "dataset", "best_accuracy", "last_accuracy", "seconds", "command"} <= stored.keys()
    with open(tmp_path / "history.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[-1]["top1"]) == pytest.approx(metrics["last_accuracy"])
    log = (tmp_path / "train.log").read_text()
    assert "epoch 2/2" in log and "warning: --temperature 4.0 changes nothing without --teacher." in log
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert arrays(tmp_path / "best.params").keys() == arrays(tmp_path / "last.params").keys()
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_same_seed_gives_the_same_weights_for_any_number_of_workers(tmp_path):
    for folder, changes in {"a": {}, "b": {"workers": 2}, "c": {"seed": 1}}.items():
        fit(tiny(tmp_path / folder, epochs=1, mixup=1.0, **changes), progress=False)
    a, b, c = (arrays(tmp_path / folder / "last.params") for folder in "abc")
    assert_same(a, b)
    assert any((a[name] != c[name]).any() for name in a)


def test_two_devices_follow_one(tmp_path):
    """The loss curve of the same global batch, BatchNorm in inference mode (see test_update for why)."""
    curves = []
    for devices in ("cpu:0", "cpu:0,cpu:1"):
        folder = tmp_path / str(len(curves))
        recipe = tiny(folder, devices=devices, use_global_stats=True, lr=0.01, epochs=3, batch_size=12)
        fit(recipe, progress=False)
        with open(folder / "history.csv") as stream:
            curves.append([float(row["train_loss"]) for row in csv.DictReader(stream)])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    assert curves[0][-1] < curves[0][0]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "gluon_attn.train.loop.learning_rate", lambda recipe, steps, step: 0.01 if step < steps else 1e30
    )
    with pytest.raises(GluonAttnError, match="Training stopped at epoch 2.*weights of epoch 1 are kept.*smaller --lr"):
        fit(tiny(tmp_path / "three", epochs=3), progress=False)
    fit(tiny(tmp_path / "one", epochs=1), progress=False)
    assert_same(*(arrays(tmp_path / folder / "last.params") for folder in ("three", "one")))


def test_the_device_is_not_waited_for_at_every_step(tmp_path, monkeypatch):
    """Reads of device values grow with epochs and windows of updates, not with updates."""
    counts = []
    original = mx.nd.NDArray.asnumpy

    def counted(self):
        counts[-1] += 1
        return original(self)

    monkeypatch.setattr(mx.nd.NDArray, "asnumpy", counted)
    monkeypatch.setattr("gluon_attn.train.run.evaluate", lambda *_, **__: {"top1": 0.0, "top5": 0.0})
    for batch_size in (10, 5):
        counts.append(0)
        fit(tiny(tmp_path / str(batch_size), epochs=1, batch_size=batch_size, eval_batch_size=400), progress=False)
    assert counts[1] - counts[0] <= 1  # four more updates, one more look


def test_validation_chooses_and_the_test_set_is_seen_once(tmp_path):
    metrics = fit(tiny(tmp_path, dataset_options={}, validation=125, epochs=1, batch_size=50), progress=False)
    assert metrics["best_chosen_on"] == "validation" and 0 <= metrics["test_accuracy_of_best"] <= 1


def test_moving_average_is_what_is_evaluated_and_stored(tmp_path):
    fit(tiny(tmp_path / "ema", ema=0.9, epochs=1), progress=False)
    fit(tiny(tmp_path / "plain", epochs=1), progress=False)
    averaged, plain = (arrays(tmp_path / name / "last.params") for name in ("ema", "plain"))
    assert averaged.keys() == plain.keys()
    assert abs(averaged["head.fc.weight"] - plain["head.fc.weight"]).max() > 1e-4


def test_a_teacher_changes_what_is_learnt(tmp_path):
    teacher = gluon_attn.get_model("cifar_se_resnet20", classes=10)
    teacher.initialize(mx.init.Xavier())
    teacher.save_parameters(str(tmp_path / "teacher.params"))
    taught = dict(teacher="cifar_se_resnet20", teacher_weights=str(tmp_path / "teacher.params"), temperature=4)
    fit(tiny(tmp_path / "student", epochs=1, **taught), progress=False)
    fit(tiny(tmp_path / "alone", epochs=1), progress=False)
    fit(tiny(tmp_path / "hard", epochs=1, hard_weight=1.0, **taught), progress=False)
    student, alone, hard = (arrays(tmp_path / name / "last.params") for name in ("student", "alone", "hard"))
    assert abs(student["head.fc.weight"] - alone["head.fc.weight"]).max() > 1e-4
    assert_same(hard, alone)  # with all weight on the true labels the teacher has no say


def test_on_epoch_can_end_a_run(tmp_path):
    rows = []
    metrics = fit(tiny(tmp_path, epochs=5), progress=False, on_epoch=lambda row: rows.append(row) or len(rows) == 2)
    assert metrics["epochs_done"] == 2 and len(rows) == 2


def test_evaluations_can_be_rarer_than_epochs(tmp_path):
    metrics = fit(tiny(tmp_path, epochs=3, eval_every=2), progress=False)
    with open(tmp_path / "history.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(row["top1"]) for row in rows] == [False, True, True]
    assert metrics["best_epoch"] in (2, 3) and metrics["last_accuracy"] == pytest.approx(float(rows[2]["top1"]))


def test_scalars_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    fit(tiny(tmp_path, epochs=1), progress=False)
    events = b"".join(path.read_bytes() for path in (tmp_path / "tensorboard").iterdir())
    assert b"train_loss" in events and b"top1" in events
