"""Bottleneck Attention Module (Park et al., BMVC 2018, arXiv 1807.06514)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.attention.se import squeezed
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence


class BAM(nn.HybridBlock):
    """x (1 + gating(channel(x) * spatial(x))), after a stage and so before the next; (N, C, H, W) -> same.

    channel: GAP, C -> C/r, BN, ReLU, C/r -> C. spatial: 1x1 (C -> C/r), two 3x3 with dilation 4, each BN and ReLU, then
    1x1 to one plane. All with biases, r = 16. The paper adds the branches; the authors' code, and so the published
    weights, multiply them.
    """

    def __init__(self, channels, reduction=16, dilation=4, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        inner = squeezed(channels, reduction)
        self.channel = sequence(
            GlobalAvgPool(),
            conv(channels, inner, bias=True),
            batch_norm(inner),
            relu(),
            conv(inner, channels, bias=True),
        )
        spatial = [conv(channels, inner, bias=True), batch_norm(inner), relu()]
        for _ in range(2):
            spatial += [conv(inner, inner, 3, bias=True, dilation=dilation), batch_norm(inner), relu()]
        self.spatial = sequence(*spatial, conv(inner, 1, bias=True))
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        weight = self.gating(self._outer(F, self.channel(x), self.spatial(x)))
        return x + x * weight

    def _outer(self, F, channel, spatial):
        """Their product (N, C, H, W): where it is trained on a CPU a matrix product, whose gradient is one, too."""
        if cpu.plain(self):
            return F.broadcast_mul(channel, spatial)
        rows = cpu.product(F, F.reshape(channel, (0, 0, -1)), F.reshape(spatial, (0, 0, -1)))
        return F.reshape_like(rows, spatial, lhs_begin=2, lhs_end=3, rhs_begin=2, rhs_end=4)
