"""Occlusion against a direct computation, and on a network that looks at one corner only."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import explain
from tests.explain.corner import CornerNet
from tests.helpers import build, images


def test_occlusion_by_hand():
    net = build("cifar_se_resnet20", classes=4)
    x, label, patch, stride = images(1, 3, 16, 12), 2, 5, 3

    def probability(image):
        return net(mx.nd.array(image)).softmax(axis=1).asnumpy()[0, label]

    total, covered = np.zeros((16, 12)), np.zeros((16, 12))
    for i in (0, 3, 6, 9, 11):
        for j in (0, 3, 6, 7):
            hidden = x.copy()
            hidden[:, :, i : i + patch, j : j + patch] = 0.25
            total[i : i + patch, j : j + patch] += probability(x) - probability(hidden)
            covered[i : i + patch, j : j + patch] += 1
    expected = np.maximum(total / covered, 0)
    got = explain.occlusion(net, mx.nd.array(x), label, patch, stride, fill=0.25, batch_size=7)
    np.testing.assert_allclose(got[0], expected / expected.max(), atol=2e-3)


def test_only_the_corner_matters_to_a_network_that_sees_nothing_else():
    net = CornerNet(32, 8)
    maps = explain.occlusion(net, mx.nd.array(np.abs(images(2, 3, 32, 32)) + 0.1), target=0, patch=4, stride=4)
    assert (maps[:, :8, :8] > 0).all()
    maps[:, :8, :8] = 0
    assert not maps.any()


def test_a_patch_larger_than_the_image_is_refused():
    with pytest.raises(gluon_attn.GluonAttnError, match="patch=40"):
        explain.occlusion(CornerNet(32, 8), mx.nd.zeros((1, 3, 32, 32)), patch=40)
