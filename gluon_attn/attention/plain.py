"""What stands in the slots of a plain network."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.layers import conv


class Identity(nn.HybridBlock):
    """x -> x: the gate of a plain network."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        return x


class Add(nn.HybridBlock):
    """x + shortcut: the fusion of a plain network."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x, y):
        return x + y


def plain_conv(channels, stride=1, groups=1, dilation=1):
    """The 3x3 convolution of a plain bottleneck."""
    return conv(channels, channels, 3, stride, groups, dilation=dilation)
