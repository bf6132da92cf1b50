"""Coordinate Attention (arXiv 2103.02907)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import gate_weight, reference
from tests.helpers import batch_norm, conv1x1


@reference("coordatt", dict(reduction=2), dict(minimum=4), kinds=["rows", "columns"])
def coordinate_attention(x, p, reduction=32, minimum=8, **how):
    height = x.shape[2]
    ends = np.concatenate([x.mean(3), x.mean(2)], 2)[..., None]
    z = batch_norm(conv1x1(ends, p, "shared.0"), p, "shared.1")
    assert z.shape[1] == max(minimum, 32 // reduction)
    f = z * np.clip(z + 3, 0, 6) / 6
    rows = gate_weight(conv1x1(f[:, :, :height], p, "rows"), **how)
    columns = gate_weight(conv1x1(f[:, :, height:], p, "columns"), **how)
    return x * rows * columns.transpose(0, 1, 3, 2)
