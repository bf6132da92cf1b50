"""scikit-learn's real handwritten digits (UCI, 8x8, 1,797 images), enlarged to 32x32 RGB."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.dataset import ArrayDataset, stratified_indices

FACTS = DATASETS["digits"]
SIZE = FACTS.image_size
TEST_PER_CLASS = 40  # 400 test images and 1,397 training images


def digits(split, root=None):
    """The embedded digits."""
    images, labels = _enlarged(split)
    return ArrayDataset("digits", images.copy(), labels.copy(), FACTS.class_names, FACTS.mean, FACTS.std)


@functools.lru_cache(maxsize=None)
def _enlarged(split):
    """Half a second's work, and 4 MB, which are asked for many times."""
    images, labels = source_images(split)
    return np.stack([_enlarge(image) for image in images]), labels


def source_images(split):
    """(grey uint8 (N, 8, 8), labels) of one split; the two splits share no image."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    train, test = stratified_indices(bunch.target, TEST_PER_CLASS)
    chosen = train if split == "train" else test
    return grey[chosen], bunch.target[chosen].astype(np.int32)


def _enlarge(grey):
    return np.asarray(Image.fromarray(grey).resize((SIZE, SIZE), Image.BICUBIC).convert("RGB"))
