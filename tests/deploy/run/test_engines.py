"""An engine whose package is installed and cannot be imported is a sentence that names the other one."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPENED = """
import sys
sys.path.insert(0, sys.argv[1])
from gluon_attn import cli
from gluon_attn.deploy import Predictor
engine = sys.argv[2] or None
try:
    Predictor("net.onnx", engine=engine)
except ValueError as error:
    print(error)
words = ["benchmark", "--file", "net.onnx", *(["--engine", engine] if engine else [])]
print(cli.main(words), file=sys.stderr)
"""


LIBRARY = 'raise ImportError("libtbb.so.12: cannot open\\n  it")'


@pytest.mark.parametrize(
    "package, named, line",
    [
        ("openvino", "", LIBRARY),
        ("openvino", "openvino", "import openvino._missing"),
        ("onnxruntime", "onnxruntime", LIBRARY),
    ],
)
def test_a_broken_engine_is_said_and_not_passed_over(package, named, line, tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(line)
    command = [sys.executable, "-c", OPENED, str(tmp_path), named]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    told, (other,) = answer.stdout.strip(), {"openvino", "onnxruntime"} - {package}
    assert told.startswith(f"{package} is installed and does not import ("), answer
    assert told.endswith(f"): reinstall it. Or take engine={other!r} (--engine {other})."), told
    assert answer.stderr.splitlines() == [f"gluon-attn: {told}", "2"]
