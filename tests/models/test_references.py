"""Every backbone of the catalogue equals its reference in numpy, or the suite fails."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.catalogue.backbones import BACKBONES
from tests.helpers import arrays, images, randomise
from tests.models.references import REFERENCES


def test_every_backbone_has_a_reference():
    assert sorted(REFERENCES) == sorted(BACKBONES), "write it in tests/models/references.py"


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_values(name):
    reference, small, side = REFERENCES[name]
    net = randomise(gluon_attn.get_model(name, **small, **({} if "gaze" in name else {"classes": 5})))
    x = images(2, 3, side, side) * 2
    expected = reference(x.astype("float64"), arrays(net))
    for hybrid in (False, True):
        net.hybridize(hybrid)
        np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=1e-3, atol=1e-4 * abs(expected).max())
