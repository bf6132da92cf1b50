"""The gradients of inference, before and behind max pooling, whose backward with oneDNN is wrong after inference.

In float64 nothing goes through oneDNN: the same network there is the reference, and its own gradient is checked against
finite differences in test_cam.py.
"""

from __future__ import annotations

import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_attn import explain
from tests.explain.gradients import FAMILIES, gradients
from tests.helpers import build, images, randomise

QUICK = ["resnet18", "cifar_nonlocal_resnet20", "cifar_ltpa_vgg", "fullface_gaze", "cifar_densenet100_k12"]


def assert_equal(found, expected):
    features, gradient, cam = found
    # Where a window is all zero behind a ReLU, each of its places may be called the maximum.
    chosen = features > 0 if (features >= 0).all() else slice(None)
    scale = np.abs(expected[1]).max()
    assert scale > 0
    np.testing.assert_allclose(gradient[chosen], expected[1][chosen], atol=2e-4 * scale)
    np.testing.assert_allclose(cam, expected[2], atol=2e-4)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAMILIES])
def test_every_stage_of_every_family(name):
    if name == "lip_resnet50":
        pytest.skip("MXNet's InstanceNorm has no float64: see the comparison without oneDNN")
    expected = gradients(name, "float64")
    found = gradients(name)
    assert list(found) == list(expected)
    for stage in expected:
        assert_equal(found[stage], expected[stage])


@pytest.mark.slow
def test_with_onednn_as_without(tmp_path):
    found = []
    for switch in ("1", "0"):
        path = str(tmp_path / f"{switch}.npz")
        environment = dict(os.environ, MXNET_MKLDNN_ENABLED=switch)
        subprocess.run([sys.executable, "-m", "tests.explain.gradients", path], check=True, env=environment)
        found.append(np.load(path))
    for key in found[1].files:
        if key.endswith("/features"):
            stage = key.rpartition("/")[0]
            kinds = [f"{stage}/{kind}" for kind in ("features", "gradient", "map")]
            assert_equal([found[0][kind] for kind in kinds], [found[1][kind] for kind in kinds])


def saliency(net, x, train_mode):
    x = x.copy()
    x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        score = net(x)[:, 1].sum()
    score.backward()
    return x.grad.asnumpy()


def small():
    """A network that is not the zoo's, with whatever behaves otherwise in training."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, in_channels=3), nn.BatchNorm(in_channels=4), nn.MaxPool2D(2), nn.Dropout(0.5))
    net.add(nn.Conv2D(4, 3, in_channels=4), nn.MaxPool2D(3, 2, 1), nn.Dense(2, in_units=36))
    return randomise(net)


@pytest.mark.parametrize("train_mode", [False, True])
@pytest.mark.parametrize("hybridize", [False, True])
def test_gradients_of_ones_own(train_mode, hybridize):
    net, x = small(), mx.nd.array(images(2, 3, 16, 16))
    reference = small()
    reference.cast("float64")
    expected = saliency(explain.differentiable(reference), x.astype("float64"), train_mode)
    if hybridize:
        net.hybridize()
    before = {name: p.data().asnumpy() for name, p in net.collect_params().items()}
    block = explain.differentiable(net)
    np.testing.assert_allclose(saliency(block, x, train_mode), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(block(x).asnumpy(), net(x).asnumpy(), rtol=1e-5, atol=1e-6)
    for name, parameter in net.collect_params().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name])


def test_the_reference_is_the_derivative():
    net, x = small(), images(1, 3, 16, 16).astype("float64")
    net.cast("float64")
    gradient = saliency(explain.differentiable(net), mx.nd.array(x, dtype="float64"), True)
    direction = np.random.RandomState(1).normal(size=x.shape)
    ends = [net(mx.nd.array(x + s * 1e-6 * direction, dtype="float64"))[0, 1].asscalar() for s in (1, -1)]
    assert (gradient * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_a_feature_network_gives_its_stages():
    net = build("cifar_resnet20", classes=3, layers=(1, 1, 1), features=("stage1", "stage3"))
    x = mx.nd.array(images(1, 3, 32, 32))
    for found, expected in zip(explain.differentiable(net)(x), net(x)):
        np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)


def test_a_training_that_runs_is_not_touched():
    """Running statistics stay, and the network trains as before: its own graph is another one."""
    net = build("cifar_nonlocal_resnet20", classes=3, layers=(1, 1, 1))
    net.hybridize()
    x = mx.nd.array(images(2, 3, 32, 32))
    statistics = {n: p for n, p in net.collect_params().items() if p.grad_req == "null"}
    before = {name: p.data().asnumpy() for name, p in statistics.items()}
    explain.gradcam(net, x, stage="stem")
    for name, parameter in statistics.items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name])
    with mx.autograd.record():
        loss = net(x).sum()
    loss.backward()
    assert any(np.abs(p.data().asnumpy() - before[name]).max() > 0 for name, p in statistics.items())
