"""The Global Context block (arXiv 1904.11492)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, relu, softmax
from tests.helpers import conv1x1


def transformed(x, weight, p):
    """x + W2 relu(LN(W1 sum of weight * x))."""
    z = conv1x1((x * weight).sum((2, 3), keepdims=True), p, "reduce")[..., 0, 0]
    z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    z = relu(z * p["norm.gamma"] + p["norm.beta"])
    return x + conv1x1(z[..., None, None], p, "expand")


@reference("gc", dict(reduction=4), kinds=["plane"], redo=lambda x, maps, p: transformed(x, maps[0], p))
def global_context(x, p, reduction=16):
    assert p["reduce.weight"].shape[0] == max(32 // reduction, 4)
    score = conv1x1(x, p, "score")
    return transformed(x, softmax(score.reshape(len(x), -1)).reshape(score.shape), p)
