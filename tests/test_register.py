"""A mechanism from outside is one call: names, gates, training, explaining, exporting; mistakes are sentences."""

from __future__ import annotations

import dataclasses
import re
import types
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import gluon_attn
from gluon_attn import GluonAttnError, explain, register, zoo
from gluon_attn.attention.aff import AFF
from gluon_attn.attention.gating import Gating
from gluon_attn.attention.sk import SelectiveKernel
from gluon_attn.attention.slots import PLACES, accepted
from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import with_attention
from gluon_attn.layers import GlobalAvgPool, conv
from gluon_attn.train import fit
from tests.helpers import build, images
from tests.train.tiny import tiny


class Mine(nn.HybridBlock):
    """x s(power gap(x))."""

    def __init__(self, channels, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.pool, self.gating, self.power = GlobalAvgPool(), Gating(), power

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, self.gating(self.power * self.pool(x)))


class Halves(nn.HybridBlock):
    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        return F.slice_axis(x, axis=1, begin=0, end=32)


class LateChannels(nn.HybridBlock):
    def __init__(self, reduction, channels, **kwargs):
        super().__init__(**kwargs)


class Listed(nn.HybridBlock):
    """Its child stands in a list, where Gluon does not look."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [nn.Conv2D(channels, 1, in_channels=channels)]

    def hybrid_forward(self, F, x):
        return self.blocks[0](x)


class Deferred(nn.HybridBlock):
    def __init__(self, channels, classes=0, **kwargs):
        super().__init__(**kwargs)
        self.layer = nn.Dense(classes) if classes else nn.Conv2D(channels, 1)

    def hybrid_forward(self, F, x):
        return self.layer(x)


@pytest.fixture
def mine():
    names = gluon_attn.register_attention("mine", "gate", Mine, "a paper", "x s(3 gap(x))", power=3.0)
    yield names
    gluon_attn.forget_attention("mine")


def test_names_on_every_backbone(mine):
    assert gluon_attn.list_models("mine_resnet?8") == ["mine_resnet18"]
    assert {"cifar_mine_resnet20", "cifar_mine_mobilenet", "cifar_mine_densenet40_k12"} <= set(mine)
    assert [name.replace("mine_", "se_") for name in mine] == [
        name for name in gluon_attn.zoo.SPECS if gluon_attn.zoo.find(name).attention == "se"
    ]
    assert gluon_attn.zoo.find("mine_resnet50").paper == "a paper"
    info = gluon_attn.model_info("cifar_mine_resnet20")
    assert info.parameters == gluon_attn.model_info("cifar_resnet20").parameters
    assert str(info).startswith("cifar_mine_resnet20 (a paper)\n")
    assert str(dataclasses.replace(info, paper="")).startswith("cifar_mine_resnet20\n")


def test_its_arguments_are_bound_and_can_be_overridden(mine):
    assert gluon_attn.create_gate("mine", 64).power == 3 and gluon_attn.create_gate("mine", 64, power=2).power == 2
    net = gluon_attn.get_model("cifar_mine_resnet20", power=(1, 2, 4))
    assert [stage[0].gate.power for stage in net.stages] == [1, 2, 4]
    assert "mine" in gluon_attn.list_gates()


def test_values_maps_and_export(mine):
    pytest.importorskip("onnx")
    from gluon_attn.deploy.export.onnx_file import verified

    net, x = build("cifar_mine_resnet20", layers=(1, 1, 1)), mx.nd.array(images(2, 16, 8, 8))
    block = net.stages[0][0]
    y = block.body(x)
    weight = mx.nd.sigmoid(3 * y.mean((2, 3), keepdims=True))
    expected = mx.nd.relu(mx.nd.broadcast_mul(y, weight) + x)
    np.testing.assert_allclose(block(x).asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)
    maps = explain.attention_maps(net, mx.nd.array(images(1, 3, 32, 32)))
    assert maps["stages.0.0.gate"].kind == "channel" and maps["stages.0.0.gate"].mechanism == "Mine"
    assert verified(net, 32)[1] < 1e-4


def test_training_by_name(mine, tmp_path):
    result = fit(tiny(tmp_path, model="cifar_mine_resnet20", epochs=1), progress=False)
    assert result["model"] == "cifar_mine_resnet20"


def test_gluoncv_has_the_names_and_loses_them():
    zoo = pytest.importorskip("gluoncv").model_zoo
    gluon_attn.register_attention("mine", "gate", Mine)
    assert type(zoo.get_model("mine_resnet18", classes=3)).__module__ == "gluon_attn.models.resnet"
    gluon_attn.forget_attention("mine")
    assert "mine_resnet18" not in zoo.get_model_list() and gluon_attn.list_models("*mine_*") == []
    assert "se_resnet18" in zoo.get_model_list()


@pytest.mark.parametrize(
    "slot, block, name",
    [("fuse", AFF, "m_resnet18"), ("conv", "gluon_attn.attention.sk:SelectiveKernel", "m_resnet50")],
)
def test_other_slots_and_blocks_by_path(slot, block, name):
    gluon_attn.register_attention("m", slot, block, reduction=8)
    try:
        shape = gluon_attn.get_model(name)(mx.sym.Variable("data")).infer_shape(data=(1, 3, 64, 64))[1]
        assert shape == [(1, 1000)]
    finally:
        gluon_attn.forget_attention("m")


class Whole(nn.HybridBlock):
    """A stage's, and with a second map a fusion's."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x, shortcut=None):
        return x if shortcut is None else x + shortcut


class Middle(nn.HybridBlock):
    def __init__(self, channels, stride, groups, dilation, **kwargs):
        super().__init__(**kwargs)
        self.conv = conv(channels, channels, 3, stride, groups, dilation=dilation)

    def hybrid_forward(self, F, x):
        return self.conv(x)


@pytest.mark.parametrize(("slot", "block"), [("stage", Whole), ("fuse", Whole), ("conv", Middle)])
def test_every_name_that_it_makes_builds(slot, block):
    names = gluon_attn.register_attention("m", slot, block)
    try:
        assert all(map(gluon_attn.get_model, names))
        made = {name for name in BACKBONES if with_attention(name, "m") in names}
    finally:
        gluon_attn.forget_attention("m")
    residual = {name: backbone.arch for name, backbone in BACKBONES.items() if not backbone.slots}
    bottlenecks = {name for name, arch in residual.items() if arch.get("block", "bottleneck") == "bottleneck"}
    assert made == (bottlenecks if slot == "conv" else set(residual)) and len(made) == len(names)


def test_it_may_stand_on_some_backbones_and_be_given_what_they_need():
    on = {("resnet18", "cifar_resnet2?"): {"power": 2.0}, "cifar_*": {"stages": [3]}}
    names = gluon_attn.register_attention("m", "gate", Mine, on=on)
    try:
        assert {"m_resnet18", "cifar_m_resnet20", "cifar_m_mobilenet"} <= set(names) and "m_resnet50" not in names
        net = gluon_attn.get_model("cifar_m_resnet20")
        assert net.stages[2][0].gate.power == 2 and not isinstance(net.stages[1][0].gate, Mine)
        assert zoo.own_arch(net, zoo.find("cifar_m_resnet20")) == {}
    finally:
        gluon_attn.forget_attention("m")


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ({"resnet5O": {}}, "matches no backbone that has the slot 'conv'"),
        ({"resnet18": {}}, "matches no backbone that has the slot 'conv'"),
        ("resnet50", r"on='resnet50' cannot be: give \{backbones: arguments\}"),
        ({"resnet50": 8}, "cannot be: give"),
        ({50: {}}, "cannot be: give"),
    ],
)
def test_backbones_that_are_none_are_sentences(on, said):
    with pytest.raises(GluonAttnError, match=said):
        gluon_attn.register_attention("m", "conv", Middle, on=on)
    assert "m" not in MECHANISMS


def test_classes_in_place_of_names():
    arch = dict(layers=(1, 1, 1), widths=(16, 16, 16))
    net = gluon_attn.get_model("cifar_resnet20", gate=Mine, fuse=AFF, stage=Mine, power=2.0, reduction=4, stages=(2,))
    assert isinstance(net.stages[1][0].gate, Mine) and isinstance(net.stages[1][0].fuse, AFF)
    assert not isinstance(net.stages[0][0].gate, Mine) and isinstance(net.stages[0][-1], Mine)
    net = gluon_attn.get_model("cifar_resnet164bn", conv=SelectiveKernel, **arch)
    assert isinstance(net.stages[0][0].body[3], SelectiveKernel)
    with pytest.raises(GluonAttnError, match="'powr' .*gate='Mine'|argument .*gate='Mine'.* 'powr'"):
        gluon_attn.get_model("cifar_resnet20", gate=Mine, powr=2)


class Peak(nn.HybridBlock):
    """Logits of the maxima over the positions."""

    def __init__(self, channels, classes, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.fc = scale, nn.Dense(classes, in_units=channels)

    def hybrid_forward(self, F, x):
        return self.scale * self.fc(F.max(x, axis=(2, 3)))


class Map(Peak):
    def hybrid_forward(self, F, x):
        return x


@pytest.mark.parametrize(
    "backbone", ["cifar_resnet20", "cifar_preresnet32_w4", "cifar_densenet40_k12", "cifar_mobilenet"]
)
def test_a_head_of_ones_own(backbone):
    net = build(backbone, head=Peak, classes=5, scale=2.0)
    x = mx.nd.array(images(2, 3, 32, 32))
    last, head = list(net.features_at(x).values())[-1], net.head
    if isinstance(head, nn.HybridSequential):  # BN and ReLU, where the blocks are pre-activated
        last, head = head[1](head[0](last)), head[2]
    assert isinstance(head, Peak)
    expected = 2 * head.fc(last.max(axis=(2, 3)))
    np.testing.assert_allclose(net(x).asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)


def test_a_registered_head():
    names = gluon_attn.register_attention("peak", "head", Peak, scale=3.0)
    try:
        assert {"peak_resnet50", "cifar_peak_mobilenet"} <= set(names)
        assert gluon_attn.get_model("cifar_peak_resnet20").head.scale == 3
    finally:
        gluon_attn.forget_attention("peak")
    with pytest.raises(GluonAttnError, match="as a head it is called with the last map, and gives logits"):
        gluon_attn.register_attention("peak", "head", Map)
    with pytest.raises(GluonAttnError, match="Mine takes 'channels' and 'power' first.*`channels` and `classes`"):
        gluon_attn.get_model("cifar_resnet20", head=Mine)


def test_the_readme_does_it():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"## A mechanism of your own.*?``python\n(.*?)``", text, re.DOTALL)
    scope = {"gluon_attn": gluon_attn}
    try:
        exec(code, scope)
        assert type(scope["net"].stages[0][0].gate).__name__ == "Mean"
    finally:
        gluon_attn.forget_attention("mean")


@pytest.mark.filterwarnings("ignore:.*unregistered container")
@pytest.mark.parametrize(
    "arguments, words",
    [
        (("se", "gate", Mine), ["already a mechanism 'se'", "gluon_attn.attention.se:SE", "another name"]),
        (("identity", "fuse", AFF), ["already", "'identity'"]),
        (("mine", "gat", Mine), ["slot 'gat'", "'gate'"]),
        (("mine", "block", Mine), ["slot 'block'"]),
        (("My-gate", "gate", Mine), ["'My-gate'", "lower-case"]),
        (("cifar_mine", "gate", Mine), ["'cifar_mine'", "backbones"]),
        (("mine", "gate", LateChannels), ["LateChannels takes 'reduction' first", "`channels`"]),
        (("mine", "gate", Halves), ["(2, 32, 16, 16)", "same shape"]),
        (("mine", "gate", Listed), ["Listed computes with conv", "none of its parameters", "HybridSequential"]),
        (("mine", "gate", Deferred), ["of Deferred waits for the first image", "in_channels=channels"]),
        (("mine", "head", Deferred), ["of Deferred waits for the first image", "in_units=channels"]),
        (("mine", "fuse", Mine), ["Mine(64)", "x and the shortcut"]),
        (("mine", "gate", Mine(8)), ["<a Mine>", "neither a name nor a class"]),
        (("mine", "gate", types.SimpleNamespace), ["no HybridBlock"]),
        (("mine", "gate", "nowhere:Mine"), ["'nowhere:Mine'", "module:Class"]),
        (("mine", "gate", "gluon_attn.attention.se:Se"), ["cannot be imported", "Se"]),
    ],
)
def test_mistakes_are_sentences(arguments, words):
    before = gluon_attn.list_models()
    with pytest.raises(GluonAttnError) as error:
        gluon_attn.register_attention(*arguments)
    assert all(word in str(error.value) for word in words), error.value
    assert gluon_attn.list_models() == before


class Grouped(Whole):
    def __init__(self, channels, groups=8, **kwargs):
        super().__init__(channels, **kwargs)


class Chosen(Whole):
    def __init__(self, channels, features=4, **kwargs):
        super().__init__(channels, **kwargs)


class Dense(Whole):
    def __init__(self, channels, growth=4, **kwargs):
        super().__init__(channels, **kwargs)


@pytest.mark.parametrize(
    ("slot", "block", "word"),
    [("gate", Grouped, "groups"), ("stage", Chosen, "features"), ("gate", Dense, "growth"), ("stage", Dense, "")],
)
def test_words_of_get_model_and_of_the_backbones_are_taken(slot, block, word):
    """Also where no mechanism would hear of them. Only DenseNets know `growth`, and a stage's has none there."""
    if word:
        with pytest.raises(GluonAttnError, match=f"{block.__name__} takes {word}=, a word of .* as in m_{word}"):
            gluon_attn.register_attention("m", slot, block, **{word: 2})
    else:
        gluon_attn.register_attention("m", slot, block, growth=2)
        gluon_attn.forget_attention("m")


def test_a_word_for_two_is_a_sentence_where_a_class_is_given():
    with pytest.raises(GluonAttnError, match="groups=4 would reach the backbone alone.*rename it"):
        gluon_attn.get_model("resnet50", gate=Grouped, groups=4)
    assert isinstance(gluon_attn.get_model("resnext50_32x4d", gate=Grouped).stages[0][0].gate, Grouped)


@pytest.mark.parametrize("name", [name for name, m in MECHANISMS.items() if m.slot in PLACES and m.block and m.on])
def test_every_mechanism_keeps_the_words_that_outsiders_must(name):
    register._refuse_words_of_networks(MECHANISMS[name], name, accepted(MECHANISMS[name].slot, name))


def test_twice_is_a_sentence(mine):
    with pytest.raises(GluonAttnError, match=r"forget_attention\('mine'\)"):
        gluon_attn.register_attention("mine", "gate", Mine)
    with pytest.raises(GluonAttnError, match="Unknown argument of Mine 'powr'. Did you mean 'power'"):
        gluon_attn.register_attention("other", "gate", Mine, powr=2)
    with pytest.raises(GluonAttnError, match="Unknown registered attention 'se'"):
        gluon_attn.forget_attention("se")
