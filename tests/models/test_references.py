"""Every backbone of the catalogue equals its reference in numpy, or the suite fails."""

from __future__ import annotations

import functools

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.catalogue.backbones import BACKBONES
from tests.helpers import arrays, images, randomise
from tests.models.references import REFERENCES, resnet


def test_every_backbone_has_a_reference():
    assert sorted(REFERENCES) == sorted(BACKBONES), "write it in tests/models/references.py"


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_values(name):
    assert_equal(name, *REFERENCES[name])


def test_the_stem_that_halves_the_image():
    small = dict(layers=(2, 1, 1, 1), widths=(8, 8, 12, 16), stem="half", stem_widths=(4,))
    reference = functools.partial(resnet, layers=small["layers"], stem="half", block="basic")
    assert_equal("resnet18", reference, small, 32)
    features = gluon_attn.get_model("resnet18", **small).features_at(mx.sym.var("data"))
    _, (shape,), _ = features["stage4"].infer_shape(data=(1, 3, 64, 64))
    assert shape == (1, 16, 4, 4)


def test_the_stem_without_a_relu():
    small = dict(layers=(2, 1, 1), widths=(8, 12, 16), stem="linear", stem_widths=(8,))
    assert_equal("cifar_resnet20", functools.partial(resnet, layers=(2, 1, 1), stem="linear", block="basic"), small, 8)


def assert_equal(name, reference, small, side):
    net = randomise(gluon_attn.get_model(name, **small, **({} if "gaze" in name else {"classes": 5})))
    x = images(2, 3, side, side) * 2
    expected = reference(x.astype("float64"), arrays(net))
    for hybrid in (False, True):
        net.hybridize(hybrid)
        np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
