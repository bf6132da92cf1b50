"""Images that a network cannot take: a sentence, hybridized or not; and networks that answer afterwards as before."""

from __future__ import annotations

import mxnet as mx
import pytest

import gluon_attn
from gluon_attn import cpu
from gluon_attn.errors import GluonAttnError
from gluon_attn.hybridization import unhybridized

CASES = [
    ("cifar_resnet20", (3, 32, 32), "float32", r"\(N, 3, H, W\) and got \(3, 32, 32\): x.expand_dims\(0\)"),
    ("cifar_resnet20", (2, 32, 32, 3), "float32", r"got \(2, 32, 32, 3\): swapaxes"),
    ("cifar_resnet20", (2, 1, 32, 32), "float32", r"got \(2, 1, 32, 32\): in_channels= is its keyword"),
    ("cifar_resnet20", (2, 1, 3, 32, 32), "float32", r"got \(2, 1, 3, 32, 32\): give it such an array"),
    ("cifar_resnet20", (2, 3, 32, 32), "uint8", r"computes in float32 and got images of uint8: give it x.astype"),
    ("cifar_ge_resnet20", (2, 3, 48, 48), "float32", "tied to maps of 32x32 .* got 48x48"),
    ("cifar_danet_resnet20", (3, 32, 32), "float32", r"x.expand_dims\(0\)"),
    ("cifar_nonlocal_resnet20", (2, 3, 2, 64), "float32", "halves its keys' map .* a map of 1x32: .*sub_sample=False"),
    ("cifar_densenet40_k12", (2, 4, 32, 32), "float32", "in_channels="),
    ("cifar_resnet20", (2, 3, 32, 32), "float64", "computes in float32 and got images of float64"),
]


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize(("name", "shape", "dtype", "said"), CASES)
def test_images_that_the_network_cannot_take(name, shape, dtype, said, hybridized):
    net = gluon_attn.get_model(name, classes=4)
    net.initialize()
    if hybridized:
        net.hybridize()
    images = mx.nd.random.uniform(shape=(2, 3, 32, 32))
    before = net(images)
    with pytest.raises(GluonAttnError, match=said):
        net(mx.nd.zeros(shape, dtype=dtype)).wait_to_read()
    assert net._active == hybridized
    assert (net(images) == before).asnumpy().all()


def test_pictures_too_small_for_a_pooling():
    net = gluon_attn.get_model("resnet18d", classes=4)
    net.initialize()
    for hybridized in (False, True):
        if hybridized:
            net.hybridize()
        with pytest.raises(GluonAttnError, match="cannot take images of 3x1x64"):
            net(mx.nd.zeros((2, 3, 1, 64))).wait_to_read()


def test_a_network_in_another_type_says_its_own():
    net = gluon_attn.get_model("cifar_resnet20", classes=4)
    net.initialize()
    net.cast("float64")
    with pytest.raises(GluonAttnError, match="computes in float64 and got images of float32"):
        net(mx.nd.zeros((2, 3, 32, 32))).wait_to_read()


def test_clips_have_frames():
    net = gluon_attn.get_model("cifar_pyramid_resnet20", classes=4, frames=2)
    net.initialize()
    with pytest.raises(GluonAttnError, match=r"\(N, frames, 3, H, W\) and got \(2, 3, 32, 32\)"):
        net(mx.nd.zeros((2, 3, 32, 32)))


def test_a_network_runs_its_operators_for_a_while():
    net = gluon_attn.get_model("cifar_resnet20", classes=4)
    net.initialize()
    with unhybridized(net) as was_hybridized:
        assert not was_hybridized
    net.hybridize()
    with pytest.raises(KeyError), unhybridized(net) as was_hybridized:
        assert was_hybridized and not net._active and not net.stages[0][0]._active
        raise KeyError
    assert net._active and net.stages[0][0]._active


@pytest.mark.parametrize("hybridized", [False, True])
def test_no_gradients_through_the_words_of_inference(hybridized):
    """Those of CBAM's maxima would be wrong, and look fine."""
    net = gluon_attn.get_model("cifar_cbam_resnet20", classes=4)
    net.initialize()
    if hybridized:
        net.hybridize()
    x = mx.nd.random.uniform(shape=(2, 3, 32, 32))
    with cpu.inference_graphs("forward"):
        net(x)
        with mx.autograd.record(), pytest.raises(GluonAttnError, match="gradients are wrong.*net.hybridize"):
            net(x)
    if hybridized:
        with mx.autograd.record(), pytest.raises(GluonAttnError, match="gradients are wrong.*net.hybridize"):
            net(x)
        net.hybridize()
    with mx.autograd.record():
        net(x).sum().backward()
