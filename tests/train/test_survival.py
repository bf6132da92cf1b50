"""Killed, told to stop, out of disk, damaged: the run goes on, bit for bit, or says what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from gluon_attn.commands import train as script
from gluon_attn.errors import GluonAttnError, WriteError
from gluon_attn.train import checkpoint, fit, report
from gluon_attn.train.checkpoint import Checkpoints
from gluon_attn.train.log import RunLog
from gluon_attn.train.run import Run
from gluon_attn.train.stop import Stopped, StopRequest
from tests.full_disk import full_disk
from tests.train import killed
from tests.train.tiny import counted_from, stop_after, tiny, weights


def assert_same_run(one, other):
    ours, theirs = weights(one), weights(other)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    rows = [[line.split(",")[:5] for line in (Path(f) / "history.csv").read_text().split()] for f in (one, other)]
    assert rows[0] == rows[1]


@pytest.mark.ci  # imports everything anew
@pytest.mark.all_digits
def test_killed_at_random_moments_and_resumed_it_is_the_same_run(tmp_path):
    """Three SIGKILLs, whenever they fall: in an update, in a checkpoint, in an evaluation, before the first of them."""
    command = [sys.executable, "-m", "tests.train.killed", str(tmp_path / "killed"), "3"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    assert int(done.stdout.split()[-1]) >= 2
    fit(tiny(tmp_path / "whole", **{**killed.CHANGES, "resume": ""}), progress=False)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".checkpoint*.tmp"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.ci),
        {"progressive": {0: 16, 1: 32}, "mixup": 0.2},
        {"devices": "cpu:0,cpu:1"},
        {"arch": {"dropout": 0.3}, "model": "cifar_wrn28_10"},
    ],
)
def test_stopped_in_an_epoch_and_resumed_it_is_the_same_run(tmp_path, monkeypatch, changes):
    """Two devices have running statistics of their own, and dropout a random state: both are part of the run."""
    if "model" in changes:
        changes = {
            **changes,
            "arch": {**changes["arch"], "layers": [1, 1, 1], "widths": [8, 8, 16], "stem_widths": [8]},
        }
    fit(tiny(tmp_path / "whole", **changes), progress=False)
    stop_after(3, monkeypatch)
    with pytest.raises(Stopped):
        fit(tiny(tmp_path / "stopped", **changes), progress=False)
    assert [path.name for path in Checkpoints(tmp_path / "stopped").paths()] == ["checkpoint-00000003.npz"]
    monkeypatch.undo()
    fit(tiny(tmp_path / "stopped", resume="auto", **changes), progress=False)
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


def _heed_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.ci  # imports everything anew
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_asked_to_end_it_writes_what_there_is_and_exits_zero(tmp_path, number):
    """As a service manager, Ctrl-C and a closed terminal do: the loader's worker gets the signal, too."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pipes["preexec_fn"] = _heed_signals  # whatever these tests were started by
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(tiny(tmp_path, workers=1, epochs=1000).to_yaml())
    training = [sys.executable, "train_cifar.py", "--recipe", str(recipe)]
    process = subprocess.Popen(training, start_new_session=True, **pipes)
    for line in process.stdout:
        if line.startswith("epoch 1/"):
            break
    os.killpg(process.pid, getattr(signal, number))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    assert output.splitlines()[-1].startswith("stopped at epoch") and "go on with --resume auto" in output
    _, meta = checkpoint.read(Checkpoints(tmp_path).paths()[0])
    assert meta["recipe"]["model"] == "cifar_resnet20"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["epochs_done"] == meta["epoch"] >= 1 and metrics["epochs"] == 1000
    assert 0 <= metrics["best_accuracy"] <= 1 and "stopped" in metrics and "finished" not in metrics
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_before_the_first_epoch_ends(tmp_path, monkeypatch):
    stop_after(2, monkeypatch, signal.SIGINT)
    with pytest.raises(Stopped):
        fit(tiny(tmp_path), progress=False)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["epochs_done"], metrics["best_accuracy"], metrics["last_accuracy"]) == (0, None, None)
    assert not (tmp_path / "curves.png").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait(tmp_path, monkeypatch, capsys):
    """The first is in an update, the second in the writing of the checkpoint; the command has one sentence."""
    stop_after(2, monkeypatch, signal.SIGINT)

    monkeypatch.setattr(Checkpoints, "save", lambda *_: signal.raise_signal(signal.SIGINT))
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(tiny(tmp_path / "run").to_yaml())
    assert script.main("cifar", ["--recipe", str(recipe)]) == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("train_cifar.py: interrupted;")


def test_nohup_is_kept(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_resume_auto_starts_afresh_where_there_is_nothing_and_ends_where_all_is_done(tmp_path):
    first = fit(tiny(tmp_path, resume="auto"), progress=False)
    before = (tmp_path / "last.params").stat().st_mtime_ns, weights(tmp_path)
    again = fit(tiny(tmp_path, resume="auto"), progress=False)
    assert (
        again["last_accuracy"] == first["last_accuracy"]
        and "resumed at epoch 3" in (tmp_path / "train.log").read_text()
    )
    assert all((before[1][name] == array).all() for name, array in weights(tmp_path).items())


def test_a_resumed_run_must_be_the_same_run_unless_a_file_is_named(tmp_path):
    fit(tiny(tmp_path, epochs=1), progress=False)
    with pytest.raises(GluonAttnError, match="was started with --lr 0.05: .*another --output"):
        fit(tiny(tmp_path, resume="auto", epochs=1, lr=0.1), progress=False)
    newest = str(Checkpoints(tmp_path).paths()[0])
    metrics = fit(tiny(tmp_path / "more", resume=newest, epochs=2, lr=0.1), progress=False)
    assert metrics["epochs_done"] == 2
    with pytest.raises(GluonAttnError, match="There is no checkpoint"):
        fit(tiny(tmp_path, resume=str(tmp_path / "none.npz")), progress=False)


def test_a_full_disk_costs_a_warning_and_no_earlier_file(tmp_path):
    folder = tmp_path / "run"
    seen = []

    def fill(row):
        """After the first epoch the disk is full; after the second there is room again."""
        if row["epoch"] == 0:
            seen.append({path.name for path in folder.glob("*")})
            disk.__enter__()
        if row["epoch"] == 1:
            disk.__exit__()
            seen.append({path.name for path in folder.glob("*")} | {path.name for path in folder.glob(".*")})

    disk = full_disk(8000)
    fit(tiny(folder, epochs=3), progress=False, on_epoch=fill)
    log = (folder / "train.log").read_text()
    assert seen[0] == seen[1]  # nothing new, nothing half written, nothing lost
    fit(tiny(tmp_path / "plain", epochs=3), progress=False)
    assert_same_run(folder, tmp_path / "plain")
    assert "epoch 3/3" in log


def test_a_disk_that_is_full_at_the_end_is_one_sentence_and_resuming_writes_the_rest(tmp_path, capsys):
    folder = tmp_path / "run"
    recipe = tiny(folder, epochs=1)
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    command = ["--recipe", str(tmp_path / "recipe.yaml")]

    class full_at_the_end(full_disk):
        def __enter__(self):
            original = report.finish
            self.patch = mock.patch.object(report, "finish", lambda run: self.enter() or original(run))
            self.patch.start()

        def enter(self):
            super().__enter__()

        def __exit__(self, *_):
            self.patch.stop()
            super().__exit__()

    with full_at_the_end(100):
        assert script.main("cifar", command) == 2
    said = capsys.readouterr().err
    kept, again = "the file that was there is as it was. Free some space", "--resume auto then goes on from the last"
    said = said.rpartition("\r")[2]
    assert re.fullmatch(rf"train_cifar.py: .*last.params was not written \(.*\); {kept}.* {again} .*\n", said), said
    assert not (folder / "metrics.json").exists() and not list(folder.glob(".*.tmp"))
    assert script.main("cifar", [*command, "--resume", "auto"]) == 0
    fit(tiny(tmp_path / "plain", epochs=1), progress=False)
    assert_same_run(folder, tmp_path / "plain")


def test_without_any_checkpoint_the_end_promises_none(tmp_path):
    disk = full_disk(1000)
    with mock.patch.object(Run, "begin", _then(disk.__enter__, Run.begin)), pytest.raises(WriteError) as caught:
        try:
            fit(tiny(tmp_path, epochs=1), progress=False)
        finally:
            disk.__exit__()
    assert "no checkpoint could be written, either" in str(caught.value)


def _then(act, original):
    def both(run):
        original(run)
        act()

    return both


def test_scalars_wait_for_no_disk(tmp_path):
    """More of them than any queue holds, on a full disk: warnings, and afterwards the rest is written."""
    pytest.importorskip("tensorboardX")
    log = RunLog(tmp_path, console=False)
    rows = [{"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "top1": 0.5} for epoch in range(60)]
    log.scalars(rows[0])
    with full_disk(200):
        for row in rows[1:50]:
            log.scalars(row)
    (events,) = (tmp_path / "tensorboard").iterdir()
    before = events.stat().st_size
    for row in rows[50:]:
        log.scalars(row)
    log.close()
    assert events.stat().st_size > before
    assert "TensorBoard's scalars were not written" in (tmp_path / "train.log").read_text()


def test_scalars_of_a_second_run_in_the_same_second_are_added(tmp_path):
    pytest.importorskip("tensorboardX")
    for epoch in range(3):
        log = RunLog(tmp_path, console=False)
        log.scalars({"epoch": epoch, "lr": 0.1, "train_loss": 1.0})
        log.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 3


def test_best_weights_that_could_not_be_written_are_not_taken_for_the_best(tmp_path):
    """The second epoch is the best, and the disk is full in it."""
    disk = full_disk(1000)

    def fill(row):
        disk.__enter__() if row["epoch"] == 0 else disk.__exit__()

    def better(run, loader):
        return {"top1": 0.1 * run.epoch, "top5": 0.5}

    with mock.patch.object(Run, "accuracy", better):
        fit(tiny(tmp_path, epochs=2), progress=False, on_epoch=fill)
    log = (tmp_path / "train.log").read_text()
    assert log.count("best.params is not of the best epoch: it could not be written then") == 1
    with mock.patch.object(Run, "accuracy", better), pytest.raises(
        GluonAttnError, match="best.params could not be written"
    ):
        fit(tiny(tmp_path / "held", epochs=2, validation=10), progress=False, on_epoch=fill)


def test_it_goes_on_whatever_was_built_before(tmp_path, monkeypatch):
    """A Trainer sorts by those names: conv5, conv6, ..., conv13 is conv10, ..., conv13, conv5, ... there."""
    fit(tiny(tmp_path / "whole"), progress=False)
    stop_after(3, monkeypatch)
    with counted_from(0), pytest.raises(Stopped):
        fit(tiny(tmp_path / "stopped"), progress=False)
    monkeypatch.undo()
    with counted_from(5):
        fit(tiny(tmp_path / "stopped", resume="auto"), progress=False)
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


def test_a_finished_run_is_not_trained_over(tmp_path):
    fit(tiny(tmp_path, epochs=1), progress=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(GluonAttnError, match="holds a run already .*another --output.*--resume auto"):
        fit(tiny(tmp_path, epochs=1, lr=0.1), progress=False)
    with pytest.raises(GluonAttnError, match="was started with --lr"):
        fit(tiny(tmp_path, epochs=1, lr=0.1, resume="auto"), progress=False)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert all(after[name] == content for name, content in before.items() if name != "train.log")
    for path in Checkpoints(tmp_path).paths():
        path.unlink()
    with pytest.raises(GluonAttnError, match="left no checkpoint to go on from"):
        fit(tiny(tmp_path, epochs=1, resume="auto"), progress=False)


def test_two_runs_do_not_share_a_folder_and_a_killed_one_leaves_no_lock(tmp_path):
    words = (
        "import time; from pathlib import Path; from gluon_attn.train.folder import claimed\n"
        f"with claimed(Path({str(tmp_path)!r})): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "in\n"
    with pytest.raises(GluonAttnError, match="Another process is training into"):
        fit(tiny(tmp_path, epochs=1), progress=False)
    other.kill()
    other.wait()
    assert fit(tiny(tmp_path, epochs=1), progress=False)["epochs_done"] == 1


def test_what_had_no_value_is_said_so(tmp_path):
    fit(tiny(tmp_path, epochs=1, devices=""), progress=False)
    with pytest.raises(GluonAttnError, match="was started with no --devices: repeat that"):
        fit(tiny(tmp_path, epochs=1, devices="cpu:0", resume="auto"), progress=False)
