"""Counts from shapes alone, by hand for a network small enough."""

from __future__ import annotations

import pytest

import gluon_attn
from gluon_attn.complexity import complexity, stage_complexity


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
