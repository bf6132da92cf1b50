"""norm_layer, norm_kwargs and use_global_stats, and our names in what GluonCV lists and exports."""

from __future__ import annotations

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

import gluon_attn
from gluon_attn.errors import GluonAttnError
from gluon_attn.models.norms import blocks

NAME = "cifar_cbam_resnet20"


def norms(net, kind=nn.BatchNorm):
    return [block for block in blocks(net) if isinstance(block, kind)]


def run(net):
    net.initialize()
    net(mx.nd.ones((2, 3, 32, 32)))
    return net


def test_norm_kwargs_reach_every_batch_norm():
    net = gluon_attn.get_model(NAME, norm_kwargs={"momentum": 0.5, "epsilon": 1e-3})
    assert {(b._kwargs["momentum"], b._kwargs["eps"]) for b in norms(net)} == {(0.5, 1e-3)}
    plain = gluon_attn.get_model(NAME)
    assert list(net._collect_params_with_prefix()) == list(plain._collect_params_with_prefix())
    assert len(norms(net)) == len(norms(plain)) > 20


def test_the_rest_of_a_batch_norm_is_kept():
    net = gluon_attn.get_model("cifar_preresnet32_w4", last_gamma=False, norm_kwargs={"momentum": 0.5})
    assert net.stem[0]._kwargs["fix_gamma"], "the whitening one has neither gamma nor beta"
    net = gluon_attn.get_model("cifar_resnet20", last_gamma=True, norm_kwargs={"momentum": 0.5})
    net.initialize()
    assert net.stages[0][0].body[-1].gamma.data().asnumpy().max() == 0


@pytest.mark.parametrize("given", [{"norm_kwargs": {"momentum": 0.5}}, {"use_global_stats": True}])
def test_the_offset_on_the_picture_still_is_not_trained(given):
    beta = gluon_attn.get_model("cifar_preresnet32_w4", layers=(1, 1, 1), **given).stem[0].beta
    assert (beta.lr_mult, beta.wd_mult) == (0, 0)


def test_a_file_of_another_normalisation_says_its_classes(tmp_path):
    kind = dict(layers=(1, 1, 1), norm_layer=nn.InstanceNorm)
    run(gluon_attn.get_model("cifar_resnet20", classes=7, **kind)).save_parameters(str(tmp_path / "x.params"))
    net = gluon_attn.get_model("cifar_resnet20", pretrained=tmp_path / "x.params", **kind)
    assert net(mx.nd.ones((1, 3, 32, 32))).shape == (1, 7)


@pytest.mark.parametrize("head", ["classifier", "ltpa"])
def test_arguments_of_the_batch_norms_reach_the_heads(head):
    net = gluon_attn.get_model("cifar_densenet40_k12", layers=(1, 1, 1), epsilon=1e-3, momentum=0.5, head=head)
    assert {(b._kwargs["momentum"], b._kwargs["eps"]) for b in norms(net)} == {(0.5, 1e-3)}


@pytest.mark.parametrize("layer", [nn.GroupNorm, nn.InstanceNorm, "gluoncv"])
def test_another_layer(layer):
    kwargs = {}
    if layer == "gluoncv":
        layer, kwargs = pytest.importorskip("gluoncv").nn.GroupNorm, {"ngroups": 4}
    net = run(gluon_attn.get_model("cifar_resnet20", norm_layer=layer, norm_kwargs=kwargs))
    assert not norms(net) and len(norms(net, layer)) == 21


def test_global_stats_stay_in_training():
    net = run(gluon_attn.get_model("cifar_resnet20", use_global_stats=True))
    before = {name: p.data().asnumpy() for name, p in net.collect_params(".*running.*").items()}
    with autograd.record():
        net(mx.nd.random.normal(3, 2, (4, 3, 32, 32))).backward()
    mx.nd.waitall()
    for name, values in before.items():
        np.testing.assert_array_equal(values, net.collect_params()[name].data().asnumpy())
    weights = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits", use_global_stats=True)
    assert all(block._kwargs["use_global_stats"] for block in norms(weights))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"norm_layer": 3}, "norm_layer=3 is no class"),
        ({"norm_kwargs": {"epsilom": 1}}, "Unknown argument of norm_layer=BatchNorm: 'epsilom'.*epsilon"),
        ({"norm_layer": nn.GroupNorm, "norm_kwargs": {"ngroups": 1}}, "num_groups"),
        (
            {"norm_layer": nn.GroupNorm, "norm_kwargs": {"num_groups": 3}},
            "num_groups=3 does not divide the 16 channels",
        ),
        ({"norm_layer": partial(nn.GroupNorm, num_groups=32)}, "num_groups=32 does not divide the 16 channels"),
        ({"norm_layer": nn.GroupNorm, "norm_kwargs": {"num_groups": 0}}, "num_groups=0 does not divide"),
        ({"norm_layer": partial(nn.GroupNorm, num_groups=4), "norm_kwargs": {"foo": 1}}, "partial.*'foo'.*epsilon"),
    ],
)
def test_mistakes(given, said):
    with pytest.raises(GluonAttnError, match=said):
        gluon_attn.get_model("cifar_resnet20", **given)


def test_gluoncv_lists_and_exports_our_names():
    model_zoo = pytest.importorskip("gluoncv").model_zoo
    listed = model_zoo.pretrained_model_list()
    assert {"cifar_aff_resnet20", "aff_resnet50", "resnet50_v1b"} <= set(listed)
    assert listed == model_zoo.model_store.pretrained_model_list()
    from gluoncv.model_zoo import aff_resnet50, se_resnext50_32x4d

    assert aff_resnet50.func is gluon_attn.get_model and not hasattr(se_resnext50_32x4d, "func")
    net = model_zoo.cifar_aff_resnet20(pretrained="digits", classes=10)
    assert net(mx.nd.ones((1, 3, 32, 32))).shape == (1, 10)
