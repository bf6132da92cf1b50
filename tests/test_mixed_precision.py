"""Training in bfloat16: what is kept out of AMP's hands, in processes of their own, which AMP patches for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers import kernels_of, needs_bfloat16

pytestmark = [needs_bfloat16, pytest.mark.ci]  # all import everything anew

PICTURE = """
import mxnet as mx
import numpy as np
import gluon_attn
from gluon_attn import explain, mixed_precision
from gluon_attn.cost.jobs import training_step
from gluon_attn.devices import prepare_arithmetic
from gluon_attn.layers import conv
prepare_arithmetic("bfloat16", [mx.cpu()])
first, x = conv(3, 32, 7, 2, of="picture"), mx.nd.array(np.random.RandomState(0).randn(2, 3, 16, 16))
first.initialize()
net = gluon_attn.get_model("resnet18", layers=(1, 1, 1, 1), classes=16)
net.initialize()
stem, stage = (net.features_at(x)[name].dtype for name in ("stem", "stage1"))
assert first(x).dtype == stem == np.float32 and "bfloat16" in str(stage), (stem, stage)
assert np.isfinite(explain.gradcam(net, x, stage="stem")).all()
wanted = mixed_precision.operator(mx.nd, "Convolution")(x, first.weight.data(), **first._kwargs).asnumpy()
assert abs(first(x).asnumpy() - wanted).max() < 1e-5
training_step(net, 8, 64)()
"""


_GEMM = ("convolution", "x64:gemm")


def test_a_picture_is_convolved_in_float32_where_bfloat16_has_no_kernel_for_it():
    kernels = kernels_of(PICTURE)
    assert not [kernel for kind, kernel in kernels if "ncsp_bnorm" in kernel or (kind, kernel[:8]) == _GEMM]
    assert ("batch_normalization", "bnorm_jit:avx512_core_bf16") in kernels


GATES = """
import collections
import json
import mxnet as mx
import numpy as np
import gluon_attn
from gluon_attn import cpu
from gluon_attn.devices import prepare_arithmetic
prepare_arithmetic("bfloat16", [mx.cpu()])

def casts(name, by=("amp_cast", "amp_multicast")):
    "{operator: the most casts to float32 of one of its outputs}"
    net = gluon_attn.get_model(name, layers=(1, 1, 1), classes=10)
    net.initialize()
    nodes = json.loads(net(mx.sym.Variable("data")).tojson(remove_amp_cast=False))["nodes"]
    readers = collections.Counter()
    for node in nodes:
        if node["op"] in by and node["attrs"].get("dtype", "float32") == "float32":
            readers.update({(source[0], source[1]) for source in node["inputs"]})
    found = collections.defaultdict(int)
    for (source, _), count in readers.items():
        found[nodes[source]["op"]] = max(found[nodes[source]["op"]], count)
    return found

for name in ("se", "cbam", "simam", "triplet", "eca", "ge_minus", "gc"):
    found = casts(f"cifar_{name}_resnet20")
    assert found["BatchNorm"] == 1, (name, found)
assert "BatchNorm" not in casts("cifar_resnet20", by=("amp_cast",))  # nothing is cast where there is no gate

x, net = np.random.RandomState(0).rand(2, 20, 7, 9).astype("float32"), gluon_attn.get_model("cifar_resnet20")
net.initialize()
for axis in (1, 2, 3, (2, 3)):
    mean = cpu.reduced(mx.nd, net, "mean", mx.nd.array(x), axis)
    assert mean.dtype == np.float32
    assert abs(mean.asnumpy() - x.mean(axis, keepdims=True)).max() < 1e-6, axis
"""


def test_what_a_gate_is_given_is_cast_once_and_means_are_float32s():
    run = subprocess.run([sys.executable, "-c", GATES], stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stderr


EXPORT = """
import mxnet as mx
import gluon_attn
from gluon_attn import deploy
from gluon_attn.weights.card import Card
from gluon_attn.complexity import complexity
from gluon_attn.devices import prepare_arithmetic
counted = complexity(gluon_attn.get_model("cifar_aff_resnet20"), 32)
prepare_arithmetic("bfloat16", [mx.cpu()])
x = mx.nd.random.uniform(shape=(2, 3, 32, 32))
card = Card("of the test", list("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32)
for name, hybridized in (("cifar_se_resnet20", False), ("cifar_aff_resnet20", True)):
    net = gluon_attn.get_model(name, classes=10)
    net.initialize()
    if hybridized:
        net.hybridize()
    before = net(x)
    assert "bfloat16" in str(before.dtype)
    assert deploy.export_onnx(net, "net.onnx", 32) < 1e-5
    assert deploy.export_symbol(net, "net", 32) < 1e-5
    found = deploy.Predictor("net.onnx", engine="onnxruntime", card=card).run(x.asnumpy())
    largest = abs(found).max()
    assert 0 < abs(found - before.astype("float32").asnumpy()).max() < 0.05 * largest
    assert (net(x) == before).asnumpy().all() and "bfloat16" in str(net(x).dtype)
assert complexity(gluon_attn.get_model("cifar_aff_resnet20"), 32) == counted
"""


def test_what_a_process_that_trains_in_bfloat16_exports_and_counts_is_float32(tmp_path):
    run = subprocess.run([sys.executable, "-c", EXPORT], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stderr


OTHERS = """
import mxnet as mx
from mxnet.contrib import amp
amp.init(target_dtype="bfloat16")
import gluon_attn
from gluon_attn import deploy
net = gluon_attn.get_model("cifar_resnet20", classes=10)
net.initialize()
for export in (deploy.export_onnx, deploy.export_symbol):
    try:
        export(net, "net", 32)
    except gluon_attn.GluonAttnError as problem:
        assert "has called amp.init(): every network" in str(problem), problem
    else:
        raise AssertionError
"""


def test_after_amp_of_ones_own_an_export_is_a_sentence(tmp_path):
    run = subprocess.run([sys.executable, "-c", OTHERS], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stderr
    assert not list(tmp_path.iterdir())
