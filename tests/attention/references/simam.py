"""SimAM (ICML 2021)."""

from __future__ import annotations

from tests.attention.references import gate_weight, mean, reference


@reference("simam", dict(energy_lambda=0.1), kinds=["full"])
def simam(x, p, energy_lambda=1e-4, **how):
    assert not p
    square = (x - mean(x)) ** 2
    variance = square.sum((2, 3), keepdims=True) / (x.shape[2] * x.shape[3] - 1)
    return x * gate_weight(square / (4 * (variance + energy_lambda)) + 0.5, **how)
