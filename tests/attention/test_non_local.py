"""Non-local blocks and DANet's attentions against numpy; what starts at zero is perturbed by `randomise`."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError, create_stage
from gluon_attn.attention.non_local import FORMS, NonLocal
from tests.attention.references import softmax
from tests.attention.references.non_local import non_local
from tests.helpers import arrays, build, images, randomise

C = 8


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sub_sample", [True, False])
@pytest.mark.parametrize("space", [(5, 4), (3, 4, 5)])
def test_non_local_values(form, sub_sample, space):
    block = randomise(NonLocal(C, form=form, sub_sample=sub_sample, dims=len(space)))
    x = images(2, C, *space) * 3
    expected = non_local(x, arrays(block), form, sub_sample=sub_sample)
    for _ in range(2):
        np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)
        block.hybridize()
    assert abs(expected - x).max() > 0.05


@pytest.mark.parametrize("form", ["embedded", "gaussian"])
def test_scale_can_be_left_out_as_in_the_paper(form):
    block, x = randomise(NonLocal(C, form=form, scale=False)), images(1, C, 4, 4) * 3
    got = block(mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(got, non_local(x, arrays(block), form, scale=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["nonlocal", "position", "channel"])
def test_blocks_start_as_the_identity(name):
    block, x = create_stage(name, C), images(2, C, 4, 4)
    block.initialize()
    np.testing.assert_array_equal(block(mx.nd.array(x)).asnumpy(), x)


def test_non_local_initialisation():
    block = NonLocal(256)
    block.initialize(mx.init.One())
    assert 0.008 < block.theta.weight.data().asnumpy().std() < 0.012 and not block.g.bias.data().asnumpy().any()


@pytest.mark.parametrize(
    "name, places",
    [("nonlocal_resnet50", {1: (2, 5), 2: (2, 5, 8)}), ("nonlocal_resnet101", {1: (2, 5), 2: (7, 15, 23)})],
)
def test_the_five_official_places(name, places):
    stages = gluon_attn.get_model(name).stages
    found = {s: tuple(i for i, b in enumerate(stage) if isinstance(b, NonLocal)) for s, stage in enumerate(stages)}
    assert {s: at for s, at in found.items() if at} == places


def test_the_two_channel_forms_rank_the_other_way_round():
    e = np.array([[3.0, 1.0, 2.0]])
    assert list(np.argsort(softmax(e))[0]) == list(np.argsort(softmax(e.max() - e))[0][::-1])


def test_danet_classifies_from_the_sum():
    net, x = build("cifar_danet_resnet20", classes=7), mx.nd.array(images(2, 3, 32, 32))
    position, channel = net.head.attention(net.features_at(x)["stage3"])
    logits = net.head.classifier.fc((position + channel).mean(axis=(2, 3)))
    np.testing.assert_allclose(net(x).asnumpy(), logits.asnumpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: create_stage("nonlocal", 8, form="gausian"), ["'gausian'", "Did you mean 'gaussian'"]),
        (lambda: create_stage("nonlocal", 8, dims=1), ["dims=1", "2 (images)"]),
        (lambda: create_stage("channel", 8, channel_form="max"), ["channel_form 'max'", "max_minus"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
