"""Non-local blocks in GluonCV's I3D."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import GluonAttnError
from gluon_attn.attention.non_local import NonLocal
from gluon_attn.models.video import nonlocal_i3d
from tests.helpers import images

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
