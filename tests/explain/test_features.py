"""Stage outputs by name, as a backbone for GluonCV."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.models.network import FeatureNetwork
from tests.helpers import build, images

EXAMPLE = Path(__file__).parents[2] / "examples" / "gluoncv_ssd.py"


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("name", ["cifar_se_resnet20", "cifar_abn_resnet20", "cifar_densenet100_k12"])
def test_features_are_the_stages_of_the_network(name, hybridize):
    net = build(name, classes=5)
    x = mx.nd.array(images(2, 3, 32, 32))
    stages = net.features_at(x)
    backbone = FeatureNetwork(net, ["stage3", "stem"])
    if hybridize:
        backbone.hybridize()
    for got, stage in zip(backbone(x), ("stage3", "stem")):
        np.testing.assert_allclose(got.asnumpy(), stages[stage].asnumpy(), rtol=1e-5, atol=1e-5)


def test_the_parameters_are_those_of_the_stages_wanted(tmp_path):
    net = build("cifar_cbam_resnet20", classes=5)
    net.save_parameters(str(tmp_path / "net.params"))
    backbone = gluon_attn.get_model("cifar_cbam_resnet20", classes=5, features=("stage1", "stage2"))
    backbone.load_parameters(str(tmp_path / "net.params"), ignore_extra=True)
    names = backbone._collect_params_with_prefix()
    assert {name.split(".")[0] for name in names} == {"stem", "stages"}
    assert not [name for name in names if name.startswith("stages.2")]
    x = mx.nd.array(images(1, 3, 32, 32))
    for got, stage in zip(backbone(x), ("stage1", "stage2")):
        np.testing.assert_allclose(got.asnumpy(), net.features_at(x)[stage].asnumpy(), rtol=1e-5)


def test_all_stages_by_default_and_an_unknown_one_is_refused():
    assert gluon_attn.get_model("cifar_resnet20", features=True).names == ("stage1", "stage2", "stage3")
    with pytest.raises(gluon_attn.GluonAttnError, match="Did you mean 'stage"):
        gluon_attn.get_model("cifar_resnet20", features=["stage5"])
    with pytest.raises(gluon_attn.GluonAttnError, match="stage1 stands twice"):
        gluon_attn.get_model("cifar_resnet20", features=["stage1", "stage1"])


def test_one_stage_by_its_name():
    assert gluon_attn.get_model("cifar_resnet20", features="stage2").names == ("stage2",)


def test_features_of_weights_have_their_card():
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits", features=True)
    assert net.card == gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits").card


def test_features_of_clips():
    net = build("cifar_pyramid_resnet20", layers=(1, 1, 1), frames=2)
    x = mx.nd.array(images(3, 2, 3, 32, 32))
    (got,) = FeatureNetwork(net, "stage3")(x)
    assert got.shape == (6, 64, 8, 8)
    np.testing.assert_array_equal(got.asnumpy(), net.features_at(x)["stage3"].asnumpy())


def test_what_has_no_head_has_no_logits():
    net, x = build("cifar_abn_resnet20", layers=(1, 1, 1)), mx.nd.array(images(1, 3, 32, 32))
    backbone = FeatureNetwork(net)
    with pytest.raises(gluon_attn.GluonAttnError, match="Unknown stage 'logits'"):
        backbone.features_at(x, ["logits"])
    np.testing.assert_array_equal(
        backbone.features_at(x, ["map"])["map"].asnumpy(), net.features_at(x, ["map"])["map"].asnumpy()
    )


def detector():
    spec = importlib.util.spec_from_file_location("gluoncv_ssd", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def test_gluoncv_trains_a_detector_on_it():
    """Every parameter of the backbone gets a gradient from GluonCV's own loss."""
    example = detector()
    mx.random.seed(0), np.random.seed(0), random.seed(0)  # the augmentation of SSD draws from all three
    net = example.ssd("se_resnet18", ["digit", "letter"], 128)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    assert np.isfinite(example.training_step(net, 128))
    for parameter in net.features.collect_params().values():
        if parameter.grad_req != "null" and parameter.name.endswith("weight"):
            assert np.abs(parameter.grad().asnumpy()).max() > 0, parameter.name
    net.hybridize()
    ids, scores, boxes = net(mx.nd.zeros((1, 3, 128, 128)))
    assert ids.shape == scores.shape == (1, 100, 1) and boxes.shape == (1, 100, 4)


@pytest.mark.parametrize("words", ["cifar_resnet20 --image-size 42", "cifar_abn_resnet20 --image-size 32", "resnet18"])
def test_a_detector_on_any_backbone(words, capsys):
    """Of three stages; with a branch that SSD leaves out; of fewer boxes than SSD would keep."""
    assert detector().main(["--image-size", "32", "--backbone", *words.split()]) == 0
    assert "detections: classes (1, " in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("--backbone nope", "Unknown model 'nope'"),
        ("--backbone resnet18 --image-size 10", "--image-size: '10' cannot be: give a whole number from 32"),
        ("--backbone cifar_ge_resnet20 --image-size 64", "cannot take images of 3x64x64"),
        ("--pretrained nope", "Unknown weights tag"),
    ],
)
def test_mistakes_of_the_detector_are_sentences(words, sentence, capsys):
    assert detector().main(words.split()) == 2 and sentence in capsys.readouterr().err
