"""Attention-augmented convolution (arXiv 1904.09925)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, softmax
from tests.attention.references.lip import importance_pool
from tests.attention.references.sk import grouped
from tests.helpers import conv1x1

SMALL = dict(map_size=4, heads=2, upsilon=0.25)
FORMS = [SMALL, dict(SMALL, stride=2, map_size=2), dict(SMALL, kappa=3.0), dict(SMALL, heads=1), dict(SMALL, reduce=2)]
FORMS.append(dict(SMALL, groups=4, dilation=2))


def by_position(x, p, size, heads, widths):
    """Attention, position by position and head by head, (N, values, size, size)."""
    y = conv1x1(x, p, "qkv").reshape(len(x), -1, size * size)
    query, key, value = np.split(y, np.cumsum(widths)[:2], 1)
    out = np.zeros((len(x), widths[2], size * size))
    d, dv = widths[0] // heads, widths[2] // heads
    for h in range(heads):
        q, k, v = (z[:, h * w : (h + 1) * w] for z, w in ((query, d), (key, d), (value, dv)))
        for i in range(size * size):
            relative = [
                p["relative_height"][j // size - i // size + size - 1]
                + p["relative_width"][j % size - i % size + size - 1]
                for j in range(size * size)
            ]
            logits = np.einsum("nd,ndj->nj", q[:, :, i], k + np.array(relative).T) * d**-0.5
            out[:, h * dv : (h + 1) * dv, i] = np.einsum("nj,ncj->nc", softmax(logits), v)
    return conv1x1(out.reshape(len(x), -1, size, size), p, "out")


def enlarged(x, size):
    """Bilinear, corners on corners."""
    at = np.linspace(0, x.shape[2] - 1, size)
    low = np.minimum(at.astype(int), x.shape[2] - 2) if x.shape[2] > 1 else np.zeros(size, int)
    part, high = at - low, np.minimum(low + 1, x.shape[2] - 1)
    rows = x[:, :, low] * (1 - part)[:, None] + x[:, :, high] * part[:, None]
    return rows[..., low] * (1 - part) + rows[..., high] * part


@reference("aa", *FORMS, bare=False, channels=16, space=(4, 4))
def augmented(x, p, stride=1, map_size=4, heads=8, kappa=0.2, upsilon=0.1, reduce=1, groups=1, dilation=1):
    how = dict(padding=dilation, stride=stride, dilation=dilation)
    values = max(round(upsilon * 16 / heads), 1) * heads
    keys = heads * max(int(kappa * 16) // heads, 20)
    step, size = stride * reduce, -(-map_size // reduce)
    pooled = importance_pool(x, np.zeros_like(x)) if step == 2 else x
    y = by_position(pooled, p, size, heads, (keys, keys, values))
    y = enlarged(y, map_size) if reduce > 1 else y
    return np.concatenate([grouped(x, p["conv.weight"], groups, **how), y], 1)
