"""AMX is asked for in time, in the right order, or left alone with a reason; and what follows from it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from unittest import mock

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import cpu, matrix_units
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GroupedConv2D, conv
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train import fit, report
from gluon_attn.train.dry_run import plan
from tests.helpers import images, randomise
from tests.train.tiny import tiny

SERVER = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8\nbugs\t\t: none\n"
ISA = matrix_units.ISA


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A server with AMX where MXNet is not imported yet: (its cpuinfo, the variable at every request)."""
    cpuinfo, requests = tmp_path / "cpuinfo", []
    cpuinfo.write_text(SERVER)
    monkeypatch.setattr(matrix_units, "CPUINFO", str(cpuinfo))
    monkeypatch.setattr(matrix_units, "_asked", None)
    monkeypatch.setattr(matrix_units, "_answer", None)
    monkeypatch.setattr(matrix_units, "request", lambda: requests.append(os.environ.get(matrix_units.VARIABLE)) or "")
    monkeypatch.setattr(matrix_units.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv(matrix_units.VARIABLE, "")  # so that monkeypatch puts back what is set below
    monkeypatch.delenv(matrix_units.VARIABLE)
    monkeypatch.delenv("MXNET_MKLDNN_ENABLED", raising=False)
    monkeypatch.setattr(matrix_units, "_mxnet_is_imported", lambda: False)
    return cpuinfo, requests


def _variable():
    return os.environ.get(matrix_units.VARIABLE)


def test_taken_where_there_is_and_linux_is_asked_first(machine):
    matrix_units.take("bfloat16")
    assert matrix_units.taken() and _variable() == ISA
    assert machine[1] == [None], "asked once, before the variable was set"
    matrix_units.take("bfloat16")
    assert machine[1] == [None] and matrix_units.words().startswith("with AMX: Linux grants it")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_no_other_arithmetic_takes_it(machine, dtype):
    matrix_units.take(dtype)
    assert (matrix_units.taken(), matrix_units.words(), _variable(), machine[1]) == (False, "", None, [])


def _refused(monkeypatch, cpuinfo):
    monkeypatch.setattr(matrix_units, "request", lambda: "Operation not permitted")


def _no_amx(monkeypatch, cpuinfo):
    cpuinfo.write_text(SERVER.replace("amx_tile", "avx512_fp16"))


def _only_int8(monkeypatch, cpuinfo):
    cpuinfo.write_text(SERVER.replace("amx_bf16", "other_amx_bf16"))


def _no_cpuinfo(monkeypatch, cpuinfo):
    cpuinfo.unlink()


def _arm(monkeypatch, cpuinfo):
    monkeypatch.setattr(matrix_units.platform, "machine", lambda: "aarch64")


def _windows(monkeypatch, cpuinfo):
    monkeypatch.setattr(sys, "platform", "win32")


def _late(monkeypatch, cpuinfo):
    monkeypatch.setattr(matrix_units, "_mxnet_is_imported", lambda: True)


def _no_onednn(monkeypatch, cpuinfo):
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", "0")


@pytest.mark.parametrize(
    "otherwise, why",
    [
        (_refused, "Linux does not grant it (Operation not permitted)"),
        (_no_amx, "this CPU has none"),
        (_only_int8, "this CPU has none"),
        (_no_cpuinfo, "cpuinfo cannot be read"),
        (_arm, "Linux on x86-64"),
        (_windows, "Linux on x86-64"),
        (_late, "too late, MXNet was imported before"),
        (_no_onednn, "oneDNN is switched off"),
    ],
)
def test_what_keeps_it_from_being_taken(machine, monkeypatch, otherwise, why):
    otherwise(monkeypatch, machine[0])
    matrix_units.take("bfloat16")
    assert not matrix_units.taken() and _variable() is None
    assert matrix_units.words().startswith("without AMX: ") and why in matrix_units.words()
    assert machine[1] == [], "Linux is asked last"


def test_switched_off(machine):
    matrix_units.take("bfloat16", "off")
    assert (matrix_units.taken(), _variable(), machine[1]) == (False, None, [])
    assert matrix_units.words() == "without AMX (--amx off)"


def test_what_is_taken_cannot_be_switched_off(machine):
    matrix_units.take("bfloat16")
    with pytest.raises(GluonAttnError, match="--amx off comes too late"):
        matrix_units.take("bfloat16", "off")
    assert matrix_units.taken()


def test_a_variable_of_the_users_stays(machine, monkeypatch):
    monkeypatch.setenv(matrix_units.VARIABLE, "AVX512_CORE")
    matrix_units.take("bfloat16")
    assert (matrix_units.taken(), _variable(), machine[1]) == (False, "AVX512_CORE", [])
    assert "DNNL_MAX_CPU_ISA=AVX512_CORE is set" in matrix_units.words()


def test_who_sets_the_variable_is_helped_to_the_permission(machine, monkeypatch):
    """As a program that a training started: it has the variable, and not the permission."""
    monkeypatch.setenv(matrix_units.VARIABLE, ISA)
    _late(monkeypatch, None)
    matrix_units.take("bfloat16")
    assert matrix_units.taken() and machine[1] == [ISA]


def test_programs_that_are_started_later_do_not_inherit_the_variable(machine, monkeypatch):
    matrix_units.take("bfloat16")
    matrix_units.settle()
    assert matrix_units.taken() and _variable() is None
    monkeypatch.setattr(matrix_units, "_answer", None)
    monkeypatch.setenv(matrix_units.VARIABLE, ISA)
    matrix_units.take("bfloat16")
    matrix_units.settle()
    assert matrix_units.taken() and _variable() == ISA, "the user's stays"


def test_a_training_settles_it(tmp_path, monkeypatch):
    settled = mock.Mock()
    monkeypatch.setattr(matrix_units, "settle", settled)
    fit(tiny(tmp_path, epochs=1), progress=False, on_epoch=lambda row: settled.assert_called_once())
    settled.assert_called_once()


def test_a_variable_that_would_end_in_an_illegal_instruction_is_said(machine, monkeypatch):
    monkeypatch.setenv(matrix_units.VARIABLE, ISA)
    with pytest.raises(GluonAttnError, match="--amx off, but DNNL_MAX_CPU_ISA=AVX512_CORE_AMX is set"):
        matrix_units.take("bfloat16", "off")
    _refused(monkeypatch, None)
    with pytest.raises(GluonAttnError, match="does not grant AMX .Operation not permitted.. Unset DNNL_MAX_CPU_ISA"):
        matrix_units.take("bfloat16")
    _no_amx(monkeypatch, machine[0])
    matrix_units.take("bfloat16")  # a maximum, which says nothing to a CPU that has less
    assert not matrix_units.taken() and _variable() == ISA


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="Linux on x86-64 alone is asked")
def test_linux_refuses_what_the_cpu_has_not():
    if "amx_tile" in matrix_units.cpu_flags():
        pytest.skip("this machine has AMX")
    assert matrix_units.request() != ""


def test_usable_says_why_not(machine, monkeypatch):
    assert matrix_units.usable() == "usable by --dtype bfloat16"
    _no_amx(monkeypatch, machine[0])
    assert matrix_units.usable() == "not usable: this CPU has none"


def test_groups_are_as_wide_as_the_kernels_want(machine):
    assert cpu.group_width() == 16 and not isinstance(conv(64, 64, 3, groups=4), GroupedConv2D)
    matrix_units.take("bfloat16")
    assert cpu.group_width() == 32
    assert isinstance(conv(64, 64, 3, groups=4), GroupedConv2D), "16 channels a group have no AMX kernels"
    for channels, groups in ((128, 4), (64, 64), (96, 4), (32, 1)):  # 32 wide, depthwise, 24 wide, plain
        assert not isinstance(conv(channels, channels, 3, groups=groups), GroupedConv2D)


@pytest.mark.parametrize(
    "groups, channels, wide", [(8, 32, 1), (16, 128, 4), (4, 64, 2), (2, 16, 1), (6, 24, 6), (32, 384, 4), (2, 32, 1)]
)
def test_wider_groups_give_the_same_values(machine, groups, channels, wide):
    weight = mx.nd.array(images(channels, channels // groups, 1, 1))
    merged, found = cpu.in_wide_groups(mx.nd, weight, weight.shape, groups, wide=32)
    assert (found, merged.shape) == (wide, (channels, channels // wide, 1, 1))
    x = mx.nd.array(images(1, channels, 2, 3))
    options = dict(kernel=(1, 1), num_filter=channels, no_bias=True)
    expected = mx.nd.Convolution(x, weight, num_group=groups, **options).asnumpy()
    values = mx.nd.Convolution(x, merged, num_group=found, **options).asnumpy()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


def test_a_network_merges_to_that_width(machine):
    matrix_units.take("bfloat16")
    block = randomise(conv(64, 128, 3, groups=16))
    graph = block(mx.sym.Variable("data"))
    assert '"num_group": "2"' in graph.tojson()
    with cpu.inference_graphs():
        assert '"num_group": "16"' in block(mx.sym.Variable("data")).tojson()


def test_a_recipe_says_it(tmp_path):
    recipe = Recipe.load("digits", model="cifar_resnet20")
    assert recipe.amx == "auto"
    (tmp_path / "own.yaml").write_text("base: digits\nmodel: cifar_resnet20\namx: off\n")
    recipe = Recipe.load(tmp_path / "own.yaml")  # YAML reads `off` as false
    assert recipe.amx == "off"
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert Recipe.load(tmp_path / "again.yaml").amx == "off"
    with pytest.raises(GluonAttnError, match="Unknown --amx 'sometimes'. Choices: auto, off"):
        Recipe.load("digits", amx="sometimes")


COMMAND = """
import argparse, os, sys
from gluon_attn import matrix_units
from gluon_attn.recipe.arguments import add_arguments, recipe_from
matrix_units.CPUINFO, matrix_units.request = {cpuinfo!r}, lambda: ""
matrix_units.platform.machine, sys.platform = lambda: "x86_64", "linux"
parser = argparse.ArgumentParser()
add_arguments(parser)
recipe_from(parser.parse_args())
print(matrix_units.taken(), os.environ.get(matrix_units.VARIABLE), "mxnet" in sys.modules)
"""


@pytest.mark.parametrize("words, found", [([], f"True {ISA} False\n"), (["--amx", "off"], "False None False\n")])
def test_every_command_that_trains_asks_before_mxnet_is_imported(machine, words, found):
    code = COMMAND.format(cpuinfo=str(machine[0]))
    command = [sys.executable, "-c", code, "--recipe", "digits", "--model", "cifar_resnet20", "--dtype", "bfloat16"]
    assert subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=True).stdout == found


NONE = matrix_units.missing()
FLAGS = matrix_units.cpu_flags() or ()
BFLOAT16 = pytest.mark.skipif("avx512_bf16" not in FLAGS, reason="this CPU does not multiply bfloat16")
AMX = pytest.mark.skipif(NONE != "", reason=f"matrix units: {NONE}")


@pytest.mark.slow  # not for its time: it was written where there is no AMX
@pytest.mark.parametrize("amx", [pytest.param("off", marks=BFLOAT16), pytest.param("auto", marks=AMX)])
def test_all_passes_in_bfloat16_have_the_numbers_of_float32(tmp_path, amx):
    """To its rounding, which makes 0.3 % of a layer's output; a kernel that computes something else is off by 1."""
    for command in (["float32.npz"], ["bfloat16.npz", "bfloat16", amx]):
        subprocess.run([sys.executable, "-m", "tests.bfloat16_passes", tmp_path / command[0], *command[1:]], check=True)
    expected, found = (np.load(tmp_path / name) for name in ("float32.npz", "bfloat16.npz"))
    assert bool(found["taken"]) == (amx == "auto")
    errors = {
        name: float(np.linalg.norm(found[name] - expected[name]) / np.linalg.norm(expected[name]))
        for name in expected
        if name != "taken"
    }
    assert {name: error for name, error in errors.items() if not error < 0.02} == {}
    assert max(errors.values()) > 1e-4, "nothing was computed in bfloat16"


def test_the_plan_says_it(machine):
    recipe = Recipe.load("digits", model="cifar_resnet20", devices="cpu:0", dtype="bfloat16", amx="off")
    matrix_units.take(recipe.dtype, recipe.amx)
    assert "\nrun       bfloat16 without AMX (--amx off) on cpu(0), seed 0" in plan(recipe)
    assert "\nrun       float32 on cpu(0), seed 0" in plan(recipe.replace(dtype="float32"))


def test_the_plan_says_why_behind_the_device(machine, monkeypatch):
    _no_amx(monkeypatch, machine[0])
    recipe = Recipe.load("digits", model="cifar_resnet20", devices="cpu:0", dtype="bfloat16")
    matrix_units.take(recipe.dtype, recipe.amx)
    assert "\nrun       bfloat16 without AMX on cpu(0) (this CPU has none), seed 0" in plan(recipe)


def test_the_log_says_it(machine):
    matrix_units.take("bfloat16")
    for dtype, lines in (
        ("bfloat16", [mock.call(f"bfloat16 with AMX: Linux grants it, and DNNL_MAX_CPU_ISA={ISA} is set")]),
        ("float32", []),
    ):
        run = mock.Mock(recipe=Recipe(dtype=dtype))
        report.say_matrix_units(run)
        assert run.log.line.mock_calls == lines


def test_a_run_keeps_it_and_says_when_it_goes_on_otherwise(tmp_path, monkeypatch):
    recipe = tiny(tmp_path, epochs=1)
    assert fit(recipe, progress=False)["amx"] is False
    monkeypatch.setattr(matrix_units, "taken", lambda: True)
    assert fit(recipe.replace(resume="auto", amx="off"), progress=False)["amx"] is True
    said = "trained without AMX until now, and goes on with: its results will differ by the rounding of bfloat16"
    assert f"{said} (--amx off goes on as before)" in (tmp_path / "train.log").read_text()
