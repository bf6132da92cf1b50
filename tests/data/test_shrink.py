"""Resizing by sparse products against Pillow's resizing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from gluon_attn.data.shrink import shrink


@pytest.mark.parametrize("width, height", [(500, 375), (225, 224), (224, 427), (100, 427), (640, 10), (1, 300)])
@pytest.mark.parametrize("size", [224, 32, 7])
def test_within_one_grey_level_of_pillow(width, height, size):
    rng = np.random.RandomState(0)
    noise = rng.randint(0, 2, (height, width, 3)).astype(np.uint8) * 255
    for image in (load_sample_image("china.jpg")[:height, :width], noise):
        expected = Image.fromarray(image).resize((size, size), Image.BILINEAR)
        found = shrink(image, size, (0, 0, width, height))
        assert found.dtype == np.uint8 and found.shape == (size, size, 3)
        assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


def test_windows_with_fractions():
    image, window = load_sample_image("flower.jpg"), (3.5, 10.25, 517.125, 400.5)
    expected = Image.fromarray(image).resize((160, 160), Image.BILINEAR, box=window)
    assert np.abs(shrink(image, 160, window).astype(int) - np.asarray(expected)).max() <= 1


def test_one_colour_stays_that_colour():
    for level in range(256):
        image = np.full((37, 53, 3), level, np.uint8)
        assert (shrink(image, 32, (0, 0, 53, 37)) == level).all()
