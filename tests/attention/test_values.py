"""Gradients of every gate and fusion by finite differences. Their values: test_references.py."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn.attention.eca import kernel_for
from gluon_attn.attention.slots import FUSES, GATES, KINDS, STAGES, accepted, create
from gluon_attn.catalogue.arguments import taken_by
from gluon_attn.errors import GluonAttnError
from tests.helpers import images, numeric_gradient, randomise


@pytest.mark.parametrize("channels, kernel", [(64, 3), (256, 5), (512, 5), (1024, 5), (2048, 7)])
def test_eca_kernel(channels, kernel):
    assert kernel_for(channels) == kernel


EVERY_KEYWORD = [
    (slot, name, keyword)
    for slot, names in (("gate", GATES), ("fuse", FUSES), ("stage", STAGES))
    for name in names
    for keyword in accepted(slot, name)
]


@pytest.mark.parametrize("slot, name, keyword", EVERY_KEYWORD)
def test_a_value_that_a_keyword_does_not_take_is_a_sentence(slot, name, keyword):
    """`reduction=-1` made a gate of one channel, and `reduction=0` a ZeroDivisionError."""
    kind = taken_by(keyword).kind
    wrong = [value for value in (0, -1, 1.5, "nonsense", (2, 2), None, object()) if not kind.fits(value)]
    assert len(wrong) > 1
    sentence = f"the {KINDS.get(slot, slot)} '{name}': {keyword}=.* give {kind.words}"
    for value in wrong:
        with pytest.raises(GluonAttnError, match=sentence):
            create(slot, name, 32, **{keyword: value})


@pytest.mark.parametrize("channels", [0, -1, 1.5, "64", None, True])
def test_channels_are_a_whole_number(channels):
    with pytest.raises(GluonAttnError, match="channels=.* cannot be: give a whole number from 1"):
        create("gate", "se", channels)
    assert create("gate", "se", np.int64(64), reduction=np.int32(8)).mlp[0].weight.shape == (8, 64, 1, 1)


def _float64(block):
    block = randomise(block)
    block.cast("float64")
    return block


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", [*GATES, *FUSES, "reciprocal"])
def test_gradients_by_finite_differences(name, train):
    name, how = ("se", {"gating": "reciprocal"}) if name == "reciprocal" else (name, {})
    slot, count = ("fuse", 2) if name in FUSES else ("gate", 1)
    how = {**how, "reduction": 2} if "reduction" in accepted(slot, name) else how
    block = _float64(create(slot, name, 4, **how))
    block.hybridize(name != "identity")  # a hundred forward passes; a graph of no node has no gradient
    inputs = [images(2, 4, 2, 3, seed=i).astype("float64") for i in range(count)]
    projection = mx.nd.array(images(2, 4, 2, 3, seed=9), dtype="float64")

    def loss(x):
        with mx.autograd.record(train_mode=train):
            return (block(mx.nd.array(x, dtype="float64"), *rest) * projection).sum().asscalar()

    rest = [mx.nd.array(x, dtype="float64") for x in inputs[1:]]
    x = mx.nd.array(inputs[0], dtype="float64")
    x.attach_grad()
    with mx.autograd.record(train_mode=train):
        value = (block(x, *rest) * projection).sum()
    value.backward(train_mode=train)  # its default is True, whatever was recorded
    np.testing.assert_allclose(x.grad.asnumpy(), numeric_gradient(loss, inputs[0]), rtol=1e-3, atol=1e-5)
