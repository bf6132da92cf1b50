"""Two tasks made of scikit-learn's real digits, drawn on a canvas by the number of the image.

`clutter`       : one whole digit among fragments of others, with its box: does a network look at the digit?
`digits-canvas` : several digits, with the mask of each: semantic segmentation.

Training and test images come from disjoint digits. Image i is a function of (seed, split, i) alone.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.data.dataset import Dataset
from gluon_attn.data.digits import source_images
from gluon_attn.data.seeding import random_state
from gluon_attn.errors import DataError

COUNTS = {"train": 4000, "test": 1000}
DIGITS = list(DATASETS["digits"].class_names)
INK = 64  # grey level from which a pixel belongs to the digit


class _Canvas(Dataset):
    """Pictures that are drawn when first asked for, then kept."""

    def __init__(self, name, split, count, size, scale, seed):
        refuse_no_count(count=COUNTS[split] if count is None else count, size=size, smallest=scale[0])
        if not scale[0] <= scale[1] <= size:
            raise DataError(f"scale={scale!r} does not fit a canvas of {size}: give (smallest, largest) of the digits.")
        self.name, self.image_size, self.scale, self.seed = name, size, scale, seed
        self.mean, self.std = DATASETS[name].mean, DATASETS[name].std
        self.part = list(COUNTS).index(split)
        images, self.source_labels = source_images(split)
        self.sources = [_trim(image) for image in images]
        self.count = COUNTS[split] if count is None else count
        self._drawn = {}

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"image {index} of {self.count}")
        if index not in self._drawn:
            self._drawn[index] = self.draw(index)
        return self._drawn[index]

    def random(self, index):
        """The random state of one image."""
        return random_state(self.seed, self.part, index, stream="source")

    def digit(self, number, rng):
        """Source `number` enlarged to a random height or width of `scale` pixels, whichever is larger: grey."""
        picture = self.sources[number]
        factor = rng.randint(self.scale[0], self.scale[1] + 1) / max(picture.size)
        size = tuple(max(1, round(side * factor)) for side in picture.size)
        return np.asarray(picture.resize(size, Image.BICUBIC))


class Clutter(_Canvas):
    """One whole digit at a random place and scale among `fragments` pieces of digits of other classes.

    `box(i)` is the digit's bounding box (x0, y0, x1, y1), the ends excluded. No fragment lies in it.
    """

    def __init__(self, split, count=None, size=64, scale=(14, 32), fragments=10, seed=0):
        super().__init__("clutter", split, count, size, scale, seed)
        self.classes, self.fragments = DIGITS, fragments
        # Classes in turn: equally many images of each.
        self.labels = np.arange(self.count, dtype=np.int32) % 10
        self.same = [np.flatnonzero(self.source_labels == label) for label in range(10)]
        self.others = [np.flatnonzero(self.source_labels != label) for label in range(10)]

    def box(self, index):
        """(x0, y0, x1, y1) of the whole digit in image `index`."""
        return self._whole(index, self.random(index))[1]

    def draw(self, index):
        rng = self.random(index)
        digit, (x0, y0, x1, y1) = self._whole(index, rng)
        canvas = np.zeros((self.image_size, self.image_size), np.uint8)
        others = self.others[self.labels[index]]
        for _ in range(self.fragments):
            piece = self._fragment(others[rng.randint(len(others))], rng)
            _brighten(canvas, piece, *_place(canvas, piece, rng))
        canvas[y0:y1, x0:x1] = digit
        return _coloured(canvas), int(self.labels[index])

    def _whole(self, index, rng):
        same = self.same[self.labels[index]]
        digit = self.digit(same[rng.randint(len(same))], rng)
        x, y = (rng.randint(self.image_size - side + 1) for side in digit.shape[::-1])
        return digit, (x, y, x + digit.shape[1], y + digit.shape[0])

    def _fragment(self, number, rng):
        """A window of 40 to 60 % of a digit's height and width."""
        whole = self.digit(number, rng)
        height, width = (max(2, int(side * rng.uniform(0.4, 0.6))) for side in whole.shape)
        y, x = rng.randint(whole.shape[0] - height + 1), rng.randint(whole.shape[1] - width + 1)
        return whole[y : y + height, x : x + width]


class DigitsCanvas(_Canvas):
    """Several digits that do not touch. `ds[i]` is (uint8 (H, W, 3) image, uint8 (H, W) mask).

    The mask is 0 for background and 1 + digit where there is its ink.
    """

    def __init__(self, split, count=None, size=64, scale=(20, 32), digits=(2, 4), seed=0):
        super().__init__("digits-canvas", split, count, size, scale, seed)
        self.classes, self.digits = ["background", *DIGITS], digits

    def draw(self, index):
        rng = self.random(index)
        canvas = np.zeros((self.image_size, self.image_size), np.uint8)
        mask = np.zeros_like(canvas)
        for _ in range(rng.randint(self.digits[0], self.digits[1] + 1)):
            number = rng.randint(len(self.sources))
            digit = self.digit(number, rng)
            x, y = _free_place(canvas, digit, rng)
            if x is None:
                continue
            _brighten(canvas, digit, x, y)
            window = mask[y : y + digit.shape[0], x : x + digit.shape[1]]
            window[digit >= INK] = 1 + self.source_labels[number]
        return _coloured(canvas), mask


def clutter(split, root=None, count=None, size=64, scale=(14, 32), fragments=10, seed=0):
    """One digit among fragments; see `Clutter`."""
    return Clutter(split, count, size, scale, fragments, seed)


def digits_canvas(split, root=None, count=None, size=64, scale=(20, 32), digits=(2, 4), seed=0):
    """Digits with masks; see `DigitsCanvas`."""
    return DigitsCanvas(split, count, size, scale, digits, seed)


def _trim(grey):
    """As a Pillow image, without the empty rows and columns round the digit."""
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    return Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _place(canvas, piece, rng):
    return tuple(rng.randint(whole - side + 1) for whole, side in zip(canvas.shape[::-1], piece.shape[::-1]))


def _free_place(canvas, piece, rng, trials=20):
    """(x, y) where the canvas is still empty under `piece`, or (None, None)."""
    for _ in range(trials):
        x, y = _place(canvas, piece, rng)
        if not canvas[y : y + piece.shape[0], x : x + piece.shape[1]].any():
            return x, y
    return None, None


def _brighten(canvas, piece, x, y):
    window = canvas[y : y + piece.shape[0], x : x + piece.shape[1]]
    np.maximum(window, piece, out=window)


def _coloured(grey):
    return np.repeat(grey[:, :, None], 3, axis=2)
