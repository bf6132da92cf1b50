"""Non-local blocks and DANet's attentions against numpy; what starts at zero is perturbed by `randomise`."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError, create_stage
from gluon_attn.attention.danet import DualAttention
from gluon_attn.attention.non_local import FORMS, NonLocal
from tests.helpers import arrays, batch_norm, build, conv2d, images, randomise

C = 8


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def project(x, p, path):
    """A pointwise convolution of positions as columns, (N, C, P)."""
    weight = p[path + ".weight"]
    y = np.einsum("oc,ncp->nop", weight.reshape(weight.shape[:2]), x)
    return y + p[path + ".bias"][:, None] if path + ".bias" in p else y


def max_pool(x):
    *_, h, w = x.shape
    x = x[..., : h // 2 * 2, : w // 2 * 2]
    return np.maximum.reduce([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)])


def non_local(x, p, form, sub_sample=True, scale=True):
    flat = x.reshape(*x.shape[:2], -1)
    pooled = max_pool(x).reshape(*x.shape[:2], -1) if sub_sample else flat
    theta, phi = (flat, pooled) if form == "gaussian" else (project(flat, p, "theta"), project(pooled, p, "phi"))
    if form == "concat":
        w = np.concatenate([p["query.weight"].ravel(), p["key.weight"].ravel()])
        pairs = np.stack([np.repeat(theta[..., i : i + 1], phi.shape[2], 2) for i in range(theta.shape[2])], 2)
        both = np.concatenate([pairs, np.broadcast_to(phi[:, :, None], pairs.shape)], 1)  # [theta_i, phi_j]
        f = np.maximum(np.einsum("c,ncij->nij", w, both), 0) / phi.shape[2]
    else:
        f = np.einsum("nci,ncj->nij", theta, phi)
        f = f / phi.shape[2] if form == "dot" else softmax(f * (theta.shape[1] ** -0.5 if scale else 1))
    y = project(np.einsum("nij,ncj->nci", f, project(pooled, p, "g")), p, "out")
    y = batch_norm(y[..., None], p, "norm")[..., 0]
    return x + y.reshape(x.shape)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sub_sample", [True, False])
@pytest.mark.parametrize("space", [(5, 4), (3, 4, 5)])
def test_non_local_values(form, sub_sample, space):
    block = randomise(NonLocal(C, form=form, sub_sample=sub_sample, dims=len(space)))
    x = images(2, C, *space) * 3
    expected = non_local(x, arrays(block), form, sub_sample)
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


def position_attention(x, p):
    flat = x.reshape(*x.shape[:2], -1)
    query, key, value = (project(flat, p, name) for name in ("query", "key", "value"))
    a = softmax(np.einsum("nci,ncj->nij", query, key))
    return p["scale"] * np.einsum("ncj,nij->nci", value, a).reshape(x.shape) + x


def channel_attention(x, p, channel_form="max_minus"):
    flat = x.reshape(*x.shape[:2], -1)
    e = np.einsum("nip,njp->nij", flat, flat)
    a = softmax(e.max(-1, keepdims=True) - e if channel_form == "max_minus" else e)
    return p["scale"] * np.einsum("nij,njp->nip", a, flat).reshape(x.shape) + x


def test_position_attention_values():
    block, x = randomise(create_stage("position", C, reduction=2)), images(2, C, 3, 4) * 3
    assert block.scale.data().asscalar() != 0
    np.testing.assert_allclose(
        block(mx.nd.array(x)).asnumpy(), position_attention(x, arrays(block)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("channel_form", ["max_minus", "paper"])
def test_channel_attention_values(channel_form):
    block, x = randomise(create_stage("channel", C, channel_form=channel_form)), images(2, C, 3, 4)
    expected = channel_attention(x, arrays(block), channel_form)
    np.testing.assert_allclose(block(mx.nd.array(x)).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_two_channel_forms_rank_the_other_way_round():
    e = np.array([[3.0, 1.0, 2.0]])
    assert list(np.argsort(softmax(e))[0]) == list(np.argsort(softmax(e.max() - e))[0][::-1])


def test_dual_attention_values():
    block, x = randomise(DualAttention(C, 4, reduction=2)), images(1, C, 4, 5)
    p = arrays(block)

    def side(name, attention):
        def sub(i):
            head = f"{name}.{i}."
            return {key[len(head) :]: value for key, value in p.items() if key.startswith(head)}

        y = np.maximum(batch_norm(conv2d(x, p[f"{name}.0.weight"], padding=1), p, f"{name}.1"), 0)
        y = conv2d(attention(y, sub(3)), p[f"{name}.4.weight"], padding=1)
        return np.maximum(batch_norm(y, p, f"{name}.5"), 0)

    position, channel = block(mx.nd.array(x))
    np.testing.assert_allclose(position.asnumpy(), side("position", position_attention), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(channel.asnumpy(), side("channel", channel_attention), rtol=1e-4, atol=1e-5)


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
