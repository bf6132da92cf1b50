"""Files whose names and shapes fit another network than their own: it is built, or named, never taken for the other."""

from __future__ import annotations

import logging

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.errors import WeightsError
from gluon_attn.weights import load_weights
from tests.helpers import randomise
from tests.weights.published import random_arrays, save

X = mx.nd.array(np.random.RandomState(1).standard_normal((2, 3, 64, 64)))


def of_gluoncv(name, path):
    """GluonCV's own network of random values, saved as `path`."""
    theirs = pytest.importorskip("gluoncv").model_zoo.get_model(name)
    theirs.initialize()
    theirs(X)
    randomise(theirs).save_parameters(str(path))
    return theirs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("cifar_resnet20_v1", "cifar_resnet20"),
        ("resnet18_v1b", "resnet18"),
        ("resnet18_v1", "resnet18"),
        ("se_resnext50_32x4d", "se_resnext50_32x4d"),
    ],
)
def test_gluoncvs_files_are_gluoncvs_networks(theirs, ours, tmp_path):
    path = tmp_path / "theirs.params"
    expected = of_gluoncv(theirs, path)(X).asnumpy()
    net = gluon_attn.get_model(ours, pretrained=path)
    np.testing.assert_allclose(net(X).asnumpy(), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    again = gluon_attn.get_model(ours, classes=net.classes, **net.card.arch)
    load_weights(again, path)
    np.testing.assert_array_equal(again(X).asnumpy(), net(X).asnumpy())


@pytest.mark.parametrize("given", [{}, {"stem": "cifar"}, {"stem": "half"}])
def test_a_stem_with_a_relu_is_refused_gluoncvs_files(given, tmp_path):
    path = tmp_path / "theirs.params"
    of_gluoncv("cifar_resnet20_v1", path)
    with pytest.raises(WeightsError, match=r"tell, .* names and shapes agree: get_model\(..., stem='linear'\)"):
        load_weights(gluon_attn.get_model("cifar_resnet20", classes=10, **given), path)
    if given:
        with pytest.raises(WeightsError, match="stem='linear'"):
            gluon_attn.get_model("cifar_resnet20", pretrained=path, **given)


def test_gluoncvs_other_networks_are_refused(tmp_path):
    of_gluoncv("se_resnet18_v1", tmp_path / "theirs.params")
    with pytest.raises(WeightsError, match="does not fit this network. Missing in the file: .*gate.mlp.0.bias"):
        gluon_attn.get_model("se_resnet18", pretrained=tmp_path / "theirs.params")


@pytest.fixture
def bottlenecks(tmp_path):
    """(imgclsmob's seresnet50 with values that no row knows, and the same without its gates)."""
    gated = random_arrays("imgclsmob", "seresnet50")
    plain = {name: array for name, array in gated.items() if ".se." not in name}
    return save(tmp_path / "gated.params", gated), save(tmp_path / "plain.params", plain)


def test_an_unknown_file_has_the_strides_of_the_known_ones(bottlenecks, caplog):
    path, _ = bottlenecks
    for name, given in (("se_resnet50", {}), ("resnet50", {"gate": "se"})):
        net = gluon_attn.get_model(name, pretrained=path, **given)
        assert net.zoo_arch["stride_in"] == net.card.arch["stride_in"] == "1x1"
        assert "the network is built with stride_in='1x1'" in caplog.text
        caplog.clear()
        load_weights(gluon_attn.get_model(name, **given), path, source="imgclsmob")
        assert "though names and shapes agree: get_model(..., stride_in='1x1')" in caplog.text
    caplog.clear()
    given = gluon_attn.get_model("se_resnet50", pretrained=path, stride_in="3x3")
    assert given.zoo_arch["stride_in"] == "3x3" and not caplog.text
    load_weights(gluon_attn.get_model("se_resnet50", variant="imgclsmob"), path)


@pytest.mark.parametrize(("given", "warnings"), [({}, 1), ({"stride_in": "1x1"}, 0), ({"stride_in": "3x3"}, 0)])
def test_strides_that_nobody_knows_are_asked_for(given, warnings, bottlenecks, caplog):
    with caplog.at_level(logging.WARNING, logger="gluon_attn.weights"):
        gluon_attn.get_model("resnet50", pretrained=bottlenecks[1], **given)
    assert ["stride_in=: its resnet50 has '1x1'" in record.getMessage() for record in caplog.records] == [
        True
    ] * warnings
