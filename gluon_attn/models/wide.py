"""Wide ResNet (Zagoruyko and Komodakis, BMVC 2016, arXiv 1605.07146): its block and stem for the ResNet family."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.models.blocks import Block, in_slot


def bare_stem(in_channels, width):
    """3x3 at full size; BN and ReLU are the first block's."""
    return width, sequence(conv(in_channels, width, 3, of="picture"))


def wide_body(in_channels, width, stride, dropout=0.0):
    """3x3, BN, ReLU, dropout, 3x3; the first BN and ReLU are the block's."""
    middle = [batch_norm(width), relu(), nn.Dropout(dropout)]  # always there: it has a place in parameter names
    return width, [conv(in_channels, width, 3, stride), *middle, conv(width, width, 3)]


class WideBlock(nn.HybridBlock):
    """z = relu(bn(x)); fuse(gate(body(z)), shortcut), and nothing follows the sum.

    The shortcut is x; where the shape changes it is a 1x1 convolution of z, not of x.
    """

    def __init__(self, in_channels, body, shortcut, gate, fuse, **kwargs):
        super().__init__(**kwargs)
        self.norm = sequence(batch_norm(in_channels), relu())
        self.body, self.shortcut, self.gate, self.fuse = body, shortcut, gate, fuse

    def hybrid_forward(self, F, x):
        z = self.norm(x)
        around = x if self.shortcut is None else self.shortcut(z)
        return in_slot(F, self.fuse, in_slot(F, self.gate, self.body(z)), around)


def _unit(in_channels, channels, stride, layers, shortcut, gate, fuse, zero_gamma):
    return WideBlock(in_channels, sequence(*layers), shortcut, gate, fuse)


WIDE = Block(wide_body, _unit, pre_activated=True, dilatable=False)
