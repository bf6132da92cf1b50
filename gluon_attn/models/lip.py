"""Where local importance-based pooling stands in a ResNet: in place of every strided layer but the first."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.attention.lip import LogitPool, SimplifiedLIP, shared_logits
from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.models.blocks import Block, bottleneck_body, in_slot, residual


def lip_stem(in_channels, width):
    """7x7/2, BN, ReLU, importance pool."""
    return width, sequence(
        conv(in_channels, width, 7, 2, of="picture"), batch_norm(width), relu(), SimplifiedLIP(width)
    )


class LIPBlock(nn.HybridBlock):
    """The bottleneck that halves the map: relu(fuse(gate(body), shortcut)).

    The strided 3x3 is a pool with learned importance and a 1x1; the strided shortcut is another such pool and its 1x1.
    Both pools take their logits from one small network of x (`logits`).
    """

    def __init__(self, in_channels, channels, gate, fuse, zero_gamma=False, **kwargs):
        super().__init__(**kwargs)
        width = channels // 4
        self.logits = shared_logits(in_channels)
        self.reduce = sequence(conv(in_channels, width), batch_norm(width), relu())
        self.pool, self.shortcut_pool = LogitPool(width), LogitPool(in_channels)
        self.body = sequence(
            conv(width, width),
            batch_norm(width),
            relu(),
            conv(width, channels),
            batch_norm(channels, zero_gamma),
        )
        self.shortcut = sequence(conv(in_channels, channels), batch_norm(channels))
        self.gate, self.fuse = gate, fuse

    def hybrid_forward(self, F, x):
        logits = self.logits(x)
        y = self.body(self.pool(self.reduce(x), logits))
        around = self.shortcut(self.shortcut_pool(x, logits))
        return F.Activation(in_slot(F, self.fuse, in_slot(F, self.gate, y), around), act_type="relu")


def _unit(in_channels, channels, stride, layers, shortcut, gate, fuse, zero_gamma):
    if stride > 1:
        return LIPBlock(in_channels, channels, gate, fuse, zero_gamma)
    return residual(in_channels, channels, stride, layers, shortcut, gate, fuse, zero_gamma)


LIP = Block(bottleneck_body, _unit, bottleneck=True)
