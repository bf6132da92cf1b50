"""Pillow's antialiased bilinear resizing as two sparse matrix products, in half its time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gluon_attn.data._cv2 import cv2


def shrink(image, size, window):
    """The window (x0, y0, x1, y1), fractions allowed, of uint8 (H, W, 3) as uint8 (size, size, 3).

    Rows @ image @ columns^T, each matrix the triangle filter of that direction. Within one grey level of Pillow, which
    also rounds between the two directions: weights are positive and sum to 1, so half a level stays half a level.
    """
    height, width = image.shape[:2]
    rows = _triangles(height, size, window[1], window[3])
    columns = _triangles(width, size, window[0], window[2])
    image = rows @ image.astype(np.float32).reshape(height, -1)
    # A sparse product runs over the first axis: what is behind it stays in one piece, which is what makes it fast.
    image = cv2.transpose(image.reshape(size, width, 3))
    image = columns @ image.reshape(width, -1)
    return cv2.transpose(cv2.convertScaleAbs(image.reshape(size, size, 3)))


@lru_cache(maxsize=1024)
def _triangles(count, size, start, stop):
    """Sparse (size, count): row i weighs the pixels around the centre of output pixel i, between start and stop."""
    from scipy.sparse import csr_matrix

    scale = (stop - start) / size
    reach = max(scale, 1.0)
    centres = start + (np.arange(size) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(int), 0)
    last = np.minimum((centres + reach + 0.5).astype(int), count)
    taps = first[:, None] + np.arange((last - first).max())
    weights = np.maximum(1 - np.abs(taps + 0.5 - centres[:, None]) / reach, 0) * (taps < last[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights > 0
    ends = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return csr_matrix((weights[used].astype(np.float32), taps[used], ends), shape=(size, count))
