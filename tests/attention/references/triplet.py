"""Triplet Attention (arXiv 2010.03045): every branch in turned copies of the input, as the paper draws it."""

from __future__ import annotations

import numpy as np

from tests.attention.references import gate_weight, reference
from tests.helpers import batch_norm, conv2d

TURNS = {"over_height": (0, 2, 1, 3), "over_width": (0, 3, 2, 1), "over_channels": (0, 1, 2, 3)}


@reference(
    "triplet",
    dict(kernel=3),
    dict(spatial=False),
    kinds=["columns", "rows", "plane"],
    redo=lambda x, maps, p: x * sum(maps) / len(maps),
)
def triplet(x, p, kernel=7, spatial=True, **how):
    parts = []
    for name in list(TURNS) if spatial else list(TURNS)[:2]:
        turned = x.transpose(TURNS[name])
        planes = np.stack([turned.max(1), turned.mean(1)], 1)
        z = batch_norm(conv2d(planes, p[f"{name}.conv.weight"], padding=kernel // 2), p, f"{name}.bn")
        parts.append((turned * gate_weight(z, **how)).transpose(TURNS[name]))
    assert ("over_channels.bn.gamma" in p) == spatial
    return sum(parts) / len(parts)
