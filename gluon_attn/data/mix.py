"""Mixing of labels and images on the device, without waiting for it.

`targets` are (N, classes) probabilities. Image i is mixed with image N-1-i: a batch that is drawn at random needs
no further permutation (open-aff: one lambda a batch, each device's slice with its own reverse).
"""

from __future__ import annotations

import mxnet as mx
import numpy as np

from gluon_attn.errors import GluonAttnError


def one_hot_smooth(labels, classes, smoothing=0.0):
    """(N,) -> (N, classes): `1 - smoothing + smoothing/classes` at the label, `smoothing/classes` elsewhere.

    Szegedy et al., Rethinking the Inception architecture, arXiv 1512.00567, section 7.
    """
    if not 0 <= smoothing < 1:
        raise GluonAttnError(f"label smoothing must be at least 0 and below 1, not {smoothing}.")
    other = smoothing / classes
    return mx.nd.one_hot(labels, classes, on_value=1 - smoothing + other, off_value=other)


def sample_lambda(alpha, rng):
    """lambda ~ Beta(alpha, alpha); 1 (nothing mixed) for alpha 0."""
    return float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0


def mixup(images, targets, lam):
    """`lam * x + (1 - lam) * reversed(x)`, likewise the targets. Zhang et al., mixup, arXiv 1710.09412."""
    return _blend(images, lam), _blend(targets, lam)


def cutmix(images, targets, box):
    """The rectangle `box` = (x0, y0, x1, y1) of every image from the reversed batch; targets by area.

    Yun et al., CutMix, arXiv 1905.04899. `sample_box` draws the rectangle.
    """
    height, width = images.shape[2:]
    x0, y0, x1, y1 = box
    window = np.zeros((1, 1, height, width), "float32")
    window[:, :, y0:y1, x0:x1] = 1
    inside = mx.nd.array(window, ctx=images.context, dtype=images.dtype)
    mixed = mx.nd.where(mx.nd.broadcast_like(inside, images), mx.nd.flip(images, axis=0), images)
    lam = 1 - (x1 - x0) * (y1 - y0) / (height * width)
    return mixed, _blend(targets, lam)


def sample_box(height, width, lam, rng):
    """A rectangle of area `1 - lam` around a uniform centre, cut at the border: (x0, y0, x1, y1)."""
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
