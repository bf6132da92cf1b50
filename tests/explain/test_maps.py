"""A mechanism's output, recomputed from its announced map and its input, is its output."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import gluon_attn
from gluon_attn import attention, explain
from gluon_attn.attention.abn import AttentionBranch
from gluon_attn.attention.announce import announce, listening
from gluon_attn.attention.lip import ImportancePool
from gluon_attn.attention.ltpa import GlobalAttention
from gluon_attn.attention.pyramid import PyramidAttention
from gluon_attn.explain.maps import grid
from gluon_attn.layers import conv
from tests.attention.references import REFERENCES, product
from tests.helpers import arrays, batch_norm, build, conv1x1, images, randomise

GATES = [name for name in attention.GATES if name != "identity"]


def maps_and_output(block, *inputs):
    tensors = [mx.nd.array(x) for x in inputs]
    output = block(*tensors)
    maps = explain.attention_maps(block, *tensors)
    return maps, [y.asnumpy() for y in output] if isinstance(output, (list, tuple)) else output.asnumpy()


def operators(net):
    nodes = json.loads(net(mx.sym.var("data")).tojson())["nodes"]
    return [(node["op"], node["name"], [place[:2] for place in node["inputs"]]) for node in nodes]


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_gates(name, hybridize):
    block, x = randomise(attention.create_gate(name, 32)), images(2, 32, 5, 7)
    if hybridize:
        block.hybridize()
    maps, y = maps_and_output(block, x)
    redo = REFERENCES[name].redo or product
    np.testing.assert_allclose(y, redo(x, [weight.values for weight in maps.values()], arrays(block)), atol=1e-5)
    assert [m.kind for m in maps.values()] == (REFERENCES[name].kinds or ["channel"])
    assert all(m.inverse == name.startswith("inv_") for m in maps.values())


@pytest.mark.parametrize(("name", "factor"), [("aff", 2), ("iaff", 1)])
def test_fusions(name, factor):
    x, shortcut = images(2, 32, 5, 7), images(2, 32, 5, 7, seed=1)
    maps, y = maps_and_output(randomise(attention.create_fuse(name, 32)), x, shortcut)
    weight = maps["map"].values
    np.testing.assert_allclose(y, factor * (weight * x + (1 - weight) * shortcut), atol=1e-5)
    np.testing.assert_allclose(maps["map"].plane(), weight.mean(axis=1))
    np.testing.assert_array_equal(maps["map"].plane(channel=3), weight[:, 3])


def test_bam_and_spatial_weights():
    x = images(2, 32, 6, 6)
    maps, y = maps_and_output(randomise(attention.create_stage("bam", 32)), x)
    np.testing.assert_allclose(y, x * (1 + maps["map"].values), atol=1e-5)
    maps, y = maps_and_output(randomise(attention.create_stage("spatial_weights", 32)), x)
    np.testing.assert_allclose(y, x * maps["map"].values, atol=1e-5)
    assert maps["map"].kind == "plane"


def test_attention_branch():
    x = images(2, 8, 5, 5)
    maps, (y, _, given) = maps_and_output(randomise(AttentionBranch(conv(8, 16), 16, classes=3)), x)
    np.testing.assert_allclose(y, x + x * maps["map"].values, atol=1e-5)
    np.testing.assert_array_equal(maps["map"].values, given)


def test_position_attention_and_its_row_for_a_pixel():
    block, x = randomise(attention.create_stage("position", 16)), images(2, 16, 4, 6)
    maps, y = maps_and_output(block, x)
    weight, p = maps["map"].values[:, 0], arrays(block)
    values = conv1x1(x, p, "value").reshape(2, 16, 24)
    expected = x + p["scale"] * np.einsum("nqk,nck->ncq", weight, values).reshape(x.shape)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_array_equal(maps["map"].plane(pixel=(2, 5)), weight[:, 2 * 6 + 5].reshape(2, 4, 6))


def test_channel_attention():
    block, x = randomise(attention.create_stage("channel", 16)), images(2, 16, 4, 6)
    maps, y = maps_and_output(block, x)
    mixed = np.einsum("nij,njhw->nihw", maps["map"].values, x)
    np.testing.assert_allclose(y, x + arrays(block)["scale"] * mixed, atol=1e-5)
    with pytest.raises(gluon_attn.GluonAttnError, match="no plane"):
        maps["map"].plane()


@pytest.mark.parametrize("form", ["embedded", "gaussian", "dot", "concat"])
def test_non_local(form):
    block, x = randomise(attention.create_stage("nonlocal", 16, form=form)), images(2, 16, 4, 6)
    maps, y = maps_and_output(block, x)
    p = arrays(block)
    pooled = x.reshape(2, 16, 2, 2, 3, 2).max(axis=(3, 5))
    values = conv1x1(pooled, p, "g").reshape(2, 8, 6)
    mixed = np.einsum("nqk,nck->ncq", maps["map"].values[:, 0], values).reshape(2, 8, 4, 6)
    np.testing.assert_allclose(y, x + batch_norm(conv1x1(mixed, p, "out"), p, "norm"), atol=1e-5)
    assert maps["map"].plane((0, 0)).shape == (2, 2, 3)


def test_augmented_convolution():
    block, x = randomise(attention.CONVS["aa"](32, map_size=4, heads=2, upsilon=0.25)), images(3, 32, 4, 4)
    maps, y = maps_and_output(block, x)
    weight, p = maps["map"].values, arrays(block)
    assert weight.shape == (3, 2, 16, 16)
    values = conv1x1(x, p, "qkv")[:, -8:].reshape(3, 2, 4, 16)
    mixed = np.einsum("nhqk,nhck->nhcq", weight, values).reshape(3, 8, 4, 4)
    np.testing.assert_allclose(y[:, -8:], conv1x1(mixed, p, "out"), atol=1e-5)
    np.testing.assert_allclose(maps["map"].plane((1, 2)), weight[:, :, 6].mean(axis=1).reshape(3, 4, 4), rtol=1e-6)


def test_importance_pooling():
    block, x, logits = ImportancePool(), images(2, 4, 8, 8), 10 * images(2, 4, 8, 8, seed=1)
    maps, y = maps_and_output(block, x, logits)
    weight = np.pad(maps["map"].values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    window = (slice(None), slice(None), slice(2, 5), slice(4, 7))  # of output (1, 2)
    expected = (weight[window] * padded[window]).sum(axis=(2, 3)) / weight[window].sum(axis=(2, 3))
    np.testing.assert_allclose(y[:, :, 1, 2], expected, rtol=1e-4)


def test_global_attention():
    block, x, g = randomise(GlobalAttention(8, 16)), images(2, 8, 5, 5), images(2, 16, 1, 1, seed=1)
    maps, (y, given) = maps_and_output(block, x, g)
    np.testing.assert_allclose(y, (x * maps["map"].values).sum(axis=(2, 3)), atol=1e-5)
    np.testing.assert_array_equal(maps["map"].values, given)


def test_pyramid():
    block = randomise(PyramidAttention((4, 8), map_size=2))
    large, last = images(2, 4, 6, 6), images(2, 8, 3, 3, seed=1)
    maps, (y, *_) = maps_and_output(block, large, last)
    expected = np.einsum("ndp,ncp->ncd", maps["map"].values[:, 0], last.reshape(2, 8, 9)).reshape(2, 8, 2, 2)
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_selective_kernel():
    block, x = randomise(attention.CONVS["sk"](32)), images(2, 32, 5, 5)
    maps, y = maps_and_output(block, x)
    branches = np.stack([branch(mx.nd.array(x)).asnumpy() for branch in block.branches], axis=1)
    np.testing.assert_allclose(y, (branches * maps["map"].values).sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(maps["map"].values.sum(axis=1), 1, atol=1e-5)


def test_inside_a_network():
    """The map found under a block's path is the one that this block used."""
    net = build("cifar_aff_resnet20")
    net.hybridize()
    x = mx.nd.array(images(2, 3, 32, 32))
    before = net(x).asnumpy()
    maps = explain.attention_maps(net, x)
    assert list(maps) == [f"stages.{stage}.{block}.fuse" for stage in range(3) for block in range(3)]
    block, entering = net.stages[1][0], net.features_at(x, ["stage1"])["stage1"]
    y, shortcut = block.body(entering), block.shortcut(entering)
    weight = mx.nd.array(maps["stages.1.0.fuse"].values)
    expected = mx.nd.relu(2 * (weight * y + (1 - weight) * shortcut))
    np.testing.assert_allclose(block(entering).asnumpy(), expected.asnumpy(), atol=1e-4)
    assert maps["stages.1.0.fuse"].enlarged().shape == (2, 32, 32)
    np.testing.assert_array_equal(net(x).asnumpy(), before)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("cifar_resnet20", None),
        ("cifar_se_resnet20", "stages.0.0.gate"),
        ("cifar_inv_cbam_resnet20", "stages.0.0.gate.channel"),
        ("cifar_iaff_resnet20", "stages.0.0.fuse.first"),
        ("cifar_abn_resnet20", "branch"),
        ("cifar_bam_resnet20", "stages.0.3"),
    ],
)
def test_names(name, first):
    maps = explain.attention_maps(build(name), mx.nd.array(images(3, 32, 32)))
    assert next(iter(maps), None) == first


def test_the_plain_forward_pays_nothing():
    """An announcement adds no operator: heard or not, the traced graph is the same, operator for operator."""
    net = build("cifar_iaff_resnet20", outputs="logits")
    heard = []
    with listening(lambda *announcement: heard.append(announcement)):
        listened = operators(net)
    assert len(heard) == 18
    assert listened == operators(net)
    x = mx.nd.ones((2, 2))
    assert announce(net, x) is x


def test_what_an_inverse_gate_ignores():
    block = randomise(attention.create_gate("inv_se", 32, alpha=0.5))
    maps, _ = maps_and_output(block, images(2, 32, 5, 5))
    assert ((maps["map"].ignored > 0) & (maps["map"].ignored < 0.5)).all()
    maps, _ = maps_and_output(randomise(attention.create_gate("se", 32)), images(2, 32, 5, 5))
    with pytest.raises(gluon_attn.GluonAttnError, match="not an inverse gate"):
        _ = maps["map"].ignored


@pytest.mark.parametrize(
    ("count", "size", "shape"),
    [(49, (224, 224), (7, 7)), (50, (160, 320), (5, 10)), (48, (256, 192), (8, 6)), (196, (224, 224), (14, 14))],
)
def test_shape_of_a_flattened_map(count, size, shape):
    assert grid(count, size) == shape


def test_a_pixel_outside_of_the_image_is_refused():
    maps, _ = maps_and_output(randomise(attention.create_stage("position", 16)), images(1, 16, 4, 6))
    with pytest.raises(gluon_attn.GluonAttnError, match="outside"):
        maps["map"].plane(pixel=(4, 0))


class RowsAndColumns(nn.HybridBlock):
    """Weighs rows by their mean, then columns by theirs."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        rows = announce(self, F.sigmoid(F.mean(x, axis=3, keepdims=True)))
        columns = announce(self, F.sigmoid(F.mean(x, axis=2, keepdims=True)))
        return F.broadcast_mul(F.broadcast_mul(x, rows), columns)


def test_maps_along_one_axis_are_shown_whole():
    """A line of weights, one pixel thin, becomes a picture of the input's size; the two of a mechanism become one."""
    net = build("cifar_resnet20", layers=(1, 1, 1), gate=RowsAndColumns, stages=(3,))
    x = mx.nd.array(images(2, 3, 32, 48))
    maps = explain.attention_maps(net, x)
    rows, columns = maps["stages.2.0.gate"], maps["stages.2.0.gate#2"]
    assert (rows.kind, rows.values.shape, columns.kind, columns.values.shape) == (
        ("rows", (2, 64, 8, 1), "columns", (2, 64, 1, 12))
    )
    assert rows.plane().shape == (2, 8, 1) and columns.plane().shape == (2, 1, 12)
    high, wide = rows.enlarged(), columns.enlarged()
    assert high.shape == wide.shape == (2, 32, 48)
    assert (high == high[:, :, :1]).all() and (wide == wide[:, :1]).all()
    assert np.ptp(high[0, :, 0]) > 0 and np.ptp(wide[0, 0]) > 0
    whole = high * wide
    low, top = (f(axis=(1, 2), keepdims=True) for f in (whole.min, whole.max))
    np.testing.assert_allclose(explain.attention(net, x), (whole - low) / (top - low), atol=1e-5)
    only = explain.attention(net, x, name="stages.2.0.gate")
    np.testing.assert_allclose(only, only[:, :, :1].repeat(48, 2), atol=1e-6)


class Misnamed(nn.HybridBlock):
    """Announces a map of places by the kind that it is told."""

    def __init__(self, channels, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, announce(self, F.sigmoid(F.mean(x, axis=1, keepdims=True)), self.kind))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("position", "Unknown kind of attention map 'position'. Did you mean 'positions'"),
        ("positions", r"announced a map of shape \(2, 1, 8, 8\) as 'positions', which has 3 axes"),
        ("branches", "as 'branches', which has 5 axes"),
        ("plane", None),
    ],
)
def test_a_map_is_of_the_kind_that_is_announced(kind, said):
    net, x = randomise(Misnamed(4, kind)), mx.nd.array(images(2, 4, 8, 8))
    if said is None:
        assert explain.attention_maps(net, x)["map"].kind == kind
    else:
        with pytest.raises(gluon_attn.GluonAttnError, match=said):
            explain.attention_maps(net, x)
