"""A stranger's module: its mechanism is known to every command, by --import, a variable or an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gluon_attn
from gluon_attn import cli, plugins
from gluon_attn.errors import GluonAttnError
from tests.train.tiny import TINY

MODULE = """
from mxnet.gluon import nn
import gluon_attn
from gluon_attn.attention.gating import Gating
from gluon_attn.layers import GlobalAvgPool

class Outside(nn.HybridBlock):
    def __init__(self, channels, strength=1.0, **kwargs):
        super().__init__(**kwargs)
        self.pool, self.gating, self.strength = GlobalAvgPool(), Gating(), strength

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, self.gating(self.strength * self.pool(x)))

gluon_attn.register_attention("outside", "gate", Outside)
"""
DIGIT = Path(__file__).resolve().parent.parent / "docs" / "digits" / "digit-7.png"
ARCH = ",".join(f"{key}={str(value).replace(' ', '')}" for key, value in TINY.items())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module `my_attention`, where commands are run; afterwards nobody has heard of it."""
    (tmp_path / "my_attention.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_tried", {})
    yield tmp_path
    sys.modules.pop("my_attention", None)
    if "outside" in gluon_attn.catalogue.mechanisms.MECHANISMS:
        gluon_attn.forget_attention("outside")


def call(*words):
    assert cli.main([*map(str, words), "--import", "my_attention"]) == 0


def test_training_explaining_and_exporting_by_name(folder, capsys):
    pytest.importorskip("onnx")
    digits = ["--dataset", "digits", "--dataset-options", "per_class=2", "--batch-size", 10, "--devices", "cpu:0"]
    model = ["--model", "cifar_outside_resnet20", "--arch", f"{ARCH},strength=2.0", "--epochs", 1]
    call("train", *model, *digits, "--output", folder / "run")
    call("list", "outside_resnet?8")
    assert capsys.readouterr().out.endswith("\noutside_resnet18\n")
    call("explain", "--run", folder / "run", "--image", DIGIT, "-o", folder / "maps.png")
    call("export", "--run", folder / "run", "--devices", "cpu:0", "-o", folder / "net.onnx")
    assert (folder / "maps.png").stat().st_size > 1000 and (folder / "net.onnx").stat().st_size > 1000


@pytest.mark.ci  # imports everything anew
def test_another_process_and_the_modules_of_this_folder(folder):
    line = [sys.executable, "-m", "gluon_attn", "list", "*outside_resnet20", "--import", "my_attention"]
    found = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    assert found.stdout == "cifar_outside_resnet20\n"


def install(folder, entry):
    """A package whose entry point is `entry`; its modules are those of the folder."""
    information = folder / "site" / "somebodys-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{plugins.GROUP}]\noutside = {entry}\n")
    sys.path[:0] = [str(folder / "site"), str(folder)]


@pytest.mark.parametrize("entry", ["my_attention", "my_attention:register"])
def test_an_installed_package_names_its_module_by_an_entry_point(folder, entry):
    if ":" in entry:
        module = MODULE.replace("\ngluon_attn.register", "\ndef register():\n    gluon_attn.register")
        (folder / "my_attention.py").write_text(module)
    install(folder, entry)
    assert gluon_attn.list_models("outside_resnet18") == ["outside_resnet18"]
    assert gluon_attn.get_model("cifar_outside_resnet20").stages[0][0].gate.strength == 1


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("my_attention:no_such", "AttributeError: module 'my_attention' has no attribute 'no_such'"),
        ("my_attention:Outside", "TypeError: .*missing 1 required positional argument: 'channels'"),
        ("my_attention:__doc__", "TypeError: 'NoneType' object is not callable"),
    ],
)
def test_what_an_entry_point_names_is_called_or_a_sentence(folder, entry, said):
    install(folder, entry)
    with pytest.raises(GluonAttnError, match=f"The module '{entry}', which the entry point 'outside' .*: {said}"):
        gluon_attn.list_models()


def test_its_gate_is_known_too(folder):
    plugins.want(["my_attention"])
    assert "my_attention" not in sys.modules, "it is imported when a name is asked for"
    assert gluon_attn.create_gate("outside", 8, strength=3.0).strength == 3
    assert "outside" in gluon_attn.list_gates()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("my_atention", "there is no module of that name"),
        ("my_attention.py", "write --import my_attention."),
        ("..", "must be installed"),
        ("", "must be installed"),
        ("no_package.my_attention", "there is no module of that name"),
        ("my_attention.deeper", "there is no module of that name"),
    ],
)
def test_a_module_that_is_not_there_is_a_sentence(folder, capsys, word, said):
    assert cli.main(["list", "--import", word]) == 2
    assert said in capsys.readouterr().err


def test_a_module_that_fails_is_a_sentence_where_it_is_needed(folder):
    (folder / "my_attention.py").write_text("import gluon_attn\n1 / 0\n")
    plugins.want(["my_attention"])
    assert gluon_attn.get_model("cifar_resnet20") is not None
    said = r"'my_attention', which --import .* names, .*ZeroDivisionError.*take it out"
    depths = set()
    for _ in range(2):  # a list that is asked for again is not shorter in silence, nor its error longer
        with pytest.raises(GluonAttnError, match=said) as raised:
            gluon_attn.list_models("*outside*")
        depths.add(len(raised.traceback))
    assert len(depths) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("from os import no_such_name", "ImportError: cannot import name 'no_such_name'"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_a_package_that_fails_is_a_sentence_too(folder, capsys, content, said):
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").write_text(content)
    (folder / "my_package" / "mod.py").write_text(MODULE)
    assert cli.main(["list", "--import", "my_package.mod"]) == 2
    assert f"The module 'my_package.mod', which --import or {plugins.VARIABLE} names, cannot be imported: {said}" in (
        capsys.readouterr().err
    )


def test_an_unknown_network_may_be_somebodys_own(folder):
    with pytest.raises(GluonAttnError, match="Unknown model 'outside_resnet18'.*--import MODULE"):
        gluon_attn.get_model("outside_resnet18")
    plugins.want(["my_attention", "os"])
    with pytest.raises(GluonAttnError, match="Unknown gate 'outsid'.*Imported, and without it: my_attention, os"):
        gluon_attn.create_gate("outsid", 8)
    with pytest.raises(GluonAttnError, match="Unknown model 'outsid_resnet18'.*without it: my_attention, os"):
        gluon_attn.get_model("outsid_resnet18")


def test_a_module_that_ends_the_program_is_a_sentence(tmp_path):
    (tmp_path / "exiter.py").write_text("import sys\nsys.exit(0)\n")
    for words in (["list", "--import", "exiter"], ["list"]):
        command = [sys.executable, "-m", "gluon_attn", *words]
        variables = {"GLUON_ATTN_IMPORT": "" if "--import" in words else "exiter"}
        env = {**os.environ, "PYTHONPATH": str(Path(gluon_attn.__file__).parents[1]), **variables}
        found = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert found.returncode == 2 and "'exiter'" in found.stderr and "SystemExit" in found.stderr
