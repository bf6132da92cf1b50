"""Every mechanism equals its reference in numpy, in every form of its arguments, or the suite fails."""

from __future__ import annotations

import inspect

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import cpu
from gluon_attn.attention.plain import Add, Identity, plain_conv
from gluon_attn.attention.slots import PLACES, accepted, made_by
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.layers import batch_norm, relu
from gluon_attn.models.blocks import conv_shortcut
from tests.attention.references import GATINGS, REFERENCES
from tests.helpers import arrays, images, randomise

RECORDS = {name: record for name, record in MECHANISMS.items() if record.block}
SMALL = dict(layers=(1, 1, 1), widths=(8, 8, 16), stem_widths=(8,), classes=5)


def takes(name):
    """The arguments that a form can give: the mechanism's own, and of a convolution where it stands."""
    slot = RECORDS[name].slot
    if slot == "block":
        return []
    return [*accepted(slot, name), *(PLACES[slot][1:] if slot == "conv" else ())]


def parameters(name):
    slot = RECORDS[name].slot
    return {} if slot == "block" else inspect.signature(made_by(slot, name)).parameters


def forms(name):
    gatings = [dict(gating=gating, alpha=alpha) for gating, alpha in GATINGS]
    return [*REFERENCES[name].forms, *(gatings if "gating" in takes(name) else [])]


def test_every_mechanism_has_a_reference():
    assert sorted(REFERENCES) == sorted(RECORDS), "write tests/attention/references/<paper>.py"


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_every_argument_is_in_a_form(name):
    varied = {key for form in forms(name) for key, value in form.items() if parameters(name)[key].default != value}
    assert set(takes(name)) - varied == set()


CASES = [(name, form) for name in sorted(REFERENCES) for form in forms(name)]


def _id(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()) or "as it comes"


@pytest.mark.parametrize("name, form", CASES, ids=_id)
def test_values(name, form):
    (_head if RECORDS[name].slot == "head" else _block)(name, form)


OF_ANY_SIZE = [
    (name, space)
    for name in sorted(REFERENCES)
    for space in ((1, 5), (5, 1), (1, 1), (2, 9))
    if RECORDS[name].slot in ("gate", "fuse") and "map_size" not in takes(name)
    if (name, space) != ("simam", (1, 1))  # the released code divides 0 by 0; ours does not
]


@pytest.mark.parametrize("name, space", OF_ANY_SIZE, ids=str)
def test_values_of_maps_of_any_size(name, space):
    _block(name, {}, space)


def _block(name, form, space=None):
    record, wanted = RECORDS[name], REFERENCES[name]
    channels, space = wanted.channels, space or wanted.space
    if record.slot == "block":
        block = _strided(record.load(), channels)
    else:
        block = made_by(record.slot, name)(channels, **form)
    block = randomise(block)
    _refuse_what_hides(block)
    space = (3, *space) if form.get("dims") == 3 else space
    inputs = [images(2, channels, *space, seed=seed) * 3 for seed in range(2 if record.slot == "fuse" else 1)]
    expected = wanted.compute(*(x.astype("float64") for x in inputs), arrays(block), **form)
    for found in _in_every_way(block, [mx.nd.array(x) for x in inputs]):
        np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def _strided(kind, channels):
    """The block that begins a stage, with a plain gate, fusion and shortcut."""
    wide, layers = kind.body(channels, channels, 2, zero_gamma=False, middle=_plain_middle)
    shortcut = conv_shortcut(channels, wide, 2, True)
    return kind.unit(channels, wide, 2, layers, shortcut, Identity(wide), Add(wide), False)


def _plain_middle(channels, stride, groups, dilation):
    return [plain_conv(channels, stride, groups, dilation), batch_norm(channels), relu()]


def _head(name, form):
    net = gluon_attn.get_model("cifar_resnet20", head=name, **SMALL, **form)
    net = randomise(net)
    _refuse_what_hides(net)
    frames = form.get("frames", 1)
    x = mx.nd.array(images(*((2, 3, 16, 16) if frames == 1 else (2, frames, 3, 16, 16))) * 3)
    features = {key: value.asnumpy().astype("float64") for key, value in net.features_at(x).items()}
    if net.branch is not None:
        features["branch"] = net.branch.stage(mx.nd.array(features["stage2"])).asnumpy()
        features["last"] = lambda z: net.stages[2](mx.nd.array(z)).asnumpy()
    expected = REFERENCES[name].compute(features, arrays(net), **form)
    assert tuple(expected) == net.gives
    if len(net.gives) > 1:
        net.choose_outputs("all")
    for found in _in_every_way(net, [x]):
        for what, ours in zip(net.gives, found):
            theirs = expected[what]
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * abs(theirs).max(), err_msg=what)


def _refuse_what_hides(block):
    """A parameter at 0, or a BatchNorm with untouched statistics, would hide what stands behind it."""
    for path, values in arrays(block).items():
        assert (values != 0).any() and (values != 1).any(), path


def _in_every_way(block, inputs):
    """The outputs as lists of arrays: imperative, hybridized, static, and in both words of inference."""
    yield _run(block, inputs)
    for flags in ({}, {"static_alloc": True, "static_shape": True}):
        block.hybridize(**flags)
        yield _run(block, inputs)
    for words in ("plain", "forward"):
        block.hybridize()
        with cpu.inference_graphs(words):
            yield _run(block, inputs)


def _run(block, inputs):
    outputs = block(*inputs)
    return [y.asnumpy() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
