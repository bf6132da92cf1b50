"""The zoo is a product, and so is its test: every name is built and its shapes inferred; arithmetic on the smallest."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError, losses, zoo
from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import with_attention
from tests.helpers import build, images, narrow, shallow
from tests.write_golden import GOLDEN, describe

NAMES = gluon_attn.list_models()
PUBLISHED_MILLIONS = {
    "aff_resnet50": 30.373,
    "iaff_resnet50": 35.170,
    "aff_resnext50_32x4d": 29.954,
    "iaff_resnext50_32x4d": 34.751,
    "cifar_aff_preresnet32_w4": 7.897,
    "cifar_aff_resnext38_32x4d": 7.770,
    "cifar_aff_resnext47_32x4d": 9.606,
    "se_resnet50": 28.088,
    "cbam_resnet50": 28.090,
}


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text())


def test_golden_file_has_every_name(golden):
    assert sorted(golden) == sorted(NAMES), "run `python -m tests.write_golden` and read its diff"


def _first_of_its_kind():
    """Of every attention, every block and every family with an attention, the network with the fewest blocks.

    And all plain ones, and those of the papers' tables.
    """
    found = {}
    for name in sorted(NAMES, key=lambda name: sum(zoo.find(name).arch.get("layers", ()))):
        spec = zoo.find(name)
        plain_or_published = name if spec.label or not spec.attention else ""
        found.setdefault((spec.attention, plain_or_published), name)
        found.setdefault((spec.arch.get("block"), bool(spec.attention)), name)
        found.setdefault((spec.family, spec.dataset, bool(spec.attention)), name)
    return set(found.values())


# Stems, groups and depths are those of the plain networks: with an attention the rest is counted if one asks.
FIRST = _first_of_its_kind()
COUNTED = [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize("name", COUNTED)
def test_every_name_is_built(name, golden):
    assert describe(name) == golden[name]


@pytest.mark.parametrize("name", sorted(PUBLISHED_MILLIONS))
def test_published_parameter_counts(name, golden):
    assert abs(golden[name]["parameters"] / 1e6 - PUBLISHED_MILLIONS[name]) < 6e-4


def _small_input(spec):
    return mx.nd.array(images(2, 3, 32 if spec.dataset == "cifar100" else 64, 32 if spec.dataset == "cifar100" else 64))


def _check_forward_and_backward(name, **arch):
    net, x = build(name, **arch), _small_input(zoo.find(name))
    imperative = net(x)
    net.hybridize()
    np.testing.assert_allclose(net(x).asnumpy(), imperative.asnumpy(), rtol=1e-3, atol=1e-4)
    net.hybridize(static_alloc=True, static_shape=True)
    forward = losses.for_training(net)
    with mx.autograd.record():
        outputs = forward(x)
        loss = sum((y**2).sum() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    loss.backward()
    for path, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            gradient = abs(parameter.grad().asnumpy()).max()
            assert np.isfinite(gradient), path
            assert gradient > 0 or path.endswith("bias"), f"no gradient reaches {path}"  # a BatchNorm undoes a bias


@pytest.mark.slow  # with one block a stage: test_every_parameter_trains.py
@pytest.mark.parametrize("attention", [""] + [f"{name}_" for name, record in MECHANISMS.items() if record.on])
def test_every_attention_runs_on_the_smallest_backbone(attention):
    name = f"cifar_{attention}resnet20"
    if name not in NAMES:
        pytest.skip(f"{attention} is not made for CIFAR sizes")
    _check_forward_and_backward(name, **narrow(name))


def _one_of_each_kind():
    """The first backbone of every family, block, stem and shortcut, on which there is an AFF, else an SE network."""
    found = {}
    for name, own in BACKBONES.items():
        kind = (own.family, own.arch.get("block"), own.arch.get("stem"), own.arch.get("shortcut"), "groups" in own.arch)
        networks = [with_attention(name, attention) for attention in ("aff", "se")]
        found.setdefault(kind, next((network for network in networks if network in NAMES), None))
    return filter(None, found.values())


@pytest.mark.parametrize("name", _one_of_each_kind())
def test_every_kind_of_backbone_runs_with_an_attention(name):
    _check_forward_and_backward(name, **{**shallow(name), **narrow(name)})


def test_save_and_load_round_trip(tmp_path):
    net, x = build("cifar_iaff_resnet20"), mx.nd.array(images(1, 3, 32, 32))
    net.save_parameters(str(tmp_path / "net.params"))
    other = build("cifar_iaff_resnet20", seed=1)
    other.load_parameters(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(other(x).asnumpy(), net(x).asnumpy())


def test_features_are_named_and_may_be_a_graph():
    net, x = build("cifar_se_resnet20"), mx.nd.array(images(1, 3, 32, 32))
    features = net.features_at(x)
    assert list(features) == ["stem", "stage1", "stage2", "stage3"]
    assert [f.shape[1:] for f in features.values()] == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]
    np.testing.assert_allclose(net.head(features["stage3"]).asnumpy(), net(x).asnumpy(), rtol=1e-5, atol=1e-6)
    graph = net.features_at(mx.sym.Variable("data"), ["stage2"])["stage2"]
    assert graph.infer_shape(data=(1, 3, 32, 32))[1] == [(1, 32, 16, 16)]


def test_attention_enters_only_where_asked():
    base = build("resnet18", classes=10)
    some = gluon_attn.get_model("resnet18", classes=10, gate="se", stages=(4,))
    extra = set(some._collect_params_with_prefix()) - set(base._collect_params_with_prefix())
    assert extra and all(path.startswith("stages.3.") and ".gate." in path for path in extra)


def test_any_size_and_channel_count():
    net = build("cifar_cbam_resnet20", classes=7, in_channels=1)
    assert net(mx.nd.array(images(1, 1, 48, 40))).shape == (1, 7)


def test_default_se_equals_its_own_formula_in_a_block():
    net, x = build("cifar_se_resnet20"), mx.nd.array(images(2, 16, 8, 8))
    block = net.stages[0][0]
    y = block.body(x)
    expected = mx.nd.relu(mx.nd.broadcast_mul(y, mx.nd.sigmoid(block.gate.mlp(y.mean((2, 3), keepdims=True)))) + x)
    np.testing.assert_allclose(block(x).asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)


def test_gluoncv_knows_our_names_and_keeps_its_own():
    from gluoncv.model_zoo import get_model
    from gluoncv.model_zoo.model_zoo import _models, get_model_list

    assert set(NAMES) <= set(get_model_list())
    assert _models["se_resnext50_32x4d"].__module__.startswith("gluoncv")
    assert type(get_model("iaff_resnext50_32x4d", classes=10)).__module__ == "gluon_attn.models.resnet"


def test_list_models_in_natural_order():
    names = ["se_resnet18", "se_resnet18d", "se_resnet34", "se_resnet34d", "se_resnet50", "se_resnet50d"]
    names += ["se_resnet101", "se_resnet101d", "se_resnet152", "se_resnet152d"]
    assert gluon_attn.list_models("se_resnet*") == names


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: gluon_attn.get_model("iaff_resnext50"), ["model 'iaff_resnext50'", "'iaff_resnext50_32x4d'"]),
        (lambda: gluon_attn.get_model("cifar_resnet20", reduction=4), ["'reduction'", "gate='identity'"]),
        (lambda: gluon_attn.get_model("cifar_resnet20", reduction=4), ["argument of gate='cbam', ", "; of fuse='aff'"]),
        (lambda: gluon_attn.get_model("cifar_se_resnet20", clases=3), ["'clases'", "'classes'"]),
        (lambda: gluon_attn.get_model("cifar_se_resnet20", stages=(4,)), ["no stage 4", "1 to 3"]),
        (lambda: gluon_attn.get_model("cifar_se_resnet20", reduction=(8, 4)), ["2 entries", "3 stages"]),
        (lambda: gluon_attn.get_model("cifar_se_resnet20", classes=0), ["classes=0", "whole number from 1"]),
        (
            lambda: gluon_attn.get_model("cifar_se_resnet20", in_channels=True),
            ["in_channels=True", "whole number from 1"],
        ),
        (
            lambda: gluon_attn.get_model("cifar_se_resnet20", in_channels="3"),
            ["in_channels='3'", "whole number from 1"],
        ),
        (lambda: gluon_attn.get_model("cifar_resnet20", pretrained=5), ["pretrained=5 is no weights", "a tag"]),
        (lambda: gluon_attn.get_model("cifar_resnet20", block="botleneck"), ["block 'botleneck'", "'bottleneck'"]),
        (lambda: gluon_attn.get_model("cifar_inv_se_resnet20", variant="laakom"), ["variant", "inverse_attention"]),
        (lambda: build("cifar_resnet20").features_at(None, ["stage4"]), ["stage 'stage4'", "stage3"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


def test_variant_of_learning_to_ignore():
    net = gluon_attn.get_model("cifar_inv_cbam_resnet20", variant="inverse_attention")
    gate = net.stages[2][0].gate
    assert gate.spatial.bn is None and gate.channel.mlp[0].weight.shape[0] == 64 // 8


def test_a_count_may_be_numpys():
    net = gluon_attn.get_model("cifar_resnet20", classes=np.int64(3), layers=(1, 1, 1))
    net.initialize()
    assert net(mx.nd.ones((1, 3, 32, 32))).shape == (1, 3)


@pytest.mark.parametrize("features", [(), [], "", 1, {"stage1": 1}])
def test_features_that_name_no_stage(features):
    with pytest.raises(GluonAttnError, match="names no stage"):
        gluon_attn.get_model("cifar_resnet20", features=features)
