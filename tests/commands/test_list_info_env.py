"""list, info and env, as a user calls them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

import gluon_attn
from gluon_attn import matrix_units
from gluon_attn.catalogue.names import LABELS, SPECS
from tests.commands.calling import MODEL, call


def test_list_shows_names_and_weights(capsys):
    status, out, _ = call(capsys, "list", "cifar_aff_resnext??_32x4d")
    assert status == 0 and out.split() == ["cifar_aff_resnext38_32x4d", "cifar_aff_resnext47_32x4d"]
    _, out, _ = call(capsys, "list", "--pretrained", "*iaff_resnext50*")
    head, row = out.splitlines()
    assert head.split()[:3] == ["model", "tag", "source"]
    assert row.split()[:6] == ["iaff_resnext50_32x4d", "openaff", "openaff", "19.78", "5.19", "1000"]
    assert "git-blob-sha1:769c7032" in row and "licence" in row
    status, _, err = call(capsys, "list", "nothing*")
    assert status == 2 and "No name matches 'nothing*'" in err


def test_info_shows_costs_and_weights(capsys):
    status, out, _ = call(capsys, "info", "se_resnet50")
    assert status == 0
    for fact in ("28.088 M", "at 224 x 224", "0.485, 0.456, 0.406", "21.07", "5.60", "sha1:e75ef498", "MIT", "timm"):
        assert fact in out
    assert "weights     none known" in call(capsys, "info", "cbam_resnet34")[1]
    form = "widths=(16, 64, 128, 176), stem=half, stem_widths=(16,), shortcut=conv"
    assert f"tiny-imagenet: of a network built with {form}; the costs above" in call(capsys, "info", "resnet18")[1]
    beside = call(capsys, "info", "cifar_resnet20", "resnet18")[1]
    digits, _, photographs = beside.splitlines()[-2].rpartition("  ")
    first, *seeds = photographs.split(", ")
    assert "*" not in digits and first == "tiny-imagenet 54.14 % *" and all(seed.endswith(" *") for seed in seeds)
    assert beside.count("\n* of a network") == 1
    assert "*" not in call(capsys, "info", "cifar_resnet20", "cbam_resnet34")[1]


def test_env_tells_versions_and_devices(capsys, monkeypatch):
    monkeypatch.setenv("GLUON_ATTN_REPO", "http://mirror")
    out = call(capsys, "env")[1]
    lines = dict(line.split(None, 1) for line in out.splitlines() if "mxnet" not in line.split(None, 1)[1])
    assert lines["numpy"] == np.__version__ and lines["GLUON_ATTN_REPO"] == "http://mirror"
    assert "MKLDNN" in out and "GPUs that mxnet sees" in out
    assert {"safetensors", "onnx", "onnxruntime", "openvino", "ml_dtypes", "torch"} <= set(lines)
    assert f"matrix units (AMX)         {matrix_units.usable()}\n" in out and "DNNL_MAX_CPU_ISA" in lines


def test_info_says_what_the_paper_calls_a_network(capsys):
    assert set(LABELS) <= set(SPECS)
    assert gluon_attn.model_info("cifar_abn_resnet164bn").label == "ResNet110"
    _, out, _ = call(capsys, "info", "cifar_abn_resnet164bn")
    assert out.startswith("cifar_abn_resnet164bn (arXiv 1812.10025, which calls it ResNet110)\n")
    _, out, _ = call(capsys, "info", MODEL)
    assert out.startswith(f"{MODEL} (arXiv 1512.03385)\n")


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-c", "from gluon_attn.cli import main; print('first', flush=True); main(['list'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 0
