"""Pillow's resizing of arrays, without building more of the result than is wanted."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from gluon_attn.errors import unknown

INTERPOLATIONS = {
    "nearest": Image.NEAREST,
    "bilinear": Image.BILINEAR,
    "bicubic": Image.BICUBIC,
    "lanczos": Image.LANCZOS,
}
REACH = {"nearest": 1, "bilinear": 1, "bicubic": 2, "lanczos": 3}  # pixels to either side that the filter looks at
LONG = 16  # a result of more than so many windows is not built whole
BAND = 1 << 22  # pixels that Pillow gets a copy of at once


def interpolation_of(name):
    """Pillow's filter of that name."""
    if name not in INTERPOLATIONS:
        raise unknown("interpolation", name, INTERPOLATIONS)
    return INTERPOLATIONS[name]


def resize_centre(image, resize, size, interpolation):
    """uint8 (H, W, 3) with its shorter side resized to `resize`: of that, the centre `size` x `size`.

    Equal to resizing the whole and cutting then. Where the whole would be very long, the piece that the centre depends
    on is cut first: within one grey level, since Pillow then starts from a place that is no whole pixel.
    """
    height, width = image.shape[:2]
    scale = resize / min(width, height)
    whole, (x, y) = _placed(width, height, resize, size)
    if whole[0] * whole[1] <= LONG * resize * resize:
        resized = image if scale == 1 else _resized(image, whole, interpolation)
        return resized[y : y + size, x : x + size]
    window = [
        part / all * side
        for part, all, side in (
            (x, whole[0], width),
            (y, whole[1], height),
            (x + size, whole[0], width),
            (y + size, whole[1], height),
        )
    ]
    margin = math.ceil(REACH[interpolation] * max(1 / scale, 1)) + 1
    left, top = (max(math.floor(start) - margin, 0) for start in window[:2])
    piece = image[top : math.ceil(window[3]) + margin, left : math.ceil(window[2]) + margin]
    box = (window[0] - left, window[1] - top, window[2] - left, window[3] - top)
    return np.asarray(Image.fromarray(piece).resize((size, size), interpolation_of(interpolation), box=box))


def box_in_centre(box, shape, resize, size):
    """Where a box (x0, y0, x1, y1; the ends excluded) of an image of `shape` lies in what `resize_centre` makes of it.

    In whole pixels, one at least each way; None where the centre holds nothing of it.

    >>> box_in_centre((10, 30, 20, 40), (100, 50, 3), resize=100, size=80)
    (10, 0, 30, 20)
    """
    height, width = shape[:2]
    whole, corner = _placed(width, height, resize, size)
    spans = []
    for start, end, side, now, cut in zip(box[:2], box[2:], (width, height), whole, corner):
        first = min(round(start * now / side), now - 1)
        last = max(round(end * now / side), first + 1)
        spans.append((max(first - cut, 0), min(last - cut, size)))
    (x0, x1), (y0, y1) = spans
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _placed(width, height, resize, size):
    """((width, height) once the shorter side is `resize`, (x, y) of the centre of `size` in that)."""
    scale = resize / min(width, height)
    whole = tuple(max(round(side * scale), resize) for side in (width, height))
    return whole, tuple((side - size) // 2 for side in whole)


def _resized(image, size, interpolation):
    """`image` resized to `size` = (width, height). Pillow does the rows first, then the columns, and so may we."""
    filter, height = interpolation_of(interpolation), image.shape[0]
    rows = max(BAND // image.shape[1], 1)
    if height <= rows:
        return np.asarray(Image.fromarray(image).resize(size, filter))
    narrow = np.empty((height, size[0], 3), np.uint8)
    for y in range(0, height, rows):
        band = image[y : y + rows]
        narrow[y : y + rows] = np.asarray(Image.fromarray(band).resize((size[0], len(band)), filter))
    return np.asarray(Image.fromarray(narrow).resize(size, filter))
