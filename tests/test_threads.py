"""The number of cores is taken before MXNet is imported, or refused in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gluon_attn import GluonAttnError, cli, threads


def _python(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in (threads.VARIABLE, *threads.COMPANIONS)}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env={**clean, **environment}, stdout=subprocess.PIPE, text=True
    )
    assert run.returncode == 0
    return run.stdout.split()


def test_taken_before_mxnet_is_imported():
    code = "import os; from gluon_attn import threads; threads.take({}); print(threads.taken(), *os.environ)"
    words = _python(code.format(3))
    assert words[0] == "3" and {threads.VARIABLE, *threads.COMPANIONS} <= set(words)
    words = _python(code.format(0))
    assert words[0] == str(max(1, os.cpu_count() // 2)) and "OMP_NUM_THREADS" not in words
    words = _python(code.format(0), OMP_NUM_THREADS="5")
    assert words[0] == "5" and set(threads.COMPANIONS) <= set(words)
    code = "import os; from gluon_attn import threads; threads.take(2); print(os.environ['GOMP_SPINCOUNT'])"
    assert _python(code, GOMP_SPINCOUNT="7") == ["7"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux lists them")
def test_a_large_copy_starts_no_second_team_of_threads():
    """libgomp would then have more threads than cores, and no longer spin between operators."""
    code = """
import os
from gluon_attn import threads
threads.take(2)
import mxnet as mx, numpy as np
mx.nd.array([1.0]).asnumpy()
before = len(os.listdir("/proc/self/task"))
mx.nd.array(np.ones(1 << 20, "float32")).asnumpy()
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert _python(code) == ["0"]
    assert _python(code, MXNET_CPU_PARALLEL_SIZE="200000") == ["1"]  # as MXNet comes


def test_zero_means_all_cores(monkeypatch):
    """As libgomp has it, which says that it cannot be."""
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    assert threads.taken() == os.cpu_count()


@pytest.mark.ci  # imports everything anew
def test_the_command_line_takes_them(tmp_path):
    recipe = tmp_path / "small.yaml"
    small = "arch: {layers: [1, 1, 1]}\nimage-size: 8\ndataset-options: {per_class: 4}\nepochs: 1\nwarmup-epochs: 0\n"
    recipe.write_text(f"base: digits\nmodel: cifar_resnet20\n{small}")
    code = (
        "import os, sys; from gluon_attn.commands.train import main; assert 'mxnet' not in sys.modules; "
        f"main('cifar', ['--recipe', {str(recipe)!r}, '--threads', '2', '--output', {str(tmp_path)!r}]); "
        "print('THREADS', os.environ['OMP_NUM_THREADS'])"
    )
    assert _python(code)[-2:] == ["THREADS", "2"]
    assert json.loads((tmp_path / "metrics.json").read_text())["threads"] == 2


@pytest.mark.parametrize("command", [["repeat"], ["tune", "--trials", "1"]])
def test_every_command_that_trains_takes_them(command, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(threads, "take", asked.append)
    assert cli.main([*command, "--recipe", "digits", "--model", "cifar_resnet20", "--threads", "3", "--dry-run"]) == 0
    assert asked[0] == 3


@pytest.mark.ci  # imports everything anew
@pytest.mark.parametrize("command", [["repeat"], ["tune", "--trials", "1"]])
def test_every_command_that_trains_takes_them_in_time(command):
    words = [*command, "--recipe", "digits", "--model", "cifar_resnet20", "--threads", "3", "--dry-run"]
    code = f"import os; from gluon_attn import cli; print('STATUS', cli.main({words}), os.environ['OMP_NUM_THREADS'])"
    assert _python(code)[-3:] == ["STATUS", "0", "3"]


def test_too_late():
    import mxnet  # noqa: F401

    with pytest.raises(GluonAttnError, match="comes too late.*OMP_NUM_THREADS=77"):
        threads.take(77)
