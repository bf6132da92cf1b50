"""Class activation maps against direct computations, finite differences and CAM."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from PIL import Image

import gluon_attn
from gluon_attn import explain
from gluon_attn.explain.graph import Cut
from gluon_attn.models.network import Network
from tests.helpers import build, conv2d, images, randomise

METHODS = [explain.gradcam, explain.gradcam_pp]


class TwoLayers(Network):
    """3x3 convolution and ReLU; then 3x3 convolution, ReLU, flatten, Dense: small enough to differentiate by hand."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2D(4, 3, padding=1, in_channels=3, activation="relu")
        self.stages = nn.HybridSequential()
        self.stages.add(nn.Conv2D(5, 3, padding=1, in_channels=4, activation="relu"))
        self.head = nn.Dense(3, in_units=5 * 6 * 8)


def by_hand(net, x, target):
    """Features of the stem and the gradient of the target's logit with respect to them, in numpy."""
    p = {name: value.data().asnumpy().astype("float64") for name, value in net._collect_params_with_prefix().items()}
    features = np.maximum(conv2d(x, p["stem.weight"], 1) + p["stem.bias"].reshape(1, -1, 1, 1), 0)
    before = conv2d(features, p["stages.0.weight"], 1) + p["stages.0.bias"].reshape(1, -1, 1, 1)
    gradient = p["head.weight"][target].reshape(before.shape) * (before > 0)
    # The gradient of a convolution is the convolution with the kernel turned by 180 degrees and its channels swapped.
    turned = p["stages.0.weight"][:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return features, conv2d(gradient, turned, 1)


def unit(raw):
    """relu, then the maximum is 1 or the map is 0; the test must not be about empty maps alone."""
    raw = np.maximum(raw, 0)
    assert raw.max() > 0
    return np.stack([m / m.max() if m.max() > 0 else m for m in raw])


def enlarged(maps, size):
    return np.stack([np.asarray(Image.fromarray(m.astype("float32")).resize(size[::-1], Image.BILINEAR)) for m in maps])


@pytest.fixture(params=[False, True], ids=["imperative", "hybridized"])
def two_layers(request):
    net = randomise(TwoLayers())
    if request.param:
        net.hybridize()
    return net


def test_gradcam_by_hand(two_layers):
    x, target = images(2, 3, 6, 8), [2, 1]
    features, gradient = by_hand(two_layers, x.astype("float64"), target)
    raw = (features * gradient.mean(axis=(2, 3), keepdims=True)).sum(axis=1)
    got = explain.gradcam(two_layers, mx.nd.array(x), target, stage="stem")
    np.testing.assert_allclose(got, unit(raw), atol=1e-5)


def test_gradcam_pp_by_hand(two_layers):
    x, target = images(2, 3, 6, 8), [1, 1]
    features, gradient = by_hand(two_layers, x.astype("float64"), target)
    raw = np.zeros((2, 6, 8))
    for n in range(2):
        for k in range(4):
            g, total = gradient[n, k], features[n, k].sum()
            alpha = [
                [v**2 / (2 * v**2 + total * v**3) if 2 * v**2 + total * v**3 != 0 else 0 for v in row] for row in g
            ]
            raw[n] += (np.array(alpha) * np.maximum(g, 0)).sum() * features[n, k]
    got = explain.gradcam_pp(two_layers, mx.nd.array(x), target, stage=0)
    np.testing.assert_allclose(got, unit(raw), atol=1e-4)


def test_scorecam_by_hand(two_layers):
    x, label = images(1, 3, 6, 8), 1
    cut = Cut(two_layers, "stem")
    channels = cut.features(mx.nd.array(x)).asnumpy()[0]
    low, high = channels.min(axis=(1, 2), keepdims=True), channels.max(axis=(1, 2), keepdims=True)
    masks = (channels - low) / np.maximum(high - low, 1e-30)
    scores = [two_layers(mx.nd.array(x * mask)).asnumpy()[0, label] for mask in masks]
    weights = np.exp(scores) / np.exp(scores).sum()
    raw = np.tensordot(weights, channels, 1)[None]
    got = explain.scorecam(two_layers, mx.nd.array(x), label, stage="stem", batch_size=3)
    np.testing.assert_allclose(got, unit(raw), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arch", "stage"),
    [
        ("cifar_aff_resnet20", dict(stages=(2, 3)), "stage2"),
        ("cifar_nonlocal_resnet20", {}, "stem"),
    ],
)
def test_gradient_against_finite_differences(name, arch, stage):
    net = build(name, classes=5, **arch)
    net.cast("float64")
    x = mx.nd.array(images(1, 3, 8, 8), dtype="float64")
    features, gradient = explain.class_gradient(net, x, target=3, stage=stage)
    cut, step = Cut(net, stage), 1e-6
    rng = np.random.RandomState(0)
    for _ in range(12):
        place = tuple(rng.randint(side) for side in features.shape)
        values = []
        for sign in (1, -1):
            moved = features.copy()
            moved[place] += sign * step
            values.append(cut.logits(mx.nd.array(moved, dtype="float64"), x).asnumpy()[0, 3])
        if features[place] == 0:  # behind a ReLU, where pooling has no derivative
            continue
        assert gradient[place] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-8)


def test_gradcam_is_cam_for_a_linear_head():
    net = build("cifar_se_resnet20", classes=7)
    x, label = mx.nd.array(images(2, 3, 32, 40)), 4
    features = net.features_at(x, ["stage3"])["stage3"].asnumpy()
    cam = np.maximum(np.einsum("nkhw,k->nhw", features, net.head.fc.weight.data().asnumpy()[label]), 0)
    np.testing.assert_allclose(explain.gradcam(net, x, label), unit(enlarged(cam, (32, 40))), rtol=1e-4, atol=1e-5)


def test_one_image_equals_its_place_in_a_batch():
    net = build("cifar_cbam_resnet20", classes=4)
    x = mx.nd.array(images(3, 3, 32, 32))
    for method in METHODS:
        np.testing.assert_allclose(method(net, x[1]), method(net, x)[1:2], atol=1e-4)


def test_target_defaults_to_the_prediction():
    net = build("cifar_iaff_resnet20", classes=6)
    x = mx.nd.array(images(2, 3, 32, 32))
    predicted = net(x).argmax(axis=1)
    np.testing.assert_array_equal(explain.gradcam(net, x), explain.gradcam(net, x, predicted))
    assert np.abs(explain.gradcam(net, x) - explain.gradcam(net, x, (predicted.asnumpy() + 1) % 6)).max() > 0.01


def test_gradients_of_a_running_training_are_kept():
    net = build("cifar_resnet20", classes=3)
    x = mx.nd.array(images(2, 3, 32, 32))
    with mx.autograd.record():
        loss = net(x).sum()
    loss.backward()
    before = {name: p.grad().asnumpy().copy() for name, p in net.collect_params().items() if p.grad_req != "null"}
    explain.gradcam(net, x)
    for name, value in before.items():
        np.testing.assert_array_equal(net.collect_params()[name].grad().asnumpy(), value)


def test_changed_weights_change_the_map():
    """The graphs are kept from call to call: they must see the parameters' present values."""
    net = build("cifar_resnet20", classes=3)
    x = mx.nd.array(images(1, 3, 32, 32))
    first = explain.gradcam(net, x, 1)
    randomise(net, seed=5)
    assert np.abs(explain.gradcam(net, x, 1) - first).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(stage="stage9"), "Did you mean 'stage"),
        (dict(stage=7), "stage=7 does not exist"),
        (dict(target=3), "target=3 is no class"),
        (dict(target=[0, 1]), "2 classes for 1 images"),
        (dict(target=[[0]]), r"shape \(1, 1\) for 1 images"),
    ],
)
def test_mistakes_are_sentences(arguments, sentence):
    net = build("cifar_resnet20", classes=3)
    with pytest.raises(gluon_attn.GluonAttnError, match=sentence):
        explain.gradcam(net, mx.nd.zeros((1, 3, 32, 32)), **arguments)


@pytest.mark.parametrize("method", [*METHODS, explain.occlusion, explain.attention_maps])
@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.zeros((32, 32, 3)), r"does not take x of shape \(1, 32, 32, 3\) and float32 .*Shape inconsistent"),
        (mx.nd.zeros((1, 1, 32, 32)), r"does not take x of shape \(1, 1, 32, 32\)"),
        (mx.nd.zeros((1, 3, 32, 32), dtype="float64"), "and float64 .*uniform type.*: give float32 batches"),
        (np.zeros((0, 3, 32, 32)), r"x has shape \(0, 3, 32, 32\): give one image"),
        (np.zeros((32, 32)), r"x has shape \(32, 32\): give one image"),
    ],
)
def test_what_the_network_does_not_take_is_a_sentence(method, x, sentence):
    """MXNet's own names an operator, and an (H, W, 3) array is what every library of pictures gives."""
    with pytest.raises(gluon_attn.GluonAttnError, match=sentence):
        method(build("cifar_se_resnet20", classes=3), x)


def test_pixels_of_any_type_are_taken():
    net = build("cifar_se_resnet20", classes=3)
    pixels = np.random.RandomState(0).randint(0, 9, (1, 3, 32, 32))
    expected = explain.gradcam(net, mx.nd.array(pixels))
    for x in (pixels.astype("uint8"), pixels.astype("float64"), pixels.tolist(), mx.nd.array(pixels, dtype="int32")):
        np.testing.assert_array_equal(explain.gradcam(net, x), expected)


def test_a_stage_without_places_is_refused_or_passed_over():
    """The VGG of Learn To Pay Attention ends in a vector; the stage before it has 2x2 places here."""
    net = build("cifar_ltpa_vgg", classes=3, width=8)
    x = mx.nd.array(images(1, 3, 32, 32))
    for stage in ("stage4", 4):
        with pytest.raises(gluon_attn.GluonAttnError, match="stage4 has a single place"):
            explain.gradcam(net, x, stage=stage)
    for method in (explain.gradcam, explain.gradcam_pp):
        np.testing.assert_array_equal(method(net, x), method(net, x, stage="stage3"))
    with pytest.raises(gluon_attn.GluonAttnError, match="stem has a single place"):
        explain.gradcam(build("resnet18", classes=3), x[:, :, :2, :2])


def test_a_network_without_stages_is_refused():
    net = nn.Dense(3, in_units=4)
    net.initialize()
    with pytest.raises(gluon_attn.GluonAttnError, match="features_at"):
        explain.gradcam(net, mx.nd.zeros((1, 3, 8, 8)))


def test_what_is_no_image_and_no_class():
    net, x = build("cifar_resnet20", layers=(1, 1, 1), classes=4), images(2, 3, 16, 16)
    np.testing.assert_array_equal(explain.gradcam(net, x, 1), explain.gradcam(net, mx.nd.array(x), mx.nd.array([1, 1])))
    for target in (1.5, "1", [0, float("nan")], True):
        with pytest.raises(gluon_attn.GluonAttnError, match="is no class: give a whole number from 0 to 3"):
            explain.gradcam(net, mx.nd.array(x), target)
    x[1, 0, 3, 3] = np.nan  # ReLUs make 0 of it
    for look in (explain.gradcam, explain.scorecam, explain.occlusion, explain.attention_maps):
        with pytest.raises(gluon_attn.GluonAttnError, match="x has values that are no number"):
            look(net, mx.nd.array(x))
