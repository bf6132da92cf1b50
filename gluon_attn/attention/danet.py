"""Dual Attention Network (Fu et al., CVPR 2019, arXiv 1809.02983): position and channel attention."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.attention.announce import announce
from gluon_attn.attention.positions import attend, flat, unflat
from gluon_attn.attention.se import squeezed
from gluon_attn.cpu import trains_on_cpu
from gluon_attn.errors import unknown
from gluon_attn.layers import batch_norm, conv, relu, sequence

CHANNEL_FORMS = ("max_minus", "paper")


class _Scaled(nn.HybridBlock):
    """scale * y + x with one learned number that starts at 0: the block starts as the identity.

    The paper calls the number gamma; here it is not named so, since training leaves weight decay off every gamma.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.params.get("scale", shape=(1,), init="zeros")

    def scaled(self, F, y, x, scale):
        if not trains_on_cpu(self):
            return x + F.broadcast_mul(y, F.reshape(scale, (1, 1, 1, 1)))
        return x + F.reshape_like(F.dot(F.reshape(y, (-1, 1)), F.reshape(scale, (1, 1))), x)


class PositionAttention(_Scaled):
    """scale * V A^T + x, A = softmax over the keys of Q^T K; (N, C, H, W) -> same.

    Q, K: 1x1, C -> C / reduction; V: 1x1, C -> C; all with biases. No scaling by the width, no BatchNorm.
    """

    def __init__(self, channels, reduction=8, **kwargs):
        super().__init__(**kwargs)
        inner = squeezed(channels, reduction)
        self.query, self.key = conv(channels, inner, bias=True), conv(channels, inner, bias=True)
        self.value = conv(channels, channels, bias=True)

    def hybrid_forward(self, F, x, scale):
        query, key, value = (flat(F, block(x)) for block in (self.query, self.key, self.value))
        weights = F.softmax(F.batch_dot(query, key, transpose_a=True), axis=-1)
        y = attend(F, announce(self, weights, "positions"), value)
        return self.scaled(F, unflat(F, y, x), x, scale)


class ChannelAttention(_Scaled):
    """scale * A X + x, A = softmax(E') over rows, E = X X^T (C x C); no convolution; (N, C, H, W) -> same.

    channel_form : 'max_minus', E' = max of the row - E, as in the released code: the least similar channels weigh most
        (the authors: it prevents divergence, and the stable form performed worse); 'paper', E' = E.
    """

    def __init__(self, channels, channel_form="max_minus", **kwargs):
        super().__init__(**kwargs)
        if channel_form not in CHANNEL_FORMS:
            raise unknown("channel_form", channel_form, CHANNEL_FORMS)
        self.channel_form = channel_form

    def hybrid_forward(self, F, x, scale):
        rows = flat(F, x)
        energy = F.batch_dot(rows, rows, transpose_b=True)
        if self.channel_form == "max_minus":
            energy = F.broadcast_sub(F.max(energy, axis=-1, keepdims=True), energy)
        y = F.batch_dot(announce(self, F.softmax(energy, axis=-1), "channels"), rows)
        return self.scaled(F, unflat(F, y, x), x, scale)


class DualAttention(nn.HybridBlock):
    """(N, C, H, W) -> (position features, channel features), each (N, inner, H, W).

    Two branches, each 3x3 (C -> inner), BN, ReLU; the attention; 3x3, BN, ReLU. The network uses their sum.
    """

    def __init__(self, channels, inner, reduction=8, channel_form="max_minus", **kwargs):
        super().__init__(**kwargs)

        def branch(attention):
            before, after = conv(channels, inner, 3), conv(inner, inner, 3)
            return sequence(before, batch_norm(inner), relu(), attention, after, batch_norm(inner), relu())

        self.position = branch(PositionAttention(inner, reduction))
        self.channel = branch(ChannelAttention(inner, channel_form))

    def hybrid_forward(self, F, x):
        return self.position(x), self.channel(x)
