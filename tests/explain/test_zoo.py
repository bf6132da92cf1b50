"""Every family and every attention of the zoo can be explained."""

from __future__ import annotations

import gc

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import explain, zoo
from gluon_attn.catalogue.names import SPECS
from tests.helpers import build, images, shallow, smallest

# One of every attention, on the smallest backbone that has it, and one of every family.
QUICK = [smallest(attention) for attention in sorted({spec.attention for spec in SPECS.values()})]
QUICK += ["cifar_ms_cam_preresnet32_w4", "cifar_inv_se_densenet40_k12", "cifar_cbam_mobilenet"]


def smallest_input(name):
    """64 pixels say as much as 224, where nothing in the network is tied to the size of its maps."""
    spec = zoo.find(name)
    tied = spec.dataset == "mpiifacegaze" or "map_size" in spec.arch
    return spec.input_size if tied or spec.dataset == "cifar100" else 64


def check(name, **arch):
    size = smallest_input(name)
    net = build(name, classes=5, **arch)
    x = mx.nd.array(images(2, 3, size, size))
    plain = explain.gradcam(net, x, target=[1, 3])
    assert plain.shape == (2, size, size) and plain.min() >= 0 and plain.max() <= 1
    for values in explain.attention_maps(net, x).values():
        assert np.isfinite(values.values).all() and len(values.values) == 2
    net.hybridize()
    np.testing.assert_allclose(explain.gradcam(net, x, target=[1, 3]), plain, atol=1e-3)


@pytest.mark.parametrize("name", QUICK)
def test_quick(name):
    check(name, **shallow(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in gluon_attn.list_models() if n not in QUICK])
def test_every_name(name):
    check(name)
    gc.collect()  # networks are cycles: hundreds of them would wait in memory for the collector
