"""Coordinate Attention (Hou et al., CVPR 2021, arXiv 2103.02907)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.layers import batch_norm, conv, relu6, sequence


class HardSwish(nn.HybridBlock):
    """x relu6(x + 3) / 6."""

    def hybrid_forward(self, F, x):
        return x * (relu6(F, self, x + 3) / 6)


def _line(F, rows):
    """One entry a row, (1, 1, H, 1): how many there are, a graph of symbols does not know otherwise."""
    return F.slice_axis(F.slice_axis(rows, axis=0, begin=0, end=1), axis=1, begin=0, end=1)


class CoordAtt(nn.HybridBlock):
    """x * gating(W_h f) * gating(W_w f), one weight a channel and row, one a channel and column; (N, C, H, W) -> same.

    f = hswish(bn(W [mean over the width; mean over the height])), both laid end to end, (N, inner, H + W, 1), so that W
    and the BatchNorm are shared; its first H entries give the weights of the rows, its last W those of the columns.
    inner = max(minimum, C // reduction); all 1x1 convolutions with biases.

    Here at the end of the residual branch. The paper's equation calls the activation a non-linearity and its figure
    adds the BatchNorm; the hard swish, the minimum of 8 and the biases are the released code's, which is made for the
    blocks of mobile networks.
    """

    def __init__(self, channels, reduction=32, minimum=8, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        inner = max(minimum, channels // reduction)
        self.shared = sequence(conv(channels, inner, bias=True), batch_norm(inner), HardSwish())
        self.rows, self.columns = conv(inner, channels, bias=True), conv(inner, channels, bias=True)
        self.row_gating, self.column_gating = Gating(gating, alpha), Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        rows = cpu.reduced(F, self, "mean", x, axis=3)  # (N, C, H, 1)
        columns = F.reshape(cpu.reduced(F, self, "mean", x, axis=2), (0, 0, -1, 1))  # (N, C, W, 1)
        f = self.shared(F.concat(rows, columns, dim=2))
        height = F.sum(F.ones_like(_line(F, rows)))
        first = F.take(f, F.contrib.arange_like(rows, axis=2), axis=2)
        last = F.take(f, F.broadcast_add(F.contrib.arange_like(columns, axis=2), height), axis=2)
        x = cpu.broadcast(F, self, "mul", x, self.row_gating(self.rows(first)), over="width")
        weight = self.column_gating(F.reshape(self.columns(last), (0, 0, 1, -1)))
        return cpu.broadcast(F, self, "mul", x, weight, over="height")
