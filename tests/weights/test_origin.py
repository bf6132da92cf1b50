"""The card of a network that was built with weights and keywords: a copy saved with it is the same function."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import gluon_attn
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GlobalAvgPool

X = mx.nd.array(np.random.RandomState(1).standard_normal((2, 3, 32, 32)))


class Mean(nn.HybridBlock):
    """README's gate. It has no parameters: nothing but the card tells its network from the plain one."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.pool = GlobalAvgPool()

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, F.sigmoid(self.pool(x)))


def saved(net, folder):
    net.card.write(folder)
    net.save_parameters(str(folder / "last.params"))
    return folder


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("cifar_se_resnet20", {"alpha": 0.5}, {"alpha": 0.5}),
        ("cifar_se_resnet20", {"alpha": np.float32(0.5), "reduction": np.int64(16)}, {"alpha": 0.5, "reduction": 16}),
        ("cifar_se_resnet20", {"widths": [16, 32, 64]}, {}),
        ("cifar_resnet20", {"gate": Mean}, {"gate": f"{__name__}:Mean"}),
    ],
)
def test_a_saved_copy_of_loaded_weights_is_the_same_function(name, given, kept, tmp_path):
    net = gluon_attn.get_model(name, pretrained="digits", **given)
    assert net.card.arch == kept
    assert net.card.but(arch={}) == gluon_attn.get_model(name, pretrained="digits").card
    classes = {key: value for key, value in given.items() if value is Mean}
    again = gluon_attn.load_run(saved(net, tmp_path), **classes)
    np.testing.assert_array_equal(again(X).asnumpy(), net(X).asnumpy())
    assert again.card == net.card


def test_a_file_without_a_card_loads_with_a_class(tmp_path):
    net = gluon_attn.get_model("cifar_resnet20", gate=Mean, pretrained="digits")
    net.save_parameters(str(tmp_path / "x.params"))
    again = gluon_attn.get_model("cifar_resnet20", gate=Mean, pretrained=tmp_path / "x.params")
    np.testing.assert_array_equal(again(X).asnumpy(), net(X).asnumpy())
    assert gluon_attn.get_model("cifar_resnet20", gate=Mean, pretrained="digits", classes=3)(X).shape == (2, 3)


def test_without_the_class_the_card_says_what_to_give(tmp_path):
    folder = saved(gluon_attn.get_model("cifar_resnet20", gate=Mean, pretrained="digits"), tmp_path)
    with pytest.raises(GluonAttnError, match="Unknown gate 'tests.weights.test_origin:Mean'.*class itself: gate=Mean"):
        gluon_attn.load_run(folder)
