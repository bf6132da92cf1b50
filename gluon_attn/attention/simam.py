"""SimAM (Yang et al., ICML 2021, proceedings.mlr.press/v139/yang21o)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GlobalAvgPool


class SimAM(nn.HybridBlock):
    """x * gating(1/e), one weight a channel and position, without any parameter; (N, C, H, W) -> same.

    1/e = (x - mu)^2 / (4 (v + lambda)) + 1/2, with mu the mean and v the variance of a channel over its map: the
    inverse of the least energy of a unit that is told from all others of its channel. lambda = `energy_lambda`.

    Here at the end of the residual branch. The paper divides v by H W, its released code by H W - 1 (as here; a map of
    one place has v = 0 instead of 0 / 0), and its ResNets have the gate between the last 3x3 convolution and its
    BatchNorm, with lambda 1e-4 on CIFAR and 0.1 in the published ImageNet runs.
    """

    def __init__(self, channels, energy_lambda=1e-4, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        if energy_lambda <= 0:
            raise GluonAttnError(
                f"SimAM's energy_lambda={energy_lambda} is not positive: a constant channel would be divided by 0. "
                "Take 1e-4."
            )
        self.energy_lambda, self.pool = energy_lambda, GlobalAvgPool()
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        square = F.square(cpu.broadcast(F, self, "sub", x, self.pool(x)))
        places = F.sum(F.ones_like(F.slice_axis(x, axis=1, begin=0, end=1)), axis=(2, 3), keepdims=True)
        # The sum over H W - 1 from the mean over H W.
        variance = F.broadcast_mul(self.pool(square), places / F.maximum(places - 1, 1))
        energy = cpu.broadcast(F, self, "mul", square, 0.25 / (variance + self.energy_lambda)) + 0.5
        return x * self.gating(energy)
