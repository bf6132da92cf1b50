"""The pyramid head on a network, for images and for clips, trained with its own loss."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError
from gluon_attn.attention.danet import ChannelAttention
from gluon_attn.attention.ge import GatherExcite
from gluon_attn.attention.pyramid import PyramidAttention, diversity_loss, interaction_loss
from gluon_attn.losses import DIVERSITY, INTERACTION, PyramidLoss, for_training, parts
from gluon_attn.models.norms import blocks
from gluon_attn.train import fit
from gluon_attn.train.objective import cross_entropy
from tests.helpers import build, images
from tests.train.tiny import TINY, tiny


def test_everything_it_gives_is_the_layers(frames=2):
    net = build("cifar_pyramid_resnet20", classes=5, frames=frames, outputs="all")
    x = mx.nd.array(images(3, frames, 3, 32, 32))
    logits, attention, interaction, diversity = net(x)
    features = net.features_at(x, ["stage2", "stage3"])
    assert features["stage3"].shape == (3 * frames, 64, 8, 8)
    attended, columns, unit, fused, *scales = net.head.attention(features["stage2"], features["stage3"])
    np.testing.assert_allclose(logits.asnumpy(), net.head.classifier(attended).asnumpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(attention.asnumpy(), unit.asnumpy(), rtol=1e-5)
    expected = interaction_loss(mx.nd, unit, columns)
    np.testing.assert_allclose(interaction.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(diversity.asnumpy(), diversity_loss(mx.nd, fused, scales).asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 3])
def test_learns_with_both_losses(frames):
    arch = dict(layers=(1, 1, 1), classes=3, frames=frames, outputs="all", levels=2)
    net = gluon_attn.get_model("cifar_pyramid_resnet20", **arch)
    mx.random.seed(0)
    net.initialize(mx.init.MSRAPrelu())
    net.hybridize()
    shape = (6, 3, 32, 32) if frames == 1 else (6, frames, 3, 32, 32)
    x, labels, loss_of = mx.nd.array(images(*shape)), mx.nd.array([0, 1, 2, 0, 1, 2]), PyramidLoss(soft=False)
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    losses, orthogonality = [], []
    for _ in range(12):
        with mx.autograd.record():
            outputs = net(x)
            loss = loss_of(outputs, labels)
        loss.backward()
        trainer.step(6)
        losses.append(float(loss.mean().asscalar()))
        orthogonality.append(float(outputs[2].mean().asscalar()))
    assert losses[-1] < 0.7 * losses[0], losses
    assert orthogonality[-1] < orthogonality[0]


def test_loss_adds_the_three_terms():
    logits, target = mx.nd.array(images(4, 3)), mx.nd.array([0, 1, 2, 0])
    interaction, diversity = mx.nd.array([1, 2, 3, 4]), mx.nd.array([5, 6, 7, 8])
    got = PyramidLoss(beta=0.5, gamma=0.25)((logits, None, interaction, diversity), target).asnumpy()
    z = logits.asnumpy()
    entropy = np.log(np.exp(z).sum(1)) - z[range(4), [0, 1, 2, 0]]
    np.testing.assert_allclose(got, entropy + 0.5 * np.arange(1, 5) + 0.25 * np.arange(5, 9), rtol=1e-5)


def test_a_recipe_trains_it_with_its_own_losses(tmp_path):
    """Their gradient is in the update, with the head's weights; without them it is another network."""
    trained = {}
    for interaction, diversity in ((0.0, 0.0), (2.0, 0.5)):
        arch, folder = dict(TINY, interaction=interaction, diversity=diversity), tmp_path / str(interaction)
        fit(tiny(folder, model="cifar_pyramid_resnet20", arch=arch, epochs=1), progress=False)
        net = gluon_attn.get_model("cifar_pyramid_resnet20", classes=10, **arch)
        net.load_parameters(str(folder / "last.params"))
        trained[interaction] = net.head.attention.scores[0].weight.data().asnumpy()
    assert abs(trained[0.0] - trained[2.0]).max() > 1e-4


def test_what_it_is_trained_with_is_pyramid_loss():
    net = build("cifar_pyramid_resnet20", layers=(1, 1, 1), classes=5)
    assert (net.trained, net.losses) == (("logits",), {"interaction": INTERACTION, "diversity": DIVERSITY})
    x, labels = mx.nd.array(images(3, 3, 32, 32)), mx.nd.array([0, 1, 4])
    logits, own = parts(net, for_training(net)(x))
    expected = PyramidLoss()(net.give(x, net.gives), labels).sum().asscalar()
    got = cross_entropy(logits[0], mx.nd.one_hot(labels, 5)).asscalar() + own.asscalar()
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_another_input_size_keeps_the_output_size():
    net = build("cifar_pyramid_resnet20", classes=5)
    assert net(mx.nd.array(images(1, 3, 48, 40))).shape == (1, 5)


def test_errors_are_sentences():
    with pytest.raises(GluonAttnError, match="levels=4: this network has 3 stages"):
        gluon_attn.get_model("cifar_pyramid_resnet20", levels=4)


def test_what_a_head_takes_other_slots_take_too():
    """One keyword is for every slot that knows it: of one value a stage the head takes the last."""
    net = gluon_attn.get_model("cifar_resnet20", gate="ge", head="pyramid", map_size=(32, 16, 8))
    gates = [block for block in blocks(net) if isinstance(block, GatherExcite)]
    assert [gate.map_size for gate in gates] == [32] * 3 + [16] * 3 + [8] * 3
    assert {gate.form for gate in gates} == {"theta_plus"}
    assert [block.map_size for block in blocks(net) if isinstance(block, PyramidAttention)] == [8]
    alone = gluon_attn.get_model("cifar_resnet20", head="pyramid", map_size=(32, 16, 8))
    assert [block.map_size for block in blocks(alone) if isinstance(block, PyramidAttention)] == [8]
    both = gluon_attn.get_model("cifar_resnet20", stage="channel", head="danet", channel_form="paper")
    assert [b.channel_form for b in blocks(both) if isinstance(b, ChannelAttention)] == ["paper"] * 3
