"""Serving needs no MXNet: import, Predictor and the three commands on a file, in a process that cannot import it.

`make serve-smoke` runs this file where there is none: on another Python, with `pip install ".[serve]"` and numpy 2. The
deployed network then comes in $GLUON_ATTN_SERVED.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gluon_attn import cli

DIGITS = sorted(map(str, Path(__file__).parent.parent.glob("docs/digits/*.png")))
WITHOUT = """
import sys
sys.modules["mxnet"] = sys.modules["gluoncv"] = sys.modules["matplotlib"] = None
from gluon_attn import cli
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An ONNX file of a trained network with its card."""
    given = os.environ.get("GLUON_ATTN_SERVED")
    if given:
        return given
    path = tmp_path_factory.mktemp("served") / "net.onnx"
    words = ["export", "--model", "cifar_aff_resnet20", "--pretrained", "digits", "--devices", "cpu:0"]
    assert cli.main([*words, "-o", str(path)]) == 0
    return str(path)


def run(code, *arguments):
    command = [sys.executable, "-c", WITHOUT + code, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout, answer.stderr


@pytest.mark.ci  # imports everything anew
def test_the_commands(served, tmp_path):
    results = tmp_path / "results.csv"
    out, err = run(
        "file, results, *digits = sys.argv[1:]\n"
        "print(cli.main(['predict', '--file', file, '--top', '1', *digits]))\n"
        "print(cli.main(['evaluate', '--file', file, '--dataset', 'digits', '--results', results]))\n"
        "print(cli.main(['benchmark', '--file', file, '--batch-size', '2', '--rounds', '1']))",
        served,
        results,
        *DIGITS,
    )
    lines = out.splitlines()
    named = [line.split(": ")[1].split()[0] for line in lines[: len(DIGITS)]]
    assert sum(name == str(digit) for digit, name in enumerate(named)) >= 8, out
    assert lines.count("0") == 3, err
    (row,) = csv.DictReader(results.open())
    assert row["images"] == "400" and float(row["top1_error"]) < 2 and row["input_size"] == "32"
    assert "| net.onnx" in lines[-2] or served in lines[-2]


@pytest.mark.ci  # imports everything anew
def test_from_python(served):
    out, _ = run(
        "import gluon_attn\nfrom gluon_attn.deploy import Predictor\n"
        "predictor = Predictor(sys.argv[1], threads=1)\n"
        "print(predictor(sys.argv[2:3])[0][0][0], predictor.card.model, predictor.logits([]).shape)\n"
        "print([name for name in ('mxnet', 'gluoncv', 'onnx', 'torch') if sys.modules.get(name)])",
        served,
        DIGITS[1],
    )
    assert out.splitlines() == ["1 cifar_aff_resnet20 (0, 10)", "[]"]


@pytest.mark.ci  # imports everything anew
def test_what_needs_mxnet_says_so(served, tmp_path):
    symbol = tmp_path / "net-symbol.json"
    _, err = run(
        "digit, file, symbol = sys.argv[1:]\n"
        "for words in (['predict', '--model', 'cifar_aff_resnet20', digit], ['info', 'cifar_aff_resnet20'],\n"
        "    ['benchmark', 'cifar_aff_resnet20'], ['train', '--dataset', 'digits', '--model', 'cifar_resnet20'],\n"
        "    ['predict', '--file', symbol, digit], ['predict', '--file', file, '--engine', 'mxnet', digit]):\n"
        "    assert cli.main(words) == 2\n"
        "assert cli.main(['predict', '--file', file, '--picture', symbol, digit]) == 2\n"
        "import gluon_attn\n"
        "try:\n    gluon_attn.get_model('cifar_aff_resnet20')\n"
        "except gluon_attn.GluonAttnError as error:\n    print(error, file=sys.stderr)",
        DIGITS[0],
        served,
        symbol,
    )
    lines = err.splitlines()
    assert len(lines) == 8, err
    assert all("MXNet is not installed: run `pip install" in line for line in (*lines[:5], lines[7])), err
    assert "engine='mxnet' reads files that end in '-symbol.json'" in lines[5]
    assert "pip install matplotlib" in lines[6]


@pytest.mark.ci  # imports everything anew
def test_every_lazy_name_says_so(served):
    _, err = run(
        "import gluon_attn\nfrom gluon_attn import data, deploy, train\nfrom gluon_attn.deploy import Predictor\n"
        "sys.modules['onnx'] = None\n"
        "asked = [lambda: data.Loader, lambda: data.NativeLoader, lambda: data.mix, lambda: train.fit,\n"
        "    lambda: train.plan, lambda: deploy.export_onnx, lambda: deploy.export_symbol,\n"
        "    lambda: deploy.export_torch, lambda: deploy.to_torch,\n"
        "    lambda: Predictor(sys.argv[1], precision='int8', calibration=sys.argv[2:])]\n"
        "for ask in asked:\n"
        "    try:\n        print(ask())\n"
        "    except gluon_attn.GluonAttnError as error:\n        print(error, file=sys.stderr)",
        served,
        *DIGITS,
    )
    lines = err.splitlines()
    assert len(lines) == 10, err
    assert all("MXNet is not installed: run `pip install" in line for line in lines[:9]), err
    assert lines[9] == "This needs onnx, which is not installed: run `pip install 'gluon_attn[deploy]'`."
