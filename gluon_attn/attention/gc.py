"""Global Context block of GCNet (Cao et al., ICCV Workshops 2019, arXiv 1904.11492)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.attention.positions import attend, flat
from gluon_attn.layers import conv

MINIMUM = 4  # LayerNorm makes of one or two values what they do not depend on, so that no gradient passes


class GlobalContext(nn.HybridBlock):
    """x + W2 relu(LN(W1 sum_j a_j x_j)), a = softmax over the positions of w . x; (N, C, H, W) -> same.

    The same sum for all positions: a non-local block without its query, at the cost of SE. Inserted at the end of the
    residual branch, after its last BatchNorm. W1 (C -> C / reduction, at least 4), W2 (back) and w (C -> 1) have
    biases; LN is over the channels. As in the released code W2 and its bias start at 0, so the block starts as the
    identity. The authors publish models with reduction 16 and 4.
    """

    def __init__(self, channels, reduction=16, **kwargs):
        super().__init__(**kwargs)
        inner = max(channels // reduction, MINIMUM)
        self.score, self.reduce = conv(channels, 1, bias=True), conv(channels, inner, bias=True)
        self.norm = nn.LayerNorm(in_channels=inner)
        self.expand = nn.Conv2D(channels, 1, in_channels=inner, weight_initializer="zeros")

    def hybrid_forward(self, F, x):
        weight = F.softmax(flat(F, self.score(x)), axis=-1)  # (N, 1, positions)
        context = attend(F, weight, flat(F, x))  # (N, C, 1)
        announce(self, F.reshape_like(weight, F.slice_axis(x, axis=1, begin=0, end=1)))
        z = self.norm(F.flatten(self.reduce(F.expand_dims(context, axis=3))))
        z = self.expand(F.reshape(F.Activation(z, act_type="relu"), (0, -1, 1, 1)))
        return cpu.broadcast(F, self, "add", x, z)
