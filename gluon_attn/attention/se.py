"""Squeeze-and-Excitation (Hu et al., CVPR 2018, arXiv 1709.01507)."""

from __future__ import annotations

from typing import Optional

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.layers import GlobalAvgPool, conv, relu, sequence


def squeezed(channels: int, reduction: int, round_to: Optional[int] = None) -> int:
    """The inner width of a channel bottleneck: channels // reduction, or that rounded to a multiple (timm: 8).

    >>> squeezed(64, 16), squeezed(72, 16, round_to=8)
    (4, 8)
    """
    if round_to is None:
        return max(channels // reduction, 1)
    width = max(round_to, int(channels / reduction + round_to / 2) // round_to * round_to)
    return width + round_to if width < 0.9 * channels / reduction else width


class SE(nn.HybridBlock):
    """x * gating(W2 relu(W1 gap(x) + b1) + b2), one weight a channel; (N, C, H, W) -> same.

    Inserted at the end of the residual branch, after its last BatchNorm. Reduction 16 and biases as in the authors'
    models; imgclsmob's files have the same form, timm's round the inner width to a multiple of 8 (`round_to=8`), and
    Learning to ignore uses reduction 8.
    """

    def __init__(self, channels, reduction=16, round_to=None, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        inner = squeezed(channels, reduction, round_to)
        self.pool = GlobalAvgPool()
        self.mlp = sequence(conv(channels, inner, bias=True), relu(), conv(inner, channels, bias=True))
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        return cpu.broadcast(F, self, "mul", x, self.gating(self.mlp(self.pool(x))))
