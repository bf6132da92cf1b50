"""Gather-Excite without parameters, and the parts of LIP, against numpy; the rest is in test_references.py."""

from __future__ import annotations

import functools

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import GluonAttnError, create_gate
from gluon_attn.attention.aa import AugmentedConv
from gluon_attn.attention.lip import ImportancePool, LogitPool, SimplifiedLIP, shared_logits
from gluon_attn.attention.slots import GATES
from tests.attention.references.lip import importance_pool, instance_norm
from tests.helpers import arrays, conv1x1, conv2d, images, randomise, sigmoid

C = 8


def run(block, *inputs):
    """The imperative result, after checking that the hybridized one equals it."""
    inputs = [mx.nd.array(x) for x in inputs]
    imperative = block(*inputs).asnumpy()
    block.hybridize()
    np.testing.assert_allclose(block(*inputs).asnumpy(), imperative, rtol=1e-5, atol=1e-6)
    return imperative


def test_gather_excite_without_parameters_takes_any_size():
    gate = create_gate("ge", C, form="theta_minus")
    assert not list(gate.collect_params())
    assert gate(mx.nd.array(images(1, C, 3, 9))).shape == (1, C, 3, 9)


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


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: create_gate("ge", 8, form="theta"), ["map_size=", "theta_minus"]),
        (lambda: create_gate("ge", 8, form="plus"), ["'plus'", "theta_plus"]),
        (lambda: AugmentedConv(16), ["map_size="]),
        (lambda: AugmentedConv(8, map_size=4), ["8 of 8 channels", "0 to its 3x3", "heads="]),
        (lambda: create_gate(GATES["se"], 64, reduction=0), ["the gate 'SE': reduction=0", "whole number from 1"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("make", [AugmentedConv, functools.partial(create_gate, "ge", form="theta")])
def test_maps_of_another_size_are_refused(make):
    """MXNet's imperative reshape took them: (16, 20, 324) became (16, 20, 14, 14), and Python died of it."""
    block = make(16, map_size=14)
    block.initialize()
    assert block(mx.nd.zeros((2, 16, 14, 14))).shape == (2, 16, 14, 14)
    for high, wide in ((12, 12), (18, 18), (14, 18)):
        with pytest.raises(GluonAttnError, match=f"tied to maps of 14x14 .* got {high}x{wide}.*map_size="):
            block(mx.nd.zeros((2, 16, high, wide)))
