"""Every parameter of the zoo that is not a running statistic, or listed with its reason, has a gradient."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import losses
from gluon_attn.catalogue.names import SPECS
from gluon_attn.complexity import count_parameters
from gluon_attn.zoo import get_model
from tests.helpers import build, images, narrow

# Ends of parameter paths that an optimiser does not move, and why.
FIXED = {
    "running_mean": "a statistic",
    "running_var": "a statistic",
    "stem.0.gamma": "the pre-activation CIFAR networks' first BatchNorm whitens the image (scale=False, center=False)",
    "stem.0.beta": "as its gamma",
    "branch.unused_norm.gamma": "in ABN's published files, and in no computation",
    "branch.unused_norm.beta": "as its gamma",
}
# The gradient is 0 by construction, but for rounding.
ZERO = {
    "levels.0.global_map.weight": "LTPA with 'pc': a softmax does not see what is the same for all positions",
    "levels.1.global_map.weight": "as levels.0",
}


def distinct():
    """{architecture: its first name}: networks that differ in depth alone count as one."""
    found = {}
    for spec in SPECS.values():
        parts = [repr(spec.arch.get(key)) for key in ("block", "stem", "shortcut", "groups", "stages")]
        found.setdefault((spec.attention, spec.family, *parts), spec.name)
    return list(found.values())


def one_a_mechanism_and_family():
    found = {}
    for name in distinct():
        spec = SPECS[name]
        if spec.attention not in found or name.startswith("cifar_") and "resnet20" in name:
            found[spec.attention] = name
    families = {SPECS[name].family: name for name in distinct() if not SPECS[name].attention}
    return {*found.values(), *families.values()}


FIRST = one_a_mechanism_and_family()


def small(spec):
    """The arguments that make the network shallow and fit to small images, and the images' side."""
    arch, side = {}, min(spec.input_size, 64)
    if spec.family.endswith(":FullFaceGaze"):
        return dict(image_size=96, widths=(8, 8, 8, 8, 8), hidden=8, dropout=0.0), 96
    if spec.family.endswith(":VGG"):
        return dict(width=8), side
    if spec.family.endswith(":MobileNet"):
        arch["widths"] = ((16, 16), (32,), (32,))
    if "resnet:ResNet" in spec.family or "densenet" in spec.family:
        arch["layers"] = (1,) * len(spec.arch["layers"])
    if "stage_after" in spec.arch:
        arch["stage_after"] = dict.fromkeys(spec.arch["stage_after"], (0,))
    if "map_size" in spec.arch and side > 32:
        tied = spec.arch["map_size"]
        arch["map_size"] = 2 if isinstance(tied, int) else (16, 8, 4, 2)
    return {**arch, **narrow(spec.name)}, side


def all_gradients(net, x):
    forward = losses.for_training(net)
    with mx.autograd.record():
        outputs = forward(x)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        loss = sum((y * mx.nd.array(images(*y.shape, seed=1))).sum() for y in outputs)
    loss.backward()
    return loss


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FIRST else pytest.mark.slow) for name in distinct()],
)
def test_every_parameter_trains(name):
    arch, side = small(SPECS[name])
    net = build(name, classes=5, **arch)
    for path, parameter in net._collect_params_with_prefix().items():
        if path.endswith("weights.4.bias"):  # a spatial weight that is 0 everywhere lets no gradient through
            parameter.set_data(mx.nd.ones_like(parameter.data()))
    all_gradients(net, mx.nd.array(images(8, 3, side, side)))
    for path, parameter in net._collect_params_with_prefix().items():
        if path.endswith(tuple(FIXED)):
            continue
        assert parameter.grad_req != "null", f"{path} is never trained: if that is meant, list it with its reason"
        if not path.endswith(tuple(ZERO)):
            assert np.abs(parameter.grad().asnumpy()).max() > 0, f"no gradient reaches {path}"


def test_the_list_of_the_fixed_is_not_longer_than_needed():
    """The whitening BatchNorm stands in one stem only: an ordinary stem.0 is a convolution, which has no gamma."""
    for name in ("cifar_resnet20", "cifar_densenet100_k12", "cifar_wrn28_10"):
        paths = build(name, classes=2, layers=(1, 1, 1))._collect_params_with_prefix()
        assert not [path for path in paths if path.endswith(("stem.0.gamma", "stem.0.beta"))]


def test_lip_has_the_published_number_of_trained_parameters():
    assert count_parameters(get_model("lip_resnet50")) == 23_864_232  # the authors' InstanceNorm is affine
