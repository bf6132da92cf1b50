"""The clutter and digits-canvas tasks: boxes and masks are true, images repeat, splits share no digit."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from gluon_attn import data
from gluon_attn.data.digits import source_images
from gluon_attn.errors import DataError


@pytest.fixture(scope="module")
def clutter():
    return data.get_dataset("clutter", count=200)


@pytest.fixture(scope="module")
def canvas():
    return data.get_dataset("digits-canvas", count=200)


def trimmed(grey):
    rows, columns = np.flatnonzero(grey.max(axis=1)), np.flatnonzero(grey.max(axis=0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def enlarged(grey, width, height):
    return np.asarray(Image.fromarray(np.ascontiguousarray(trimmed(grey))).resize((width, height), Image.BICUBIC))


def test_form(clutter):
    assert len(data.get_dataset("clutter")) == 4000 and len(data.get_dataset("clutter", "test")) == 1000
    image, label = clutter[7]
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8 and label == clutter.labels[7] == 7
    assert np.bincount(clutter.labels).tolist() == [20] * 10
    assert data.get_dataset("clutter", size=48, scale=(10, 12), count=5)[0][0].shape == (48, 48, 3)


@pytest.mark.parametrize("split", ("train", "test"))
def test_the_box_holds_a_whole_digit_of_the_label_and_of_the_split(split):
    dataset = data.get_dataset("clutter", split, count=40)
    images, labels = source_images(split)
    for index in range(40):
        image, label = dataset[index]
        x0, y0, x1, y1 = dataset.box(index)
        assert 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 64
        inside = image[y0:y1, x0:x1, 0]
        candidates = [enlarged(grey, x1 - x0, y1 - y0) for grey in images[labels == label]]
        assert any(np.array_equal(inside, candidate) for candidate in candidates)


def test_scale_and_place_vary_over_their_range(clutter):
    boxes = np.array([clutter.box(i) for i in range(200)])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert sides.min() == 14 and sides.max() == 32 and len(set(sides)) == 19
    assert boxes[:, :2].min() == 0 and boxes[:, 2:].max() == 64
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.abs(centres.mean(axis=0) - 32).max() < 3 and centres.std(axis=0).min() > 8


def test_there_is_clutter_outside_of_the_box(clutter):
    outside = []
    for index in range(50):
        grey = clutter[index][0][..., 0].copy()
        x0, y0, x1, y1 = clutter.box(index)
        grey[y0:y1, x0:x1] = 0
        outside.append((grey > 64).mean())
    assert min(outside) > 0.03 and np.mean(outside) > 0.08


def test_images_are_functions_of_seed_split_and_number(clutter):
    again = data.get_dataset("clutter", count=200)
    for index in (150, 3):
        np.testing.assert_array_equal(again[index][0], clutter[index][0])
    for other in (data.get_dataset("clutter", seed=1), data.get_dataset("clutter", "test")):
        assert not np.array_equal(other[3][0], clutter[3][0])


@pytest.mark.parametrize("name", ("clutter", "digits-canvas"))
def test_mean_and_std_are_those_of_the_images(name):
    dataset = data.get_dataset(name, count=600)
    pixels = np.stack([dataset[i][0] for i in range(600)]) / 255
    np.testing.assert_allclose(pixels.mean(), dataset.mean[0], atol=0.004)
    np.testing.assert_allclose(pixels.std(), dataset.std[0], atol=0.006)


def test_an_image_takes_about_a_millisecond():
    dataset = data.get_dataset("clutter")
    start = time.process_time()
    for index in range(100):
        dataset[index]
    assert (time.process_time() - start) / 100 < 5e-3  # 0.5 ms on a quiet core


def test_masks_are_the_ink_of_whole_digits_of_their_class(canvas):
    assert canvas.classes[0] == "background" and len(canvas.classes) == 11
    seen = set()
    for index in range(200):
        image, mask = canvas[index]
        assert mask.shape == (64, 64) and mask.dtype == np.uint8
        np.testing.assert_array_equal(mask > 0, image[..., 0] >= 64)
        seen |= set(np.unique(mask))
    assert seen == set(range(11))


def test_a_lone_digit_on_a_canvas_is_a_source_of_its_class():
    images, labels = source_images("train")
    dataset = data.get_dataset("digits-canvas", count=8, digits=(1, 1))
    for index in range(8):
        image, mask = dataset[index]
        digit = trimmed(image[..., 0])
        candidates = images[labels == mask.max() - 1]
        height, width = digit.shape
        # The enlarged digit's outermost row or column can be black: look for it in all that are a little larger.
        near = [enlarged(grey, width + w, height + h) for grey in candidates for w in (0, 1) for h in (0, 1)]
        assert any(np.array_equal(trimmed(candidate), digit) for candidate in near)


def test_canvases_hold_as_many_digits_as_asked(canvas):
    one = data.get_dataset("digits-canvas", count=30, digits=(1, 1), scale=(30, 40))
    for index in range(30):
        image, mask = one[index]
        rows, columns = np.nonzero(image[..., 0])
        assert len(np.unique(mask)) == 2
        assert 28 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 40
    ink = [(mask > 0).mean() for mask in (canvas[i][1] for i in range(200))]
    assert 0.1 < np.mean(ink) < 0.3


def test_mistakes(clutter):
    with pytest.raises(DataError, match="'clutter' is embedded"):
        data.get_dataset("clutter", root="/data")
    with pytest.raises(DataError, match="'digits-canvas' has no classes to draw from"):
        data.get_dataset("digits-canvas", validation=3)
    with pytest.raises(IndexError, match="image 200 of 200"):
        clutter[200]
