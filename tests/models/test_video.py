"""Non-local blocks in GluonCV's I3D."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_attn import GluonAttnError
from gluon_attn.attention.non_local import NonLocal
from gluon_attn.layers import Conv3D
from gluon_attn.models.video import nonlocal_i3d
from tests.helpers import images, randomise

pytest.importorskip("gluoncv")


def test_five_blocks_that_start_as_the_identity_and_then_act():
    net = nonlocal_i3d(classes=5, form="dot")
    blocks = [(s, i, b.nonlocal_block) for s, layer in enumerate(net.res_layers) for i, b in enumerate(layer)]
    places = [(s, i) for s, i, block in blocks if isinstance(block, NonLocal)]
    assert places == [(1, 1), (1, 3), (2, 1), (2, 3), (2, 5)]
    added = [block for _, _, block in blocks if block is not None]
    for block in added:
        block.initialize()
    x = mx.nd.array(images(1, 3, 8, 32, 32))
    before = net(x).asnumpy()
    for block in added:
        block.norm.gamma.set_data(mx.nd.ones(block.norm.gamma.shape))
    acting = net(x).asnumpy()
    net.hybridize()
    assert before.shape == (1, 5) and abs(acting - before).max() > 1e-6
    np.testing.assert_allclose(net(x).asnumpy(), acting, rtol=1e-3, atol=1e-5)


def test_unknown_depth():
    with pytest.raises(GluonAttnError, match="depth of a non-local I3D 18"):
        nonlocal_i3d(18)


@pytest.mark.parametrize("hybridize", [False, True])
def test_a_convolution_over_time_trains_with_its_batch_norm(hybridize):
    """float64 does without oneDNN, which cannot do these two backward by itself."""
    gradients = []
    for dtype in ("float32", "float64"):
        net = nn.HybridSequential()
        net.add(Conv3D(16, 3, padding=1, in_channels=3, use_bias=False), nn.BatchNorm(in_channels=16))
        net.add(NonLocal(16, dims=3))
        randomise(net).cast(dtype)
        if hybridize:
            net.hybridize()
        x = mx.nd.array(images(2, 3, 4, 6, 6), dtype=dtype)
        with mx.autograd.record():
            y = net(x)
            loss = (y * mx.nd.array(images(*y.shape, seed=1), dtype=dtype)).sum()
        loss.backward()
        gradients.append(net[0].weight.grad().asnumpy())
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-3 * abs(gradients[1]).max())


@pytest.mark.slow
def test_an_i3d_trains():
    net = nonlocal_i3d(classes=5)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    x = mx.nd.array(images(2, 3, 8, 32, 32))
    with mx.autograd.record():
        loss = (net(x) ** 2).sum()
    loss.backward()
    for name, parameter in net._collect_params_with_prefix().items():
        behind_zero = "nonlocal_block" in name and "norm" not in name  # the block starts with gamma 0
        if parameter.grad_req != "null" and not behind_zero:
            assert abs(parameter.grad().asnumpy()).max() > 0, name
