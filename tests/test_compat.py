"""MXNet beside a numpy that it cannot run on, or broken: importing gluon_attn works, and what needs it says why not."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from gluon_attn import _compat

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from gluon_attn import _compat
_compat._numpy = lambda: (2, 3)
import gluon_attn
print(len(gluon_attn.list_models("cifar_se_resnet20")))
for use in (lambda: gluon_attn.get_model("cifar_se_resnet20"), lambda: gluon_attn.explain):
    try:
        use()
    except ImportError as error:
        print(error)
with_a_mistake = {}
try:
    with _compat.mxnet_explained():
        with_a_mistake.no_such_attribute
except AttributeError as error:
    print(type(error).__name__)
"""


def test_numpy_2_beside_mxnet_is_one_sentence(tmp_path):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet" / "__init__.py").write_text("import numpy\nnumpy.gone_in_numpy_2\n")
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    count, *sentences, last = answer.stdout.splitlines()
    assert count == "1" and len(sentences) == 2 and last == "AttributeError", answer
    assert all("MXNet 1.9.1 cannot run on numpy" in sentence and "install 'numpy" in sentence for sentence in sentences)


BROKEN = """
import sys
sys.path.insert(0, sys.argv[1])
import gluon_attn
try:
    gluon_attn.get_model("cifar_se_resnet20")
except gluon_attn.GluonAttnError as error:
    print(error)
"""


def test_a_package_that_is_installed_and_broken_is_one_sentence(tmp_path):
    """Of GluonCV, which imports MXNet, that lacks a library of the system: what is said is MXNet."""
    lines = {"mxnet": "raise OSError('libgfortran.so.3: cannot open')", "gluoncv": "import mxnet"}
    for package, line in lines.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(line)
    command = [sys.executable, "-c", BROKEN, str(tmp_path)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert said == "mxnet is installed and does not import (libgfortran.so.3: cannot open): reinstall it.\n"


@pytest.mark.parametrize(
    "version, words",
    [((3, 12), "'gluon_attn[cpu]'`, or"), ((3, 13), "'gluon_attn[cpu]'` on Python 3.8 to 3.12 (this is 3.13), or")],
)
def test_the_remedy_is_one_of_this_python(version, words, monkeypatch):
    monkeypatch.setattr(_compat, "sys", SimpleNamespace(version_info=version))
    monkeypatch.setattr(_compat, "_installed", lambda name: False)
    with pytest.raises(_compat.MissingMXNet) as caught, _compat.mxnet_explained():
        raise ModuleNotFoundError("No module named 'mxnet'", name="mxnet")
    assert f"MXNet is not installed: run `pip install {words}" in str(caught.value)
