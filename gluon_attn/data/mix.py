"""Mixing of labels and images on the device, without waiting for it.

`targets` are (N, classes) probabilities. Image i is mixed with image N-1-i: a batch that is drawn at random needs
no further permutation (open-aff: one lambda a batch, each device's slice with its own reverse).
"""

from __future__ import annotations

from typing import Tuple

import mxnet as mx
import numpy as np

from gluon_attn.errors import GluonAttnError


def one_hot_smooth(labels: mx.nd.NDArray, classes: int, smoothing: float = 0.0) -> mx.nd.NDArray:
    """(N,) -> (N, classes): `1 - smoothing + smoothing/classes` at the label, `smoothing/classes` elsewhere.

    Szegedy et al., Rethinking the Inception architecture, arXiv 1512.00567, section 7.

    >>> one_hot_smooth(mx.nd.array([1]), 4, smoothing=0.2).asnumpy().round(2)
    array([[0.05, 0.85, 0.05, 0.05]], dtype=float32)
    """
    if not 0 <= smoothing < 1:
        raise GluonAttnError(f"label smoothing must be at least 0 and below 1, not {smoothing}.")
    other = smoothing / classes
    return mx.nd.one_hot(labels, classes, on_value=1 - smoothing + other, off_value=other)


def sample_lambda(alpha: float, rng: np.random.RandomState) -> float:
    """lambda ~ Beta(alpha, alpha); 1 (nothing mixed) for alpha 0.

    >>> sample_lambda(0.0, random_state(0))
    1.0
    """
    return float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0


def mixup(images: mx.nd.NDArray, targets: mx.nd.NDArray, lam: float) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
    """`lam * x + (1 - lam) * reversed(x)`, likewise the targets. Zhang et al., mixup, arXiv 1710.09412.

    >>> images, targets = mixup(x, one_hot_smooth(mx.nd.array([1, 2]), 4), lam=0.75)
    >>> targets[0].asnumpy()
    array([0.  , 0.75, 0.25, 0.  ], dtype=float32)
    """
    return _blend(images, lam), _blend(targets, lam)


def cutmix(
    images: mx.nd.NDArray, targets: mx.nd.NDArray, box: Tuple[int, int, int, int]
) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
    """The rectangle `box` = (x0, y0, x1, y1) of every image from the reversed batch; targets by area.

    Yun et al., CutMix, arXiv 1905.04899. `sample_box` draws the rectangle.

    >>> images, targets = cutmix(x, one_hot_smooth(mx.nd.array([1, 2]), 4), box=(0, 0, 16, 16))
    >>> targets[0].asnumpy()
    array([0.  , 0.75, 0.25, 0.  ], dtype=float32)
    """
    height, width = images.shape[2:]
    x0, y0, x1, y1 = box
    window = np.zeros((1, 1, height, width), "float32")
    window[:, :, y0:y1, x0:x1] = 1
    inside = mx.nd.array(window, ctx=images.context, dtype=images.dtype)
    mixed = mx.nd.where(mx.nd.broadcast_like(inside, images), mx.nd.flip(images, axis=0), images)
    lam = 1 - (x1 - x0) * (y1 - y0) / (height * width)
    return mixed, _blend(targets, lam)


def sample_box(height: int, width: int, lam: float, rng: np.random.RandomState) -> Tuple[int, int, int, int]:
    """A rectangle of area `1 - lam` around a uniform centre, cut at the border: (x0, y0, x1, y1).

    >>> x0, y0, x1, y1 = sample_box(32, 32, 0.75, random_state(0))
    >>> 0 <= x0 < x1 <= 32
    True
    """
    side = np.sqrt(1 - lam)
    half_w, half_h = int(width * side) // 2, int(height * side) // 2
    x, y = rng.randint(width), rng.randint(height)
    return (
        max(x - half_w, 0),
        max(y - half_h, 0),
        min(x + half_w, width),
        min(y + half_h, height),
    )


def _blend(array, lam):
    return lam * array + (1 - lam) * mx.nd.flip(array, axis=0)
