"""Counts from shapes alone, by hand for a network small enough."""

from __future__ import annotations

import mxnet as mx
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
