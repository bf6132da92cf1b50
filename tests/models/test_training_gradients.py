"""A training step on a CPU, hybridized as by the trainer, has the gradients of float64, where oneDNN has no part."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_attn import losses
from gluon_attn.layers import MaxPool2D
from tests.explain.gradients import FAMILIES, small
from tests.helpers import images, randomise

POOLED = [
    "resnet18",
    "resnet50d",
    "bam_resnet18",
    "cifar_nonlocal_resnet20",
    "cifar_ltpa_vgg",
    "cifar_pyramid_resnet20",
    "fullface_gaze",
]


def step(net, x):
    """Parameter gradients of one hybridized training step."""
    net.hybridize(static_alloc=True)
    forward = losses.for_training(net, static_alloc=True)
    with mx.autograd.record():
        outputs = forward(x)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        loss = sum((y * mx.nd.array(images(*y.shape, seed=1), dtype=y.dtype)).sum() for y in outputs)
    loss.backward()
    parameters = net._collect_params_with_prefix()
    return {name: p.grad().asnumpy() for name, p in parameters.items() if p.grad_req != "null"}


def assert_same(found, expected):
    # Zero but for rounding: the bias before a BatchNorm, and what reaches a softmax that does not see it.
    floor = 1e-2 * max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        scale = max(np.abs(gradient).max(), floor)
        np.testing.assert_allclose(found[name] / scale, gradient / scale, atol=2e-2, err_msg=name)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in POOLED else pytest.mark.slow) for n in FAMILIES])
def test_every_family(name):
    if name == "lip_resnet50":
        pytest.skip("MXNet's InstanceNorm has no float64")
    if name == "cifar_wrn28_10":
        pytest.skip("its dropout draws other numbers in float64")
    assert_same(step(*small(name)), step(*small(name, "float64")))


class Shared(nn.HybridBlock):
    """A max pooling of a convolution that `reshape` reads, too."""

    def __init__(self, pool, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.pool, self.after = nn.Conv2D(16, 3, in_channels=3), pool, nn.Conv2D(8, 3, in_channels=16)

    def hybrid_forward(self, F, x):
        x = self.conv(x)
        return F.concat(F.flatten(F.reshape(x, (0, 0, -1))), F.flatten(self.after(self.pool(x))), dim=1)


@pytest.mark.parametrize("how", [dict(pool_size=2), dict(pool_size=3, strides=2, padding=1)])
def test_a_pooling_whose_input_is_read_by_others(how):
    found = []
    for dtype in ("float32", "float64"):
        net = randomise(Shared(MaxPool2D(**how)))
        net.cast(dtype)
        found.append(step(net, mx.nd.array(images(2, 3, 18, 18), dtype=dtype)))
    assert_same(*found)
