"""The scores on maps whose score is known, and the pointing game on a network that looks at one corner only."""

from __future__ import annotations

from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import data, explain
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain import score, table
from gluon_attn.weights.card import Card
from tests.explain.corner import CornerNet
from tests.helpers import build, images

BOXES = np.array([[1, 0, 3, 2], [0, 2, 4, 4]])


def test_pointing_and_energy_by_hand():
    maps = np.zeros((2, 4, 4))
    maps[0, 1, 2] = 1.0  # inside
    maps[0, 3, 3] = 0.5
    maps[1, 0, 0] = 1.0  # outside
    maps[1, 2, 0] = 0.25
    np.testing.assert_allclose(score.pointing(maps, BOXES), [1, 0])
    np.testing.assert_allclose(score.energy(maps, BOXES), [2 / 3, 0.2])


@pytest.mark.parametrize(
    "boxes", [[(3, 0, 1, 2)], [(0, 0, 0, 2)], [0, 0, 2, 2], [(0, 0, 2)], [(0, 0, float("nan"), 2)]]
)
def test_what_is_no_box_is_a_sentence(boxes):
    """A corner too many turned round had no pixel: every map scored 0 on it."""
    for measure in (score.pointing, score.energy):
        with pytest.raises(GluonAttnError, match="boxes=.* are none: give"):
            measure(np.ones((1, 4, 4)), boxes)


def test_an_empty_map_scores_chance():
    maps = np.zeros((2, 4, 4))
    np.testing.assert_allclose(score.chance(BOXES, (4, 4)), [0.25, 0.5])
    np.testing.assert_allclose(score.pointing(maps, BOXES), [0.25, 0.5])
    np.testing.assert_allclose(score.energy(maps, BOXES), [0.25, 0.5])


@pytest.mark.parametrize("method", ["gradcam", "gradcam_pp", "scorecam", "occlusion"])
def test_pointing_game_of_a_network_that_looks_at_one_corner(method):
    net, x = CornerNet(32, 8), mx.nd.array(np.abs(images(8, 3, 32, 32)) + 0.1)
    kwargs = {} if method == "occlusion" else {"stage": -1}
    maps = explain.METHODS[method](net, x, 0, **kwargs)
    corner = np.array([[0, 0, 8, 8]] * 8)
    np.testing.assert_array_equal(score.pointing(maps, corner), 1)
    elsewhere = np.array([[x0, y0, x0 + 8, y0 + 8] for x0, y0 in [(8, 8), (16, 0), (24, 24), (0, 16)] * 2])
    assert score.pointing(maps, elsewhere).mean() == 0
    # Over boxes that tile the picture, which know nothing of the network, it scores chance.
    tiles = np.array([[x0, y0, x0 + 8, y0 + 8] for x0 in range(0, 32, 8) for y0 in range(0, 32, 8)])
    share = score.pointing(np.repeat(maps[:1], 16, axis=0), tiles).mean()
    assert share == score.chance(tiles, (32, 32)).mean() == 1 / 16


def test_deletion_and_insertion_by_hand():
    net, x = CornerNet(8, 4), np.abs(images(2, 3, 8, 8)) + 0.5
    maps = np.zeros((2, 8, 8))
    maps[0, :4, :4] = np.arange(16, 0, -1).reshape(4, 4)  # the right places first
    maps[1, 4:, 4:] = 1.0  # wrong places first
    order = np.argsort(-maps.reshape(2, -1), axis=1, kind="stable")

    def probability(image):
        total = image[:, :4, :4].sum() * 0.01
        return 1 / (1 + np.exp(-2 * total))

    def area(n, start, end):
        values = []
        for step in range(5):
            mixed = start[n].copy().reshape(3, -1)
            chosen = order[n, : step * 16]
            mixed[:, chosen] = end[n].reshape(3, -1)[:, chosen]
            values.append(probability(mixed.reshape(3, 8, 8)))
        return np.trapz(values, dx=0.25)

    nothing = np.zeros_like(x)
    expected = [area(n, x, nothing) for n in range(2)]
    deleted = score.deletion(net, mx.nd.array(x), maps, 0, steps=4)
    np.testing.assert_allclose(deleted, expected, rtol=1e-4)
    assert deleted[0] < deleted[1]
    blurred = score.gaussian_filter(x, (0, 0, 0.5, 0.5))
    inserted = score.insertion(net, mx.nd.array(x), maps, 0, steps=4)
    np.testing.assert_allclose(inserted, [area(n, blurred, x) for n in range(2)], rtol=1e-4)


def test_shuffled_weights_are_put_back():
    net, x = build("cifar_cbam_resnet20", classes=4), mx.nd.array(images(2, 3, 32, 32))
    net.hybridize()
    before = net(x).asnumpy()
    with score.shuffled(net):
        assert np.abs(net(x).asnumpy() - before).max() > 0.01
    np.testing.assert_array_equal(net(x).asnumpy(), before)


def test_similarity_tells_a_map_of_the_weights_from_one_of_the_picture():
    net, x = build("cifar_resnet20", classes=4), mx.nd.array(images(6, 3, 32, 32))

    def brightness(net, x, target):
        return x.asnumpy().mean(axis=1)

    np.testing.assert_allclose(score.similarity(net, x, brightness, 1), 1)
    assert np.abs(score.similarity(net, x, explain.gradcam, 1)).max() < 0.9


class Squares(data.ArrayDataset):
    """White squares, one a picture of 64x64, at `boxes`."""

    def __init__(self, boxes):
        images = np.zeros((len(boxes), 64, 64, 3), "uint8")
        for image, (x0, y0, x1, y1) in zip(images, boxes):
            image[y0:y1, x0:x1] = 255
        super().__init__("squares", images, [0] * len(boxes), ["a", "b"], (0,) * 3, (1,) * 3)
        self.box = boxes.__getitem__


def scores(monkeypatch, boxes, size, crop_pct=1.0):
    """Of the map that is the object itself."""
    monkeypatch.setitem(explain.METHODS, "brightness", lambda net, x, target: x.asnumpy().mean(axis=1))
    card = Card("corner", ["a", "b"], (0,) * 3, (1,) * 3, size, crop_pct)
    candidate = SimpleNamespace(label="corner", net=CornerNet(size, 8), card=card, device=mx.cpu())
    return table.measure(candidate, Squares(boxes), range(len(boxes)), ["brightness"])


@pytest.mark.parametrize("size", [32, 48, 64, 96])
def test_boxes_are_those_of_the_picture_that_the_network_sees(monkeypatch, size):
    """Boxes of 64x64 were laid on inputs of any size: the map of the object itself scored 0 at 96."""
    (row,) = scores(monkeypatch, [(40, 40, 56, 60), (4, 30, 24, 46)], size)
    assert row["pointing"] == 1 and row["energy"] > 0.9 and row["chance"] == pytest.approx(320 / 64**2, rel=0.1)


def test_an_object_that_is_cut_off_is_not_measured(monkeypatch):
    """Half of the picture's sides is shown: of three objects one is outside."""
    (row,) = scores(monkeypatch, [(20, 20, 30, 30), (0, 0, 10, 10), (24, 30, 40, 50)], 32, 0.5)
    assert row["images"] == 2 and row["pointing"] == row["energy"] == 1
    with pytest.raises(GluonAttnError, match="sees nothing of the objects"):
        scores(monkeypatch, [(0, 0, 10, 10)], 32, 0.5)


def test_the_line_below_the_table_says_both_ends():
    row = dict(model="a", method="m", test_error=0.1, images=100, chance=0.095, **dict.fromkeys(table.MEASURES))
    assert "\n100 images; by chance pointing and energy are 9.5 %." in table.markdown([row, row])
    other = dict(row, images=99, chance=0.12)
    assert "\n99 to 100 images; by chance pointing and energy are 9.5 to 12.0 %." in table.markdown([row, other])


@pytest.mark.parametrize(
    "call",
    [
        lambda net, x, batch_size: explain.occlusion(net, x, batch_size=batch_size),
        lambda net, x, batch_size: explain.scorecam(net, x, batch_size=batch_size),
        lambda net, x, batch_size: score.deletion(net, x, np.ones((1, 8, 8)), batch_size=batch_size),
        lambda net, x, batch_size: table.measure(None, None, [0], ["gradcam"], batch_size),
        lambda net, x, batch_size: next(explain.look(net, [], None, (0,), (1,), ["gradcam"], batch_size=batch_size)),
    ],
)
@pytest.mark.parametrize("batch_size", [0, -1, 1.5])
def test_batches_of_no_image_are_a_sentence(call, batch_size):
    with pytest.raises(GluonAttnError, match=f"batch_size={batch_size} cannot be: give a whole number from 1"):
        call(CornerNet(8, 4), mx.nd.ones((1, 3, 8, 8)), batch_size)
