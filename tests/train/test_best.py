"""best.params of a run that goes on from a checkpoint which is named."""

from __future__ import annotations

import json
import shutil

import pytest

from gluon_attn.errors import GluonAttnError
from gluon_attn.train import checkpoint, fit
from gluon_attn.train.checkpoint import Checkpoints
from tests.train.tiny import accuracies, edited, tiny

SMALL = dict(dataset_options={"per_class": 1}, epochs=3)


def course(folder, monkeypatch, values, **changes):
    """(its checkpoints by epoch, {epoch: best.params after it}) of a run with these accuracies."""
    accuracies(monkeypatch, values)
    best = {}

    def see(row):
        best[row["epoch"] + 1] = (folder / "best.params").read_bytes()

    fit(tiny(folder, **{**SMALL, **changes}), progress=False, on_epoch=see)
    return {checkpoint.read(path)[1]["epoch"]: path for path in Checkpoints(folder).paths()}, best


def early(path):
    """As checkpoints were once: they do not say the hash."""

    def forget(arrays, meta):
        del meta["kept_md5"], meta["format"]

    edited(path, forget)


@pytest.mark.parametrize("said", [True, False])
def test_elsewhere_the_best_weights_come_along(tmp_path, monkeypatch, said):
    checkpoints, best = course(tmp_path / "a", monkeypatch, [0.5, 0.3, 0.2, 0.4], validation=1)
    if not said:
        early(checkpoints[3])
    accuracies(monkeypatch, [0.1, 0.7])
    monkeypatch.setenv("HOME", str(tmp_path))
    resume = f"~/{checkpoints[3].relative_to(tmp_path)}"
    given = dict(SMALL, epochs=4, lr=0.1, validation=1, resume=resume)
    metrics = fit(tiny(tmp_path / "b", **given), progress=False)
    assert (tmp_path / "b" / "best.params").read_bytes() == best[1]
    assert (metrics["best_epoch"], metrics["best_accuracy"], metrics["test_accuracy_of_best"]) == (1, 0.5, 0.7)


@pytest.mark.parametrize("where", ["a", "b"])
def test_the_best_of_an_abandoned_course_is_not_taken_for_it(tmp_path, monkeypatch, where):
    """The checkpoint's own weights were the best until then."""
    checkpoints, best = course(tmp_path / "a", monkeypatch, [0.3, 0.5, 0.9])
    accuracies(monkeypatch, [0.4])
    metrics = fit(tiny(tmp_path / where, **SMALL, lr=0.1, resume=str(checkpoints[2])), progress=False)
    assert (metrics["best_epoch"], metrics["best_accuracy"]) == (2, 0.5)
    assert (tmp_path / where / "best.params").read_bytes() == best[2]
    aside = tmp_path / where / "best-before.params"
    assert aside.read_bytes() == best[3] if where == "a" else not aside.exists()


@pytest.mark.parametrize("said", [True, False])
def test_best_weights_that_are_lost_are_no_longer_the_best(tmp_path, monkeypatch, said):
    folder = tmp_path / "a"
    checkpoints, _ = course(folder, monkeypatch, [0.5, 0.3, 0.9])
    if not said:
        early(checkpoints[2])
    accuracies(monkeypatch, [0.1, 0.2])
    metrics = fit(tiny(folder, **dict(SMALL, epochs=4), lr=0.1, resume=str(checkpoints[2])), progress=False)
    assert (metrics["best_epoch"], metrics["best_accuracy"]) == (4, 0.2)
    assert (folder / "best.params").read_bytes() == (folder / "last.params").read_bytes()
    log = (folder / "train.log").read_text()
    assert "the weights of epoch 1, the best so far, are not beside" in log and "it is best-before.params now" in log
    accuracies(monkeypatch, [0.1])
    again = fit(tiny(folder, **dict(SMALL, epochs=4), lr=0.1, resume="auto"), progress=False)
    assert again["best_epoch"] == 4 and json.loads((folder / "metrics.json").read_text())["best_epoch"] == 4


def test_nothing_is_left_to_do(tmp_path, monkeypatch):
    checkpoints, _ = course(tmp_path / "a", monkeypatch, [0.5, 0.3, 0.2])
    (tmp_path / "alone").mkdir()
    alone = shutil.copy(str(checkpoints[3]), str(tmp_path / "alone"))
    with pytest.raises(GluonAttnError, match="all 3 epochs done, and the best.params of its best one, epoch 1, is not"):
        fit(tiny(tmp_path / "b", **SMALL, resume=alone), progress=False)
    with pytest.raises(GluonAttnError, match="has 3 epochs done already, more than --epochs 2: give more"):
        fit(tiny(tmp_path / "c", **dict(SMALL, epochs=2), resume=alone), progress=False)


def _finished(folder, monkeypatch, values, **changes):
    """A run that was killed before its last files were written."""
    course(folder, monkeypatch, values, **changes)
    for name in ("metrics.json", "history.csv"):
        (folder / name).unlink()
    return folder / "best.params"


def _other(path):
    path.write_bytes((path.parent / "last.params").read_bytes())


def _cut(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("changed", [_other, _cut])
def test_a_file_that_somebody_changed_is_not_taken_for_the_best(tmp_path, monkeypatch, changed):
    """By `auto`, too: with a test split it would be tested, and elsewhere the folder would be that model."""
    changed(_finished(tmp_path / "a", monkeypatch, [0.5, 0.3, 0.2, 0.4], validation=1))
    accuracies(monkeypatch, [0.7])
    with pytest.raises(GluonAttnError, match="best.params is not what this run wrote then"):
        fit(tiny(tmp_path / "a", **SMALL, validation=1, resume="auto"), progress=False)
    changed(_finished(tmp_path / "b", monkeypatch, [0.5, 0.3, 0.2]))
    fit(tiny(tmp_path / "b", **SMALL, resume="auto"), progress=False)
    log = (tmp_path / "b" / "train.log").read_text()
    assert "warning: best.params is not of the best epoch: it is not what this run wrote then" in log


@pytest.mark.parametrize("values", [[0.5, 0.3, 0.2], [0.1, 0.2, 0.3]])
def test_a_file_that_is_gone_is_said_or_written_again(tmp_path, monkeypatch, values):
    """Where the last epoch is the best one its weights are there."""
    best = _finished(tmp_path / "a", monkeypatch, values)
    content = best.read_bytes()
    best.unlink()
    accuracies(monkeypatch, [])
    again = tiny(tmp_path / "a", **SMALL, resume="auto")
    if values[-1] == 0.2:
        with pytest.raises(
            GluonAttnError, match="a has all 3 epochs done, and the best.params of its best one, epoch 1"
        ):
            fit(again, progress=False)
        return
    fit(again, progress=False)
    assert best.read_bytes() == content


def test_a_run_that_is_done_writes_its_whole_history(tmp_path, monkeypatch):
    _finished(tmp_path / "a", monkeypatch, [0.5, 0.3, 0.2])
    accuracies(monkeypatch, [])
    fit(tiny(tmp_path / "a", **SMALL, resume="auto"), progress=False)
    assert len((tmp_path / "a" / "history.csv").read_text().splitlines()) == 4
