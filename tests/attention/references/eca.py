"""ECA (arXiv 1910.03151)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import gate_weight, reference


@reference("eca", dict(kernel=5))
def eca(x, p, kernel=3, **how):
    w = p["conv.weight"][0, 0]
    assert len(w) == kernel
    z = np.pad(x.mean((2, 3)), ((0, 0), (kernel // 2, kernel // 2)))
    z = sum(w[k] * z[:, k : k + x.shape[1]] for k in range(kernel))
    return x * gate_weight(z[:, :, None, None], **how)
