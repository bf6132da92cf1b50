"""Learn To Pay Attention: values, identities, and the form of its VGG."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError
from gluon_attn.attention.ltpa import GlobalAttention, LTPAHead
from gluon_attn.complexity import count_parameters
from tests.attention.references import softmax
from tests.attention.references.ltpa import attend
from tests.helpers import arrays, build, images, randomise

TINY = dict(layers=(1, 1, 1), widths=(8, 8, 16), stem_widths=(8,), classes=5)


@pytest.mark.parametrize("channels, global_channels", [(6, 9), (9, 6), (6, 6)])
@pytest.mark.parametrize("compatibility", ["pc", "dp"])
@pytest.mark.parametrize("project", ["global", "local"])
def test_attention_values(channels, global_channels, compatibility, project):
    block = randomise(GlobalAttention(channels, global_channels, compatibility, project))
    x, g = images(3, channels, 4, 5), images(3, global_channels, 1, 1, seed=1)
    expected = attend(x, g[:, :, 0, 0], arrays(block))
    for hybrid in (False, True):
        block.hybridize(hybrid)
        for ours, theirs in zip(block(mx.nd.array(x), mx.nd.array(g)), expected):
            np.testing.assert_allclose(ours.asnumpy(), theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected[1].sum((1, 2, 3)), 1)
    projected = {name.split(".")[0] for name in arrays(block)} - {"score"}
    assert projected == (set() if channels == global_channels else {f"{project}_map"})


def test_zero_u_is_mean_pooling():
    block, x = randomise(GlobalAttention(6, 6)), mx.nd.array(images(2, 6, 4, 5))
    block.score.weight.set_data(mx.nd.zeros((1, 6, 1, 1)))
    attended, weight = block(x, mx.nd.ones((2, 6, 1, 1)))
    np.testing.assert_allclose(attended.asnumpy(), x.asnumpy().mean((2, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weight.asnumpy(), 1 / 20, rtol=1e-6)


@pytest.mark.parametrize("compatibility, matters", [("pc", False), ("dp", True)])
def test_global_feature_does_not_change_a_parametrised_map(compatibility, matters):
    block, x = randomise(GlobalAttention(6, 6, compatibility)), mx.nd.array(images(2, 6, 4, 5))
    one, other = (block(x, mx.nd.array(images(2, 6, 1, 1, seed=seed)))[1].asnumpy() for seed in (1, 2))
    assert (abs(one - other).max() > 1e-3) == matters


@pytest.mark.parametrize("combine", ["concat", "indep"])
@pytest.mark.parametrize("compatibility", ["pc", "dp"])
def test_head_values(combine, compatibility):
    head = randomise(LTPAHead((4, 8), 8, 5, combine, compatibility=compatibility))
    local, last = [images(2, 4, 6, 6), images(2, 8, 3, 3, seed=1)], images(2, 8, 3, 3, seed=2)
    p, g = arrays(head), last.mean((2, 3))
    parts = [{k[9:]: v for k, v in p.items() if k.startswith(f"levels.{i}.")} for i in range(2)]
    attended, maps = zip(*(attend(x, g, part) for x, part in zip(local, parts)))
    if combine == "concat":
        logits = np.concatenate(attended, 1) @ p["fc.weight"].T + p["fc.bias"]
    else:
        each = [y @ p[f"fc.{i}.weight"].T + p[f"fc.{i}.bias"] for i, y in enumerate(attended)]
        probabilities = np.mean([softmax(z, 1) for z in each], 0)
        logits = np.log(probabilities)
        np.testing.assert_allclose(softmax(logits, 1), probabilities)
    ours = head(*map(mx.nd.array, [*local, last]))
    for value, expected in zip(ours, [logits, *maps]):
        np.testing.assert_allclose(value.asnumpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("levels, sizes", [(1, [8]), (2, [16, 8]), (3, [32, 16, 8])])
def test_vgg_attends_after_layers_7_10_and_13(levels, sizes):
    net = gluon_attn.get_model("cifar_ltpa_vgg", levels=levels, outputs="all")
    _, shapes, _ = mx.sym.Group(list(net(mx.sym.Variable("data")))).infer_shape(data=(2, 3, 32, 32))
    assert shapes == [(2, 100), *((2, 1, size, size) for size in sizes)]
    convolutions = [p for name, p in net._collect_params_with_prefix().items() if p.shape[2:] == (3, 3)]
    assert [p.shape[0] for p in convolutions] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 8
    features = net.features_at(mx.sym.Variable("data"))
    assert features["stage4"].infer_shape(data=(2, 3, 32, 32))[1] == [(2, 512, 1, 1)]


def test_vgg_counts():
    """13 + 2 convolutions with BatchNorm, the 512-d feature, then what attention adds to a classifier of its own."""
    widths = [3, 64, 64, 128, 128, 256, 256, 256] + [512] * 8
    trunk = sum(9 * a * b + 2 * b for a, b in zip(widths, widths[1:])) + 512 * 512 + 512
    assert count_parameters(gluon_attn.get_model("cifar_vgg")) == trunk + 512 * 100 + 100
    attention = 256 * 512 + 3 * 512 + 3 * 512 * 100 + 100
    assert count_parameters(gluon_attn.get_model("cifar_ltpa_vgg")) == trunk + attention


@pytest.mark.parametrize("compatibility", ["pc", "dp"])
@pytest.mark.parametrize("combine", ["concat", "indep"])
def test_any_cifar_resnet_takes_the_head(compatibility, combine):
    how = dict(head="ltpa", compatibility=compatibility, combine=combine, outputs="all", **TINY)
    net, x = build("cifar_se_resnet20", **how), mx.nd.array(images(2, 3, 32, 32))
    outputs = net(x)
    assert net.gives == ("logits", "map1", "map2", "map3")
    assert [y.shape for y in outputs] == [(2, 5), (2, 1, 32, 32), (2, 1, 16, 16), (2, 1, 8, 8)]
    features = net.features_at(x)
    expected = net.head(*(features[f"stage{i}"] for i in (1, 2, 3, 3)))
    net.hybridize()
    for ours, theirs in zip(net(x), expected):
        np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-4, atol=1e-5)


def test_dot_product_sends_a_gradient_to_every_parameter():
    net, x = build("cifar_ltpa_resnet20", compatibility="dp", **TINY), mx.nd.array(images(2, 3, 32, 32))
    with mx.autograd.record():
        loss = (net(x) ** 2).sum()
    loss.backward()
    for name, parameter in net._collect_params_with_prefix().items():
        assert parameter.grad_req == "null" or abs(parameter.grad()).max().asscalar() > 0, name


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: gluon_attn.get_model("cifar_ltpa_vgg", levels=4), ["levels=4", "3 stages"]),
        (lambda: gluon_attn.get_model("cifar_ltpa_resnet20", compatibility="dot"), ["'dot'", "dp, pc"]),
        (lambda: gluon_attn.get_model("cifar_ltpa_resnet20", combine="sum"), ["'sum'", "concat"]),
        (lambda: gluon_attn.get_model("cifar_ltpa_resnet20", project="up"), ["'up'", "global"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
