"""A network that provably looks at one corner only."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn.models.network import Network


class CornerNet(Network):
    """Logits (s, -s) with s the sum over the top left `corner` x `corner` pixels of a `size` x `size` image."""

    def __init__(self, size, corner):
        super().__init__()
        self.stem = nn.Conv2D(1, 1, use_bias=False, in_channels=3)
        self.stages = nn.HybridSequential()
        self.stages.add(Corner(corner))
        self.head = nn.Dense(2, in_units=size * size, use_bias=False)
        self.initialize(mx.init.One())
        self.head.weight.set_data(mx.nd.array([[0.01] * size**2, [-0.01] * size**2]))


class Corner(nn.HybridBlock):
    """x inside the corner, 0 elsewhere."""

    def __init__(self, corner):
        super().__init__()
        self.corner = corner

    def hybrid_forward(self, F, x):
        for axis in (2, 3):
            inside = F.broadcast_lesser(F.contrib.arange_like(x, axis=axis), F.full((1,), self.corner))
            x = F.broadcast_mul(x, F.reshape(inside, (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)))
        return x
