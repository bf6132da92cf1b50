"""Spatial weights: values, the start near the identity, and the gradient of the map divided by N."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import create_stage
from tests.attention.references.spatial_weights import weight_map
from tests.helpers import arrays, images, numeric_gradient, randomise

C = 6


def test_values():
    block, x = randomise(create_stage("spatial_weights", C)), images(2, C, 4, 5) * 3
    level = np.median(weight_map(x, {**arrays(block), "weights.4.bias": np.array([9.0])})) - 9
    block.weights[4].bias.set_data(mx.nd.array([-level]))  # the ReLU closes half of the positions
    expected = x * weight_map(x, arrays(block))
    assert 0.3 < (expected == 0).mean() < 0.7
    for _ in range(2):
        np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)
        block.hybridize()


def test_start():
    block = create_stage("spatial_weights", 256)
    block.initialize(mx.init.One())  # the block's own initialisers go before the network's
    p = arrays(block)
    for i, sigma, bias in ((0, 0.01, 0.1), (2, 0.01, 0.1), (4, 0.001, 1.0)):
        assert abs(p[f"weights.{i}.weight"].std() / sigma - 1) < 0.2
        assert (p[f"weights.{i}.bias"] == np.float32(bias)).all()
    x = images(1, 256, 13, 13)
    np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), x, atol=0.02)


@pytest.mark.parametrize("scale_gradient", [True, False])
def test_gradients_by_finite_differences(scale_gradient):
    """dL/dU = direct term + (1/N) term through W; the parameters of the map get 1/N of their derivative."""
    block = randomise(create_stage("spatial_weights", C, scale_gradient=scale_gradient))
    for i in (0, 2, 4):  # open everywhere, so that the derivatives exist
        block.weights[i].bias.set_data(mx.nd.ones(block.weights[i].bias.shape) * 3)
    block.cast("float64")
    p, u, r = arrays(block), images(1, C, 2, 3).astype("float64"), images(1, C, 2, 3, seed=1).astype("float64")
    share = 1 / C if scale_gradient else 1
    frozen = weight_map(u, p)
    direct = numeric_gradient(lambda x: (r * x * frozen).sum(), u)
    through_map = numeric_gradient(lambda x: (r * u * weight_map(x, p)).sum(), u)

    x = mx.nd.array(u, dtype="float64")
    x.attach_grad()
    with mx.autograd.record():
        loss = (block(x) * mx.nd.array(r, dtype="float64")).sum()
    loss.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), direct + share * through_map, rtol=1e-5, atol=1e-8)

    path = "weights.2.weight"
    wanted = numeric_gradient(lambda w: (r * u * weight_map(u, {**p, path: w})).sum(), p[path])
    np.testing.assert_allclose(block.weights[2].weight.grad().asnumpy(), share * wanted, rtol=1e-5, atol=1e-8)
