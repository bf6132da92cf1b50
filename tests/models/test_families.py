"""Wide ResNet, DenseNet, MobileNet and Keras' CIFAR ResNet: counts, and small ones of each against numpy."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import GluonAttnError, losses
from gluon_attn.attention.cbam import CBAM
from gluon_attn.attention.se import SE
from gluon_attn.complexity import count_parameters
from tests.helpers import arrays, build, images
from tests.models.references import REFERENCES

PARAMETERS = {
    "cifar_wrn28_10": 36_536_884,
    "cifar_densenet100_k12": 800_032,
    "cifar_resnext29_8x64d": 34_518_948,
    "cifar_resnet164bn": 1_727_284,
    "cifar_resnet50basic": 766_116,
    "cifar_se_resnet50basic": 777_876,
    "cifar_cbam_resnet50basic": 780_228,
}
# As small as the family allows, with two blocks where the second differs from the first.
SMALL = {
    "cifar_wrn28_10": dict(layers=(2, 1, 1), widths=(8, 12, 16), stem_widths=(8,)),
    "cifar_densenet100_k12": dict(layers=(2, 1, 2), growth=4, stem_width=8),
    "cifar_densenet40_k12": dict(layers=(2, 1, 2), growth=4, stem_width=8),
    "cifar_mobilenet": dict(widths=((8, 12), (16,)), stem_width=8),
    "cifar_resnet50basic": dict(layers=(2, 1, 1), widths=(8, 12, 16), stem_widths=(8,)),
    "cifar_resnext29_8x64d": dict(layers=(1, 1, 1), widths=(16, 16, 16), stem_widths=(8,), groups=2, group_width=16),
}


def small(backbone, attention="", **arch):
    reduction = dict(reduction=2) if attention not in ("", "abn") else {}
    name = f"cifar_{attention}_{backbone[6:]}" if attention else backbone
    return build(name, classes=5, **{**SMALL[backbone], **reduction, **arch})


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_counts(name):
    variant = "inverse_attention" if "_se_" in name or "_cbam_" in name else None
    assert count_parameters(gluon_attn.get_model(name, variant=variant)) == PARAMETERS[name]


@pytest.mark.parametrize("gate, count", [("", 760_266), ("inv_se_", 772_026), ("inv_cbam_", 774_378)])
def test_parameter_counts_for_ten_classes(gate, count):
    variant = "inverse_attention" if gate else None
    assert count_parameters(gluon_attn.get_model(f"cifar_{gate}resnet50basic", classes=10, variant=variant)) == count


def test_densenet40_has_12_bottleneck_layers_a_block():
    """24 + 3 * 12 * 12 = 456 channels at the end; compression 1."""
    net = gluon_attn.get_model("cifar_densenet40_k12")
    assert [len(stage[0].body) for stage in net.stages] == [12, 12, 12]
    assert net.head.fc.weight.shape == (100, 456)
    assert net.stages[0][0].body[11].body[2].weight.shape[:2] == (48, 24 + 11 * 12)


@pytest.mark.parametrize("attention", ["", "se"])
@pytest.mark.parametrize("backbone", sorted(set(SMALL) - {"cifar_resnext29_8x64d"}))
def test_values(backbone, attention):
    net, x = small(backbone, attention), images(2, 3, 16, 16)
    p = arrays(net)
    if attention == "":
        assert not any(".gate." in name for name in p)
    expected = REFERENCES[backbone][0](x.astype("float64"), p)
    for hybrid in (False, True):
        net.hybridize(hybrid)
        np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("attention", ["", "inv_se", "inv_cbam", "abn", "ms_cam"])
@pytest.mark.parametrize("backbone", sorted(SMALL))
def test_gradients_reach_every_parameter(backbone, attention):
    net = small(backbone, attention)
    forward, x = losses.for_training(net), mx.nd.array(images(4, 3, 16, 16))
    with mx.autograd.record():
        outputs = forward(x)
        loss = sum((y**2).sum() for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs]))
    loss.backward()
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null" and "unused_norm" not in name:
            assert abs(parameter.grad()).max().asscalar() > 0, name


def test_densenet_gradients_equal_those_without_onednn():
    """In float64 nothing goes through oneDNN, which cannot cut a gradient at a channel within a block of 8 or 16."""
    gradients = []
    for dtype in ("float32", "float64"):
        net = small("cifar_densenet100_k12")
        net.cast(dtype)
        with mx.autograd.record():
            loss = (net(mx.nd.array(images(4, 3, 16, 16), dtype=dtype)) ** 2).sum()
        loss.backward()
        parameters = net._collect_params_with_prefix()
        gradients.append({k: p.grad().asnumpy() for k, p in parameters.items() if p.grad_req != "null"})
    for name, expected in gradients[1].items():
        np.testing.assert_allclose(
            gradients[0][name], expected, rtol=1e-2, atol=1e-3 * abs(expected).max(), err_msg=name
        )


@pytest.mark.parametrize(
    "name, places",
    [("resnet50basic", 24), ("densenet40_k12", 5), ("mobilenet", 13), ("wrn28_10", 12), ("densenet100_k12", 5)],
)
@pytest.mark.parametrize("gate, kind", [("se", SE), ("inv_cbam", CBAM)])
def test_where_learning_to_ignore_attends(name, places, gate, kind):
    net = gluon_attn.get_model(f"cifar_{gate}_{name}", variant="inverse_attention")
    found = []
    net.apply(lambda block: found.append(block) if isinstance(block, kind) else None)
    assert len(found) == places


@pytest.mark.parametrize("backbone", sorted(SMALL))
def test_gates_only_in_the_stages_asked_for(backbone):
    net = small(backbone, "se", stages=(2,))
    gated = [name for name in net._collect_params_with_prefix() if ".gate." in name]
    assert gated and all(name.startswith("stages.1.") for name in gated)


def test_unknown_arguments_are_sentences():
    for backbone in ("densenet100_k12", "mobilenet"):
        with pytest.raises(GluonAttnError, match="gate='identity', head='classifier'.*'fuse'"):
            gluon_attn.get_model(f"cifar_{backbone}", fuse="aff")


@pytest.mark.parametrize("head", ["classifier", "danet", "ltpa", "pyramid"])
def test_what_is_dropped_before_the_classifier_is_dropped_with_every_head(head):
    how = dict(map_size=1) if head == "pyramid" else {}
    net = build("cifar_mobilenet", classes=4, head=head, dropout=0.5, **how)
    x = mx.nd.array(images(2, 3, 32, 32))
    assert (net(x) == net(x)).asnumpy().all()
    with mx.autograd.train_mode():
        found = {net(x).asnumpy().tobytes() for _ in range(3)}
    assert len(found) == 3
