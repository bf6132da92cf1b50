"""Convolutional Block Attention Module (Woo et al., ECCV 2018, arXiv 1807.06521)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.attention.se import squeezed
from gluon_attn.errors import unknown
from gluon_attn.layers import PlaneConv2D, batch_norm, conv, relu, sequence

_ORDERS = {"max_mean": ("max", "mean"), "mean_max": ("mean", "max")}


class ChannelGate(nn.HybridBlock):
    """x * gating(mlp(gap(x)) + mlp(gmp(x))) with one shared biased MLP, so its last bias counts twice."""

    def __init__(self, channels, reduction=16, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        inner = squeezed(channels, reduction)
        self.mlp = sequence(conv(channels, inner, bias=True), relu(), conv(inner, channels, bias=True))
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        largest, mean = cpu.max_and_mean(F, self, x, axis=(2, 3))
        z = self.mlp(mean) + self.mlp(largest)
        return cpu.broadcast(F, self, "mul", x, self.gating(z))


class SpatialGate(nn.HybridBlock):
    """x * gating(bn(conv7x7([max over channels, mean over channels]))), one weight a position.

    The BatchNorm has PyTorch momentum 0.01 (0.99 here) and starts with gamma 0, as released: the gate begins at
    a constant 0.5. `spatial_bn=False` and `spatial_order='mean_max'` give the form of Learning to ignore.
    """

    def __init__(self, spatial_bn=True, spatial_order="max_mean", kernel=7, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        if spatial_order not in _ORDERS:
            raise unknown("spatial_order", spatial_order, _ORDERS)
        self.order = _ORDERS[spatial_order]
        self.conv = PlaneConv2D(2, kernel)
        self.bn = batch_norm(1, zero_gamma=True, momentum=0.99) if spatial_bn else None
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        planes = dict(zip(("max", "mean"), cpu.max_and_mean(F, self, x, axis=1)))
        z = self.conv(F.concat(*(planes[operation] for operation in self.order), dim=1))
        weight = self.gating(z if self.bn is None else self.bn(z))
        return cpu.broadcast(F, self, "mul", x, weight, over="channels")


class CBAM(nn.HybridBlock):
    """The channel gate, then the spatial gate; both use the same gating function. (N, C, H, W) -> same."""

    def __init__(
        self,
        channels,
        reduction=16,
        spatial_bn=True,
        spatial_order="max_mean",
        kernel=7,
        gating="sigmoid",
        alpha=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channel = ChannelGate(channels, reduction, gating, alpha)
        self.spatial = SpatialGate(spatial_bn, spatial_order, kernel, gating, alpha)

    def hybrid_forward(self, F, x):
        return self.spatial(self.channel(x))
