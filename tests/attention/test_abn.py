"""Attention Branch Network: values, identities, sizes, the two cross-entropies."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError, losses, zoo
from gluon_attn.attention.abn import AttentionBranch
from gluon_attn.complexity import count_parameters
from gluon_attn.layers import conv
from tests.helpers import arrays, batch_norm, build, conv1x1, conv2d, images, randomise, sigmoid

TINY = dict(layers=(1, 1, 1), widths=(8, 8, 16), stem_widths=(8,), classes=5)
PARAMETERS = {
    "abn_resnet50": 43_584_866,
    "abn_resnet101": 62_576_994,
    "abn_resnet152": 78_220_642,
    "cifar_abn_resnet164bn": 3_056_786,
    "cifar_abn_densenet100_k12": 1_122_498,
    "cifar_abn_wrn28_10": 64_475_666,
    "cifar_abn_resnext29_8x64d": 60_881_666,
}


def branch_reference(x, p, attention_map, branch_norm):
    a = conv2d(x, p["stage.weight"], padding=1)
    a = batch_norm(a, p, "norm") if branch_norm else a
    a = np.maximum(batch_norm(conv1x1(a, p, "evidence.0"), p, "evidence.1"), 0)
    if attention_map == "conv":
        weight = sigmoid(batch_norm(conv2d(a, p["map.0.weight"], padding=1), p, "map.1"))
    else:
        weight = np.log(a + 1).sum(1, keepdims=True)
    return x * weight + x, conv1x1(a, p, "score.1").mean((2, 3)), weight


@pytest.mark.parametrize("attention_map", ["conv", "log_sum"])
@pytest.mark.parametrize("branch_norm", [True, False])
def test_branch_values(attention_map, branch_norm):
    branch = randomise(AttentionBranch(conv(6, 10, 3), 10, 4, attention_map, branch_norm))
    x = images(3, 6, 5, 7)
    expected = branch_reference(x, arrays(branch), attention_map, branch_norm)
    for flags in (None, {}, {"static_alloc": True, "static_shape": True}):
        if flags is not None:
            branch.hybridize(**flags)
        for ours, theirs in zip(branch(mx.nd.array(x)), expected):
            np.testing.assert_allclose(ours.asnumpy(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_published_parameter_counts(name):
    assert count_parameters(gluon_attn.get_model(name)) == PARAMETERS[name]


def test_parameter_count_for_ten_classes():
    assert count_parameters(gluon_attn.get_model("cifar_abn_resnet164bn", classes=10)) == 2_999_726


def test_zero_map_is_the_plain_network():
    plain, net = build("cifar_se_resnet20", **TINY), build("cifar_se_resnet20", head="abn", outputs="all", **TINY)
    ours = net._collect_params_with_prefix()
    for name, parameter in plain._collect_params_with_prefix().items():
        ours[name].set_data(parameter.data())
    x = mx.nd.array(images(2, 3, 32, 32))
    assert abs(net(x)[1] - plain(x)).max().asscalar() > 1e-3
    net.branch.map[1].gamma.set_data(mx.nd.zeros(1))
    net.branch.map[1].beta.set_data(mx.nd.array([-100]))
    np.testing.assert_allclose(net(x)[1].asnumpy(), plain(x).asnumpy(), rtol=1e-5, atol=1e-6)


def test_outputs_are_named_and_the_same_either_way():
    net, x = build("cifar_resnet20", head="abn", **TINY), mx.nd.array(images(2, 3, 32, 32))
    logits, everything = net(x), net.give(x, net.gives)
    assert net.gives == ("attention_logits", "logits", "map")
    assert [y.shape for y in everything] == [(2, 5), (2, 5), (2, 1, 16, 16)]
    np.testing.assert_array_equal(logits.asnumpy(), everything[1].asnumpy())
    weight = net.features_at(x, ["map"])["map"]
    np.testing.assert_array_equal(weight.asnumpy(), everything[2].asnumpy())
    net.hybridize()
    np.testing.assert_allclose(net(x).asnumpy(), logits.asnumpy(), rtol=1e-5, atol=1e-6)
    full = build("cifar_resnet20", head="abn", outputs="all", **TINY)
    full.hybridize(static_alloc=True, static_shape=True)
    for ours, theirs in zip(full(x), everything):
        np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in zoo.list_models("*abn_*") if "abn_se" not in n])
def test_every_backbone_gives_logits_twice_and_a_map(name):
    spec = zoo.find(name)
    size = 2 * spec.input_size  # pools are global: any size
    net = gluon_attn.get_model(name, outputs="all", classes=7)
    _, shapes, _ = mx.sym.Group(list(net(mx.sym.Variable("data")))).infer_shape(data=(2, 3, size, size))
    attention, logits, weight = shapes
    assert attention == logits == (2, 7)
    last_but_one = net.features_at(mx.sym.Variable("data"))[f"stage{len(net.stages) - 1}"]
    assert weight == (2, 1, *last_but_one.infer_shape(data=(2, 3, size, size))[1][0][2:])


def test_branch_is_an_independent_copy_with_the_attention_of_the_blocks():
    net = build("cifar_abn_se_resnet20", **TINY)
    ours = net._collect_params_with_prefix()
    copies = [name for name in ours if name.startswith("branch.stage.")]
    assert any(".gate." in name for name in copies)
    for name in copies:
        original = ours["stages.2." + name[len("branch.stage.") :]]
        assert original is not ours[name] and original.shape == ours[name].shape


def test_variant_of_the_senet_code_has_a_map_without_parameters():
    net = gluon_attn.get_model("abn_se_resnet18", variant="abn")
    assert net.branch.map is None and not any(".map." in name for name in net._collect_params_with_prefix())


def _cross_entropy(z, target):
    log_softmax = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -(target * log_softmax).sum(1)


@pytest.mark.parametrize("soft", [False, True])
def test_loss_is_the_sum_of_two_cross_entropies(soft):
    attention, logits, weight = images(4, 5), images(4, 5, seed=1), images(4, 1, 3, 3)
    labels = np.array([0, 3, 1, 4])
    target = 0.9 * np.eye(5)[labels] + 0.02 if soft else np.eye(5)[labels]
    given = mx.nd.array(target if soft else labels)
    loss = losses.ABNLoss(soft)((mx.nd.array(attention), mx.nd.array(logits), mx.nd.array(weight)), given)
    expected = _cross_entropy(attention, target) + _cross_entropy(logits, target)
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-5)


def test_training_sees_both_logits_and_evaluation_one():
    net, x = build("cifar_resnet20", head="abn", **TINY), mx.nd.array(images(2, 3, 32, 32))
    forward = losses.for_training(net, static_alloc=True)
    assert set(forward.collect_params()) == set(net.collect_params())
    for ours, theirs in zip(forward(x), net.give(x, ("attention_logits", "logits"))):
        np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-5, atol=1e-6)
    assert net(x).shape == (2, 5)
    plain = build("cifar_resnet20", **TINY)
    assert losses.for_training(plain) is plain


def test_perception_loss_alone_reaches_the_branch_through_the_map():
    net, x = build("cifar_resnet20", head="abn", **TINY), mx.nd.array(images(2, 3, 32, 32))
    with mx.autograd.record():
        loss = (net(x) ** 2).sum()
    loss.backward()
    trained = {k: p for k, p in net.branch._collect_params_with_prefix().items() if p.grad_req != "null"}
    assert [name for name, p in trained.items() if abs(p.grad()).max().asscalar() == 0] == ["score.1.weight"]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: gluon_attn.get_model("cifar_resnet20", outputs="all"), ["outputs='all'", "head='abn'"]),
        (lambda: gluon_attn.get_model("cifar_abn_resnet20", outputs="map"), ["outputs 'map'", "all, logits"]),
        (lambda: gluon_attn.get_model("cifar_resnet20", head="anb"), ["head 'anb'", "'abn'"]),
        (lambda: gluon_attn.get_model("cifar_abn_resnet20", attention_map="log"), ["attention_map", "log_sum"]),
        (lambda: gluon_attn.get_model("cifar_resnet20", attention_map="conv"), ["'attention_map'", "classifier"]),
        (lambda: gluon_attn.get_model("cifar_vgg", head="abn"), ["head='abn'", "VGG"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
