"""Two workers and a server on 127.0.0.1, started by `gluon-attn launch`."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest

from gluon_attn import cli
from gluon_attn.errors import GluonAttnError
from gluon_attn.train import fit
from gluon_attn.weights.files import read_arrays
from tests.train import worker
from tests.train.tiny import tiny


def launched(*words):
    command = [sys.executable, "-m", "gluon_attn.cli", "launch", "-n", "2", "-s", "1", "--", sys.executable, *words]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def weights(path):
    return read_arrays(path.read_bytes())


def losses(folder):
    with open(folder / "history.csv") as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


@pytest.mark.ci  # four processes import everything anew
def test_two_workers_are_one_process(tmp_path):
    """Equal weights in both, and those of one process with the same global batch, BatchNorm in inference mode."""
    two, one = tmp_path / "two", tmp_path / "one"
    done = launched("-m", "tests.train.worker", str(two), "kvstore=dist_sync")
    assert done.returncode == 0, done.stdout
    one.mkdir()
    worker.main(str(one))
    first, second, alone = (
        weights(two / "worker-0.params"),
        weights(two / "worker-1.params"),
        weights(one / "last.params"),
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
        np.testing.assert_allclose(array, alone[name], rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-5)


@pytest.mark.ci  # imports everything anew; tests/commands/test_launch.py has it without MXNet
def test_a_failing_worker_ends_the_job(tmp_path):
    done = launched("train_cifar.py", "--kvstore", "dist_sync", "--dataset", "cifar100", "--model", "cifar_resnet20")
    assert done.returncode == 1
    assert "cifar100 needs its folder" in done.stdout and "all others are ended" in done.stdout


def test_one_process_alone_is_told_to_be_launched(tmp_path, monkeypatch):
    monkeypatch.delenv("DMLC_NUM_WORKER", raising=False)
    with pytest.raises(GluonAttnError, match="DMLC_NUM_WORKER is not set: start them by `gluon-attn launch -n"):
        fit(tiny(tmp_path, kvstore="dist_sync"), progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-n", "2", "--"], "Nothing to launch"),
        (["-n", "2", "--", "python", "train_cifar.py"], "add --kvstore dist_sync"),
        (["-n", "0", "--", "x", "dist_sync"], "give 1 or more"),
        (["-n", "2", "-H", "nowhere", "--", "x", "dist_sync"], "no host file 'nowhere'"),
    ],
)
def test_mistakes(words, sentence, capsys):
    assert cli.main(["launch", *words]) == 2
    assert sentence in capsys.readouterr().err
