"""The rows of AFF's table, Gather-Excite, LIP, SK and attention-augmented convolution, against numpy."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import GluonAttnError, create_gate
from gluon_attn.attention.aa import AugmentedConv
from gluon_attn.attention.lip import ImportancePool, LogitPool, SimplifiedLIP, shared_logits
from gluon_attn.attention.sk import SelectiveKernel
from tests.helpers import arrays, batch_norm, conv1x1, conv2d, images, randomise, sigmoid

C = 8


def run(block, *inputs):
    """The imperative result, after checking that the hybridized one equals it."""
    inputs = [mx.nd.array(x) for x in inputs]
    imperative = block(*inputs).asnumpy()
    block.hybridize()
    np.testing.assert_allclose(block(*inputs).asnumpy(), imperative, rtol=1e-5, atol=1e-6)
    return imperative


def gather_excite(x, p, form):
    if form == "theta_minus":
        return x * sigmoid(x.mean((2, 3), keepdims=True))
    z = np.einsum("nchw,chw->nc", x, p["gather.0.weight"][:, 0])[..., None, None]
    z = batch_norm(z, p, "gather.1")
    if form == "theta_plus":
        z = conv1x1(np.maximum(conv1x1(np.maximum(z, 0), p, "excite.0"), 0), p, "excite.2")
    return x * sigmoid(z)


@pytest.mark.parametrize("form", ["theta_minus", "theta", "theta_plus"])
def test_gather_excite_values(form):
    gate = randomise(create_gate("ge", C, map_size=5, form=form, reduction=2))
    x = images(2, C, 5, 5)
    np.testing.assert_allclose(run(gate, x), gather_excite(x, arrays(gate), form), rtol=1e-4, atol=1e-5)


def test_gather_excite_without_parameters_takes_any_size():
    gate = create_gate("ge", C, form="theta_minus")
    assert not list(gate.collect_params())
    assert gate(mx.nd.array(images(1, C, 3, 9))).shape == (1, C, 3, 9)


def instance_norm(x, p, path, eps=1e-5):
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    gamma, beta = (p[f"{path}.{key}"].reshape(1, -1, 1, 1) for key in ("gamma", "beta"))
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


def importance_pool(x, logits):
    """Direct: weighted mean of every 3x3 window, positions outside the map left out."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, (h + 1) // 2, (w + 1) // 2))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = np.s_[:, :, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            e = np.exp(logits[window])
            y[:, :, i, j] = (x[window] * e).sum((2, 3)) / e.sum((2, 3))
    return y


@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_importance_pool_values(size):
    x, logits = images(2, C, *size), 6 + 6 * images(2, C, *size, seed=1)
    np.testing.assert_allclose(run(ImportancePool(), x, logits), importance_pool(x, logits), rtol=1e-4, atol=1e-5)


def test_lip_with_equal_logits_is_average_pooling():
    x = images(2, C, 7, 7)
    mean = mx.nd.Pooling(
        mx.nd.array(x), kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False
    )
    np.testing.assert_allclose(run(ImportancePool(), x, np.zeros_like(x)), mean.asnumpy(), rtol=1e-5, atol=1e-6)
    for block in (SimplifiedLIP(C), LogitPool(C)):  # and so they start
        block.initialize()
        inputs = [mx.nd.array(x)] + ([mx.nd.ones((2, 128, 7, 7))] if isinstance(block, LogitPool) else [])
        np.testing.assert_allclose(block(*inputs).asnumpy(), mean.asnumpy(), rtol=1e-5, atol=1e-6)


def test_simplified_lip_values():
    block, x = randomise(SimplifiedLIP(C)), images(2, C, 6, 6)
    p = arrays(block)
    logits = 12 * sigmoid(instance_norm(conv2d(x, p["logits.0.weight"], padding=1), p, "logits.1"))
    np.testing.assert_allclose(run(block, x), importance_pool(x, logits), rtol=1e-4, atol=1e-5)


def test_lip_with_shared_logits_values():
    shared, block = randomise(shared_logits(C)), randomise(LogitPool(C))
    x, p, q = images(1, C, 6, 6), arrays(shared), arrays(block)
    s = np.maximum(instance_norm(conv1x1(x, p, "0"), p, "1"), 0)
    s = np.maximum(instance_norm(conv2d(s, p["3.weight"], padding=1), p, "4"), 0)
    logits = 12 * sigmoid(instance_norm(conv1x1(s, q, "logits.0"), q, "logits.1"))
    got = block(mx.nd.array(x), shared(mx.nd.array(x))).asnumpy()
    np.testing.assert_allclose(got, importance_pool(x, logits), rtol=1e-3, atol=1e-4)


def grouped(x, weight, groups, **kwargs):
    parts = zip(np.split(x, groups, 1), np.split(weight, groups, 0))
    return np.concatenate([conv2d(part, w, **kwargs) for part, w in parts], 1)


@pytest.mark.parametrize("groups, stride", [(1, 1), (4, 2)])
def test_selective_kernel_values(groups, stride):
    block = randomise(SelectiveKernel(C, stride=stride, groups=groups, minimum=4))
    x, p = images(2, C, 6, 6), arrays(block)
    branches = []
    for m in (0, 1):
        y = grouped(x, p[f"branches.{m}.0.weight"], groups, padding=m + 1, dilation=m + 1, stride=stride)
        branches.append(np.maximum(batch_norm(y, p, f"branches.{m}.1"), 0))
    z = conv1x1(sum(branches).mean((2, 3), keepdims=True), p, "select.1")
    logits = conv1x1(np.maximum(batch_norm(z, p, "select.2"), 0), p, "select.4").reshape(2, 2, C, 1, 1)
    e = np.exp(logits)
    a = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(run(block, x), a[:, 0] * branches[0] + a[:, 1] * branches[1], rtol=1e-4, atol=1e-5)


def augmented(x, p, block):
    """Attention, position by position and head by head; x already pooled."""
    n, size, heads, d = len(x), block.size, block.heads, block.head_width
    y = conv1x1(x, p, "qkv").reshape(n, -1, size * size)
    query, key, value = np.split(y, np.cumsum(block.widths)[:2], 1)
    out = np.zeros((n, block.widths[2], size * size))
    dv = block.widths[2] // heads
    for h in range(heads):
        q, k, v = (z[:, h * w : (h + 1) * w] for z, w in ((query, d), (key, d), (value, dv)))
        for i in range(size * size):
            relative = [
                p["relative_height"][j // size - i // size + size - 1]
                + p["relative_width"][j % size - i % size + size - 1]
                for j in range(size * size)
            ]
            logits = np.einsum("nd,ndj->nj", q[:, :, i], k + np.array(relative).T) * d**-0.5
            e = np.exp(logits - logits.max(1, keepdims=True))
            out[:, h * dv : (h + 1) * dv, i] = np.einsum("nj,ncj->nc", e / e.sum(1, keepdims=True), v)
    return conv1x1(out.reshape(n, -1, size, size), p, "out")


@pytest.mark.parametrize("stride, reduce", [(1, 1), (2, 1), (1, 2)])
def test_augmented_convolution_values(stride, reduce):
    block = AugmentedConv(16, stride=stride, map_size=4, heads=2, upsilon=0.25, reduce=reduce)
    block = randomise(block)
    x, p = images(2, 16, 4 * stride, 4 * stride), arrays(block)
    got, pooled = run(block, x), x
    if block.pool is not None:
        pooled = importance_pool(x, np.zeros_like(x))
    expected = augmented(pooled, p, block)
    assert got.shape == (2, 16, 4, 4)
    np.testing.assert_allclose(got[:, :12], conv2d(x, p["conv.weight"], padding=1, stride=stride), rtol=1e-4, atol=1e-5)
    if reduce == 2:  # 2x2 -> 4x4, corners aligned
        t = np.array([[1, 0], [2 / 3, 1 / 3], [1 / 3, 2 / 3], [0, 1]])
        expected = np.einsum("ih,jw,nchw->ncij", t, t, expected)
    np.testing.assert_allclose(got[:, 12:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: create_gate("ge", 8, form="theta"), ["map_size=", "theta_minus"]),
        (lambda: create_gate("ge", 8, form="plus"), ["'plus'", "theta_plus"]),
        (lambda: AugmentedConv(16), ["map_size="]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
