"""Counts from shapes alone, by hand for a network small enough."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.complexity import check_size, complexity, stage_complexity
from gluon_attn.errors import GluonAttnError


def test_stages_add_up_to_the_network():
    for name in ("cifar_aff_resnet20", "cifar_abn_resnet20", "cifar_ltpa_resnet20", "resnet18d"):
        net = gluon_attn.get_model(name)
        size = gluon_attn.model_info(name).input_size
        whole, stages = complexity(net, size), stage_complexity(net, size)
        assert list(stages)[0] == "stem" and list(stages)[-1] == "head"
        for key in ("parameters", "macs", "activations", "training_bytes"):
            assert sum(getattr(cost, key) for cost in stages.values()) == getattr(whole, key), (name, key)
        assert max(cost.peak_bytes for cost in stages.values()) == whole.peak_bytes


def test_a_stem_by_hand():
    # 3x3 convolution 3 -> 16 at 32x32, BatchNorm, ReLU: three operators that each give 16 planes.
    stem = gluon_attn.model_info("cifar_resnet20").stages["stem"]
    plane = 32 * 32
    assert stem.parameters == 3 * 16 * 9 + 2 * 16
    assert stem.macs == 3 * 16 * 9 * plane
    assert stem.activations == 16 * plane
    assert stem.training_bytes == 3 * 16 * plane * 4
    assert stem.peak_bytes == 2 * 16 * plane * 4


class GLU(mx.gluon.HybridBlock):
    """x -> [a sigmoid(b), a sigmoid(b)] of its halves: a mechanism whose operator has two outputs."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        a, b = F.split(x, num_outputs=2, axis=1)
        half = a * F.sigmoid(b)
        return F.concat(half, half, dim=1)


def test_an_operator_with_several_outputs_by_hand():
    plane = 32 * 32
    plain, gated = (gluon_attn.get_model("cifar_resnet20", layers=(1, 1, 1), gate=gate) for gate in ("identity", GLU))
    before, after = (stage_complexity(net, 32)["stage1"] for net in (plain, gated))
    assert complexity(gated, 32).macs == complexity(plain, 32).macs
    # Of 16 planes the operators give 16 (both halves), 8, 8 and 16.
    assert after.training_bytes - before.training_bytes == (16 + 8 + 8 + 16) * plane * 4


class Products(mx.gluon.HybridBlock):
    """make(F, a, b) of matrices that are cut out of the picture's (3, 8, 8) by `shapes`."""

    def __init__(self, shapes, make):
        super().__init__()
        self.shapes, self.make = shapes, make

    def hybrid_forward(self, F, x):
        flat = F.reshape(x, (-1,))
        cut = [F.slice_axis(flat, axis=0, begin=0, end=int(np.prod(shape))) for shape in self.shapes]
        return self.make(F, *(F.reshape(part, shape) for part, shape in zip(cut, self.shapes)))


@pytest.mark.parametrize(
    ("shapes", "make", "macs"),
    [
        ([(2, 3, 4), (2, 4, 5)], lambda F, a, b: F.batch_dot(a, b), 2 * 3 * 4 * 5),
        ([(2, 4, 3), (2, 4, 5)], lambda F, a, b: F.batch_dot(a, b, transpose_a=True), 2 * 3 * 4 * 5),
        ([(2, 3, 4), (2, 4, 5)], lambda F, a, b: F.linalg_gemm2(a, b), 2 * 3 * 4 * 5),
        ([(2, 4, 3), (2, 4, 5)], lambda F, a, b: F.linalg_gemm2(a, b, transpose_a=True), 2 * 3 * 4 * 5),
        ([(2, 3, 4), (2, 5, 4)], lambda F, a, b: F.linalg_gemm2(a, b, transpose_b=True), 2 * 3 * 4 * 5),
        ([(4, 2, 3), (4, 2, 5)], lambda F, a, b: F.linalg_gemm2(a, b, transpose_a=True, axis=0), 2 * 3 * 4 * 5),
        ([(3, 4), (4, 5), (3, 5)], lambda F, a, b, c: F.linalg_gemm(a, b, c), 3 * 4 * 5),
        ([(4, 3), (5, 4), (3, 5)], lambda F, a, b, c: F.linalg_gemm(a, b, c, transpose_a=True, transpose_b=True), 60),
        ([(2, 3, 4), (4, 5)], lambda F, a, b: F.dot(a, b), 2 * 3 * 4 * 5),
        ([(4, 2, 3), (4, 5)], lambda F, a, b: F.dot(a, b, transpose_a=True), 2 * 3 * 4 * 5),
    ],
)
def test_matrix_products_by_hand(shapes, make, macs):
    net = Products(shapes, make)
    assert complexity(net, 8).macs == macs
    assert net(mx.nd.ones((1, 3, 8, 8))).size * 4 == macs  # each value sums over 4


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("kernel", "stride", "side"), [(2, 2, 16), (3, 1, 10)])
def test_a_transposed_convolution_by_hand(groups, kernel, stride, side):
    net = mx.gluon.nn.Conv2DTranspose(6, kernel, stride, groups=groups, in_channels=3, use_bias=False)
    found = complexity(net, 8)
    # Every value of the picture is multiplied by its kernel for every channel out of its group.
    assert found.macs == 3 * 8 * 8 * (6 // groups) * kernel**2
    assert found.activations == 6 * side**2


class Twice(mx.gluon.HybridBlock):
    """One convolution over every place and over their mean, as LTPA's scores are."""

    def __init__(self):
        super().__init__()
        self.conv = mx.gluon.nn.Conv2D(4, 1, in_channels=3)

    def hybrid_forward(self, F, x):
        return F.broadcast_add(self.conv(x), self.conv(F.mean(x, axis=(2, 3), keepdims=True)))


def test_a_layer_that_is_run_twice_by_hand():
    found = complexity(Twice(), 8)
    assert (found.parameters, found.macs) == (4 * 3 + 4, 4 * 3 * (8 * 8 + 1))
    assert found.activations == 4 * (8 * 8 + 1) and found.training_bytes == 4 * (4 * (8 * 8 + 1) + 3 + 4 * 8 * 8)


def test_a_network_that_was_initialised_costs_what_it_cost_before():
    net = gluon_attn.get_model("cifar_cbam_resnet20", layers=(1, 1, 1))
    before, stages = complexity(net, 32), stage_complexity(net, 32)
    net.initialize()
    assert (complexity(net, 32), stage_complexity(net, 32)) == (before, stages)


@pytest.mark.parametrize("count", [complexity, stage_complexity])
@pytest.mark.parametrize("size, in_channels, name", [(0, 3, "size"), ("big", 3, "size"), (32, 1.5, "in_channels")])
def test_what_is_no_size_of_a_picture(count, size, in_channels, name):
    with pytest.raises(gluon_attn.GluonAttnError, match=f"{name}=.* cannot be: give a whole number"):
        count(gluon_attn.get_model("cifar_resnet20"), size, in_channels)


@pytest.mark.parametrize(
    ("name", "arch", "fits", "others"),
    [
        ("cifar_ge_resnet20", {"layers": (1, 1, 1)}, 32, (16, 64)),
        ("aa_resnet50", {"layers": (1, 1, 1, 1)}, 224, (192, 256)),
        ("fullface_gaze", {"hidden": 8, "image_size": 64}, 64, (32,)),
        ("cifar_pyramid_resnet20", {"layers": (1, 1, 1), "frames": 2}, 32, ()),
    ],
)
def test_a_size_that_the_network_cannot_take_is_a_sentence(name, arch, fits, others, capfd):
    net = gluon_attn.get_model(name, **arch)
    check_size(net, fits)
    assert complexity(net, fits).macs > 0
    for size in others:
        for ask in (check_size, complexity):
            with pytest.raises(GluonAttnError, match=f"cannot take images of 3x{size}x{size}"):
                ask(net, size)
    assert capfd.readouterr().out == ""


class Wide(mx.gluon.HybridBlock):
    """A gate whose pooling fits no map."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        return F.Pooling(x, kernel=(99, 99))


@pytest.mark.parametrize(
    ("arch", "in_channels", "said"),
    [
        ({"gate": Wide}, 3, r"kernel size \(99\) exceeds input .*MXNet's words of the operator '\w*pool"),
        ({}, 4, "its parameters have shapes for others"),
    ],
)
def test_why_a_network_cannot_take_images_is_said(arch, in_channels, said):
    net = gluon_attn.get_model("cifar_resnet20", layers=(1, 1, 1), **arch)
    with pytest.raises(GluonAttnError, match=rf"cannot take images of {in_channels}x32x32: {said}"):
        check_size(net, 32, in_channels=in_channels)
