"""Every gate and fusion against ten lines of numpy, on random parameters."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import create_fuse, create_gate, create_stage
from gluon_attn.attention import FUSES, GATES, STAGES
from gluon_attn.attention.eca import kernel_for
from tests.helpers import arrays, batch_norm, conv1x1, conv2d, images, numeric_gradient, randomise, sigmoid

C = 32


def gate_weight(z, gating="sigmoid", alpha=1.0):
    return {
        "sigmoid": lambda: alpha * sigmoid(z),
        "complement": lambda: 1 - alpha * sigmoid(z),
        "reciprocal": lambda: sigmoid(1 / (sigmoid(z) + 1e-6)),
        "negated": lambda: sigmoid(-z),
    }[gating]()


def se(x, p, **how):
    z = x.mean((2, 3), keepdims=True)
    z = conv1x1(np.maximum(conv1x1(z, p, "mlp.0"), 0), p, "mlp.2")
    return x * gate_weight(z, **how)


def cbam(x, p, order=("max", "mean"), **how):
    def mlp(z):
        return conv1x1(np.maximum(conv1x1(z, p, "channel.mlp.0"), 0), p, "channel.mlp.2")

    x = x * gate_weight(mlp(x.mean((2, 3), keepdims=True)) + mlp(x.max((2, 3), keepdims=True)), **how)
    planes = np.concatenate([getattr(x, reduce)(1, keepdims=True) for reduce in order], 1)
    z = conv2d(planes, p["spatial.conv.weight"], padding=3)
    return x * gate_weight(batch_norm(z, p, "spatial.bn") if "spatial.bn.gamma" in p else z, **how)


def eca(x, p, **how):
    kernel = p["conv.weight"][0, 0]
    half = len(kernel) // 2
    z = np.pad(x.mean((2, 3)), ((0, 0), (half, half)))
    z = sum(kernel[k] * z[:, k : k + x.shape[1]] for k in range(len(kernel)))
    return x * gate_weight(z[:, :, None, None], **how)


def context(x, p, path="context"):
    def branch(z, name, first):
        z = batch_norm(conv1x1(z, p, f"{path}.{name}.{first}"), p, f"{path}.{name}.{first + 1}")
        return batch_norm(conv1x1(np.maximum(z, 0), p, f"{path}.{name}.{first + 3}"), p, f"{path}.{name}.{first + 4}")

    return branch(x, "local_branch", 0) + branch(x.mean((2, 3), keepdims=True), "global_branch", 1)


def ms_cam(x, p, **how):
    return x * gate_weight(context(x, p), **how)


def aff(x, y, p):
    w = sigmoid(context(x + y, p))
    return 2 * x * w + 2 * y * (1 - w)


def iaff(x, y, p):
    w = sigmoid(context(x + y, p, "first"))
    z = x * w + y * (1 - w)
    w = sigmoid(context(z, p, "second"))
    return x * w + y * (1 - w)


def bam(x, p, **how):
    z = conv1x1(x.mean((2, 3), keepdims=True), p, "channel.1")
    channel = conv1x1(np.maximum(batch_norm(z, p, "channel.2"), 0), p, "channel.4")
    z = np.maximum(batch_norm(conv1x1(x, p, "spatial.0"), p, "spatial.1"), 0)
    for i in (3, 6):
        bias = p[f"spatial.{i}.bias"].reshape(1, -1, 1, 1)
        z = conv2d(z, p[f"spatial.{i}.weight"], padding=4, dilation=4) + bias
        z = np.maximum(batch_norm(z, p, f"spatial.{i + 1}"), 0)
    return x * (1 + gate_weight(channel * conv1x1(z, p, "spatial.9"), **how))


GATE_REFERENCES = {
    "identity": lambda x, p: x,
    "se": se,
    "cbam": cbam,
    "eca": eca,
    "ms_cam": ms_cam,
    "inv_se": lambda x, p: se(x, p, gating="complement"),
    "inv_cbam": lambda x, p: cbam(x, p, gating="complement"),
}
FUSE_REFERENCES = {"add": lambda x, y, p: x + y, "aff": aff, "iaff": iaff}
GATINGS = [("sigmoid", 1.0), ("sigmoid", 0.8), ("complement", 1.0), ("complement", 0.5), ("reciprocal", 1.0)]
GATINGS += [("negated", 1.0)]


def run_both_ways(block, *inputs):
    """The imperative result, after checking that the hybridized and the static one equal it."""
    inputs = [mx.nd.array(x) for x in inputs]
    imperative = block(*inputs).asnumpy()
    for flags in ({}, {"static_alloc": True, "static_shape": True}):
        block.hybridize(**flags)
        np.testing.assert_allclose(block(*inputs).asnumpy(), imperative, rtol=1e-5, atol=1e-6)
    return imperative


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", sorted(GATE_REFERENCES))
def test_gate_values(name, batch):
    gate, x = randomise(create_gate(name, C)), images(batch, C, 5, 7)
    np.testing.assert_allclose(run_both_ways(gate, x), GATE_REFERENCES[name](x, arrays(gate)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gating, alpha", GATINGS)
@pytest.mark.parametrize("name", ["se", "cbam", "eca", "ms_cam"])
def test_every_gating_in_every_gate(name, gating, alpha):
    gate, x = randomise(create_gate(name, C, gating=gating, alpha=alpha)), images(2, C, 4, 4)
    expected = GATE_REFERENCES[name](x, arrays(gate), gating=gating, alpha=alpha)
    np.testing.assert_allclose(gate(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_cbam_in_the_form_of_learning_to_ignore():
    gate = randomise(create_gate("inv_cbam", C, reduction=8, spatial_bn=False, spatial_order="mean_max"))
    x = images(2, C, 6, 6)
    expected = cbam(x, arrays(gate), order=("mean", "max"), gating="complement")
    np.testing.assert_allclose(gate(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)
    assert gate.channel.mlp[0].weight.shape == (C // 8, C, 1, 1)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", sorted(FUSE_REFERENCES))
def test_fuse_values(name, batch):
    fuse, x, y = randomise(create_fuse(name, C)), images(batch, C, 5, 4), images(batch, C, 5, 4, seed=1)
    expected = FUSE_REFERENCES[name](x, y, arrays(fuse))
    np.testing.assert_allclose(run_both_ways(fuse, x, y), expected, rtol=1e-4, atol=1e-5)


def test_bam_values():
    block, x = randomise(create_stage("bam", C)), images(2, C, 9, 8)
    np.testing.assert_allclose(run_both_ways(block, x), bam(x, arrays(block)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels, kernel", [(64, 3), (256, 5), (512, 5), (1024, 5), (2048, 7)])
def test_eca_kernel(channels, kernel):
    assert kernel_for(channels) == kernel


def _float64(block):
    block = randomise(block)
    block.cast("float64")
    return block


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", sorted(set(GATE_REFERENCES) - {"identity"}) + ["reciprocal", "aff", "iaff"])
def test_gradients_by_finite_differences(name, train):
    if name in FUSE_REFERENCES:
        block, count = _float64(create_fuse(name, 4, reduction=2)), 2
    elif name == "reciprocal":
        block, count = _float64(create_gate("se", 4, reduction=2, gating="reciprocal")), 1
    else:
        kwargs = {} if name == "eca" else {"reduction": 2}
        block, count = _float64(create_gate(name, 4, **kwargs)), 1
    inputs = [images(2, 4, 3, 3, seed=i).astype("float64") for i in range(count)]
    projection = mx.nd.array(images(2, 4, 3, 3, seed=9), dtype="float64")

    def loss(x):
        with mx.autograd.record(train_mode=train):
            return (block(mx.nd.array(x, dtype="float64"), *rest) * projection).sum().asscalar()

    rest = [mx.nd.array(x, dtype="float64") for x in inputs[1:]]
    x = mx.nd.array(inputs[0], dtype="float64")
    x.attach_grad()
    with mx.autograd.record(train_mode=train):
        value = (block(x, *rest) * projection).sum()
    value.backward(train_mode=train)  # its default is True, whatever was recorded
    np.testing.assert_allclose(x.grad.asnumpy(), numeric_gradient(loss, inputs[0]), rtol=1e-3, atol=1e-5)


def test_references_cover_the_first_mechanisms():
    assert set(GATE_REFERENCES) <= set(GATES) and set(FUSE_REFERENCES) <= set(FUSES) and "bam" in STAGES
