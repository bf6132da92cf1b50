"""Occlusion sensitivity (Zeiler and Fergus, arXiv 1311.2901): what the network loses when a patch is hidden."""

from __future__ import annotations

from typing import Optional, Sequence, Union

import mxnet as mx
import numpy as np

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain.cam import as_batch, as_target, finish
from gluon_attn.models.network import logits_of
from gluon_attn.models.refused import taking


def occlusion(
    net: mx.gluon.HybridBlock,
    x: mx.nd.NDArray,
    target: Union[int, Sequence[int], None] = None,
    patch: Optional[int] = None,
    stride: Optional[int] = None,
    fill: float = 0.0,
    batch_size: int = 32,
) -> np.ndarray:
    """Maps (N, H, W) in [0, 1]: the mean fall of the target's probability over the patches that cover a place.

    patch, stride : side and step of the hidden square in pixels (default: an eighth of the shorter side, half of it)
    fill : its value; 0 is the mean colour of a normalised image

    Nothing inside the network is used: a check on the maps that do.

    >>> maps = occlusion(net, x[:1], patch=16, stride=16)
    """
    refuse_no_count(batch_size=batch_size)
    x = as_batch(x)
    height, width = x.shape[2:]
    patch = max(min(height, width) // 8, 1) if patch is None else patch
    stride = max(patch // 2, 1) if stride is None else stride
    if not (1 <= patch <= min(height, width) and stride >= 1):
        raise GluonAttnError(f"patch={patch}, stride={stride} do not fit {height}x{width}: take 1 <= patch <= side.")
    # A stride beyond the patch would leave places that nothing covers.
    corners = [(i, j) for i in _starts(height, patch, stride) for j in _starts(width, patch, stride)]
    with taking(x):
        target = as_target(target, logits_of(net, net(x)))
    maps = [_one(net, image, label, corners, patch, fill, batch_size) for image, label in zip(x, target)]
    return finish(np.stack(maps), (height, width))


def _starts(side, patch, stride):
    return sorted({*range(0, side - patch, min(stride, patch)), side - patch})


def _one(net, image, label, corners, patch, fill, batch_size):
    clean = _probability(net, image.expand_dims(0), label)[0]
    pixels = image.asnumpy()
    falls = []
    for start in range(0, len(corners), batch_size):
        part = corners[start : start + batch_size]
        hidden = np.repeat(pixels[None], len(part), axis=0)
        for copy, (i, j) in zip(hidden, part):
            copy[:, i : i + patch, j : j + patch] = fill
        falls.extend(clean - _probability(net, mx.nd.array(hidden, ctx=image.context, dtype=image.dtype), label))
    total, covered = np.zeros(pixels.shape[1:]), np.zeros(pixels.shape[1:])
    for fall, (i, j) in zip(falls, corners):
        total[i : i + patch, j : j + patch] += fall
        covered[i : i + patch, j : j + patch] += 1
    return total / covered


def _probability(net, batch, label):
    return logits_of(net, net(batch)).softmax(axis=1)[:, int(label)].asnumpy()
