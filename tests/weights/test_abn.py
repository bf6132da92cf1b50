"""The seven published ABN layouts: random files load, and attention logits, logits and map are the authors'."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import WeightsError, zoo
from gluon_attn.weights import load_arrays, translate
from tests.weights.published import layouts, random_arrays, save
from tests.weights.reference_abn import forward

MODELS = {
    "cifar100/resnet-110": "cifar_abn_resnet164bn",
    "cifar100/densenet-bc-100-12": "cifar_abn_densenet100_k12",
    "cifar100/wrn-28-10": "cifar_abn_wrn28_10",
    "cifar100/resnext-29-8x64d": "cifar_abn_resnext29_8x64d",
    "imagenet/resnet50": "abn_resnet50",
    "imagenet/resnet101": "abn_resnet101",
    "imagenet/resnet152": "abn_resnet152",
}
TINY = "cifar100/densenet-bc-100-12"


def published(layout, **changes):
    return random_arrays("abn", layout, **changes)


# Deeper than the one before, or wider; compared if one asks.
DEEPER = ("imagenet/resnet101", "imagenet/resnet152", "cifar100/wrn-28-10", "cifar100/resnext-29-8x64d")


@pytest.mark.parametrize("layout", [pytest.param(n, marks=pytest.mark.slow) if n in DEEPER else n for n in MODELS])
def test_equals_the_published_network(layout):
    arrays = published(layout)
    net = gluon_attn.get_model(MODELS[layout], variant="abn", outputs="all")
    load_arrays(net, arrays)
    size = 16 if zoo.find(MODELS[layout]).input_size == 32 else 32  # any size: the pools are global
    x = mx.nd.array(np.random.RandomState(1).standard_normal((1, 3, size, size)))
    reference = forward({name: mx.nd.array(array) for name, array in arrays.items()}, x)
    for what, ours, theirs in zip(net.gives, net(x), reference):
        ours, theirs = ours.asnumpy(), theirs.asnumpy()
        assert ours.shape == theirs.shape and theirs.std() > 1e-3, what
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4 * abs(theirs).max(), err_msg=what)


def test_every_layout_is_tested():
    assert set(MODELS) == set(layouts("abn"))


@pytest.mark.parametrize("layout", MODELS)
def test_every_name_has_its_place_and_shape(layout):
    """The largest, too, without computing: all parameters of the network, and none besides."""
    shapes = layouts("abn")[layout]
    names = translate({name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()})
    parameters = gluon_attn.get_model(MODELS[layout], variant="abn")._collect_params_with_prefix()
    assert {name: array.shape for name, array in names.items()} == {k: p.shape for k, p in parameters.items()}


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("counted", [True, False], ids=["num_batches_tracked", "torch 0.4.0"])
def test_prefix_and_counters_come_and_go(prefix, counted, tmp_path):
    arrays = {k: v for k, v in published(TINY).items() if counted or not k.endswith("num_batches_tracked")}
    path = save(tmp_path / "checkpoint.safetensors", {prefix + name: array for name, array in arrays.items()})
    net = gluon_attn.get_model(MODELS[TINY])
    gluon_attn.load_weights(net, path, source="abn")
    np.testing.assert_array_equal(net.branch.norm.gamma.data().asnumpy(), arrays["bn_att.weight"])


def test_resnext_has_a_batch_norm_that_is_named_unused_and_does_nothing():
    net = gluon_attn.get_model("cifar_resnext29_8x64d", head="abn", branch_norm=False, layers=(1, 1, 1), group_width=4)
    net.initialize()
    x = mx.nd.random.normal(shape=(2, 3, 16, 16))
    before = net(x).asnumpy()
    for key in ("gamma", "beta", "running_mean", "running_var"):
        parameter = getattr(net.branch.unused_norm, key)
        parameter.set_data(mx.nd.random.normal(shape=parameter.shape))
    np.testing.assert_array_equal(net(x).asnumpy(), before)
    file_names = layouts("abn")["cifar100/resnext-29-8x64d"]
    names = translate({name: np.zeros(1) for name in file_names})
    assert "branch.unused_norm.gamma" in names and "branch.norm.gamma" not in names


def test_form_with_the_batch_norm_applied_refuses_the_file():
    net = gluon_attn.get_model("cifar_abn_resnext29_8x64d", branch_norm=True)
    with pytest.raises(WeightsError, match="branch.norm.*branch.unused_norm.*variant"):
        load_arrays(net, published("cifar100/resnext-29-8x64d"))


def test_other_classes_keep_the_backbone():
    arrays = published(TINY)
    net = gluon_attn.get_model(MODELS[TINY], classes=10)
    load_arrays(net, arrays, adapt=True)
    stem = net.stem[0].weight.data().asnumpy()
    np.testing.assert_array_equal(stem, arrays["conv1.weight"])
    assert net(mx.nd.zeros((1, 3, 16, 16))).shape == (1, 10)
