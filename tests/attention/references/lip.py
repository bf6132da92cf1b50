"""Local importance-based pooling (arXiv 1908.04156): the bottleneck that halves the map, in inference."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, relu
from tests.helpers import batch_norm, conv1x1, conv2d, sigmoid


def instance_norm(x, p, path, eps=1e-5):
    centre, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    gamma, beta = (p[f"{path}.{key}"].reshape(1, -1, 1, 1) for key in ("gamma", "beta"))
    return (x - centre) / np.sqrt(var + eps) * gamma + beta


def importance_pool(x, logits):
    """Direct: weighted mean of every 3x3 window, positions outside the map left out."""
    n, c, h, w = x.shape
    y = np.zeros((n, c, (h + 1) // 2, (w + 1) // 2))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            window = np.s_[:, :, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            e = np.exp(logits[window])
            y[:, :, i, j] = (x[window] * e).sum((2, 3)) / e.sum((2, 3))
    return y


@reference("lip", space=(6, 6))
def lip_block(x, p):
    s = relu(instance_norm(conv1x1(x, p, "logits.0"), p, "logits.1"))
    s = relu(instance_norm(conv2d(s, p["logits.3.weight"], padding=1), p, "logits.4"))

    def pool(x, path):
        return importance_pool(x, 12 * sigmoid(instance_norm(conv1x1(s, p, f"{path}.logits.0"), p, f"{path}.logits.1")))

    y = pool(relu(batch_norm(conv1x1(x, p, "reduce.0"), p, "reduce.1")), "pool")
    y = relu(batch_norm(conv1x1(y, p, "body.0"), p, "body.1"))
    y = batch_norm(conv1x1(y, p, "body.3"), p, "body.4")
    around = batch_norm(conv1x1(pool(x, "shortcut_pool"), p, "shortcut.0"), p, "shortcut.1")
    return relu(y + around)
