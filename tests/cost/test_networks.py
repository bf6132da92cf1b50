"""What the benchmarks compare is one function, and the arithmetic of their tables is right. No time is asserted."""

from __future__ import annotations

import csv
import time
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from benchmarks.plain import plain_network, plain_words
from gluon_attn import GluonAttnError, cli, zoo
from gluon_attn.cost import networks
from gluon_attn.cost.timing import Timing, interleaved
from tests.helpers import build, images, randomise


@pytest.mark.parametrize("name", ["cifar_aff_resnext38_32x4d", "cifar_iaff_resnet20"])
def test_the_plain_formulation_is_the_same_network(name):
    x = mx.nd.array(images(2, 3, 32, 32))
    with plain_words():
        plain = randomise(plain_network(name))
        plain.hybridize()
        expected = plain(x).asnumpy()
        operators = plain(mx.sym.Variable("data")).tojson()
    assert "broadcast_add" in operators and "Pooling" in operators and "batch_dot" not in operators
    np.testing.assert_allclose(build(name)(x).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_ratios_are_of_rounds_that_belong_together():
    slow, fast = Timing((4.0, 8.0, 40.0)), Timing((2.0, 4.0, 10.0))
    assert fast.faster_than(slow) == 2.0 and fast.median == 4.0
    assert Timing((1.0, 2.0, 3.0, 4.0)).spread == pytest.approx((3 - 2) / 2 / 2.5)


def test_jobs_take_turns():
    calls = []
    jobs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    assert [len(t.seconds) for t in interleaved(jobs, rounds=2, warm_up=1, pause=0, turn=0).values()] == [2, 2]
    assert calls == ["a", "b", "a", "b", "a", "b"]


def test_a_short_job_is_called_more_often_in_its_turn():
    calls = []
    (timing,) = interleaved({"a": lambda: (calls.append(1), time.sleep(0.01))}, 2, 1, pause=0, turn=0.05).values()
    assert 2 * 2 < len(calls) <= 2 * 5 + 1 and 0.01 <= timing.median < 0.05


@pytest.mark.parametrize(
    "name, plain",
    [
        ("resnet50", "resnet50"),
        ("se_resnet50", "resnet50"),
        ("aff_resnet50", "resnet50d"),
        ("aff_resnet50d", "resnet50d"),
        ("iaff_resnext50_32x4d", "resnext50d_32x4d"),
        ("cifar_inv_cbam_resnet20", "cifar_resnet20"),
        ("cifar_aff_preresnet32_w4", "cifar_preresnet32_w4"),
    ],
)
def test_the_backbone_of_a_name(name, plain):
    assert zoo.find(name).plain == plain


def test_command(tmp_path, capsys):
    arguments = ["cifar_eca_resnet20", "--mode", "inference", "--batch-size", "2", "--rounds", "1", "--no-memory"]
    assert cli.main(["benchmark", *arguments, "--devices", "cpu:0", "--results", str(tmp_path / "t.csv")]) == 0
    (row,) = csv.DictReader((tmp_path / "t.csv").open())
    assert row["plain"] == "cifar_resnet20" and float(row["images_per_second"]) > 0
    assert "| cifar_eca_resnet20 | inference | cpu:0 |" in capsys.readouterr().out
    assert cli.main(["benchmark", "cifar_ekka_resnet20"]) == 2
    assert "cifar_eca_resnet20" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--rounds", "0"], "--rounds: '0' cannot be"),
        (["--batch-size", "0"], "--batch-size: '0' cannot be"),
        (["--image-size", "0"], "--image-size: '0' cannot be"),
        (["--threads", "-1"], "--threads: '-1' cannot be"),
        (["--devices", ","], "--devices ',' names none"),
    ],
)
def test_mistakes_are_sentences(capsys, flags, words):
    assert cli.main(["benchmark", "cifar_resnet20", *flags]) == 2
    assert words in capsys.readouterr().err


def test_memory_that_cannot_be_measured_is_a_sentence(monkeypatch):
    """A mechanism that this process registered is unknown to the one that is measured."""
    failed = SimpleNamespace(returncode=1, stderr=b"Traceback ...\ngluon_attn.errors.GluonAttnError: Unknown model\n")
    monkeypatch.setattr(networks.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(GluonAttnError, match="Unknown model.*GLUON_ATTN_IMPORT.*--no-memory"):
        networks.peak_memory("cifar_mine_resnet20", "inference", 1, 32, "cpu:0")


def test_a_folder_that_is_called_as_a_network_is_no_run(tmp_path, monkeypatch):
    from gluon_attn.cost.networks import _described

    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar_resnet20").mkdir()
    assert _described("cifar_resnet20")[2] == 32
