"""bfloat16 by MXNet's AMP; in a process of its own, since AMP cannot be switched off again."""

from __future__ import annotations

import json
import subprocess
import sys

import mxnet as mx
import pytest

from gluon_attn import devices
from gluon_attn.errors import GluonAttnError
from gluon_attn.weights.files import read_arrays
from tests.helpers import needs_bfloat16


@needs_bfloat16
def test_bfloat16_learns_and_keeps_float32_weights(tmp_path):
    arch = "layers=[1,1,1],widths=[8,8,16],stem_widths=[8]"
    command = [sys.executable, "train_cifar.py", "--dataset", "digits", "--model", "cifar_resnet20", "--arch", arch]
    command += ["--epochs", "2", "--batch-size", "25", "--lr", "0.05", "--dtype", "bfloat16", "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert json.loads((tmp_path / "metrics.json").read_text())["last_accuracy"] > 0.3
    assert {array.dtype.name for array in read_arrays((tmp_path / "last.params").read_bytes()).values()} == {"float32"}


STEP = """
import gluon_attn, mxnet as mx
from gluon_attn.cost.jobs import training_step
from gluon_attn.train import build as network
from gluon_attn.devices import prepare_arithmetic
prepare_arithmetic("bfloat16", [mx.cpu()])
net = gluon_attn.get_model("cifar_iaff_resnext38_32x4d", layers=(1, 1, 1))
training_step(net, 2, 16)()
print(network.finite(net))
"""


@needs_bfloat16
def test_the_words_for_the_cpu_are_known_to_amp():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", STEP], stdout=subprocess.PIPE, text=True, timeout=120)
    assert (run.returncode, run.stdout.split()[-1:]) == (0, ["True"])


def test_what_is_refused(monkeypatch):
    with pytest.raises(GluonAttnError, match="float16 does not run on a CPU.*no float16 convolution"):
        devices.prepare_arithmetic("float16", [mx.cpu()])
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: False)
    with pytest.raises(GluonAttnError, match="needs a CPU with AVX512-BF16"):
        devices.prepare_arithmetic("bfloat16", [mx.cpu()])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("tpu:0", "is no device"),
        ("cpu:²", "is no device"),
        (",", "names none"),
        ("gpu:99", "There is no gpu:99"),
        ("cpu:0,cpu:0", "names a device twice"),
    ],
)
def test_devices_that_do_not_exist(words, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        devices.parse_devices(words)
    assert devices.parse_devices("cpu:0, cpu:1") == [mx.cpu(0), mx.cpu(1)]
