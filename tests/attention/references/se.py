"""SE, and its inverse (arXiv 1709.01507, 2111.05684)."""

from __future__ import annotations

from tests.attention.references import gate_weight, mean, reference, relu
from tests.helpers import conv1x1


@reference("se", dict(reduction=4), dict(round_to=8))
def se(x, p, reduction=16, round_to=None, **how):
    inner = {None: 32 // reduction, 8: 8}[round_to]
    assert p["mlp.0.weight"].shape == (inner, 32, 1, 1)
    return x * gate_weight(conv1x1(relu(conv1x1(mean(x), p, "mlp.0")), p, "mlp.2"), **how)


@reference("inv_se", dict(reduction=8), dict(round_to=8))
def inv_se(x, p, gating="complement", **how):
    return se(x, p, gating=gating, **how)
