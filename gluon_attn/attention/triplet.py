"""Triplet Attention, "Rotate to Attend" (Misra et al., WACV 2021, arXiv 2010.03045)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.layers import PlaneConv2D, batch_norm

ALONG = {1: "channels", 2: "height", 3: "width"}


class AxisWeight(nn.HybridBlock):
    """x -> gating(bn(conv([max, mean] over `axis`))), the two other axes being the sides of what is convolved."""

    def __init__(self, axis, kernel=7, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.conv, self.bn = PlaneConv2D(2, kernel), batch_norm(1, momentum=0.99)
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        z = F.concat(*cpu.max_and_mean(F, self, self._turned(F, x), axis=1), dim=1)
        return self.gating(self._turned(F, self.bn(self.conv(z))))

    def _turned(self, F, z):
        # Not `swapaxes`, which MXNet computes itself: oneDNN's transpose is 20 times as fast.
        return z if self.axis == 1 else F.transpose(z, axes={2: (0, 2, 1, 3), 3: (0, 3, 2, 1)}[self.axis])


class TripletAttention(nn.HybridBlock):
    """The mean of three gates, which pool over the height, the width and the channels; (N, C, H, W) -> same.

    Each turns the axis that it pools over to the front and is CBAM's spatial gate there: [max, mean], one convolution
    (kernel x kernel, 7x7) without a bias, BN, sigmoid; so the first two see channels beside places. Inserted at the end
    of the residual branch. `spatial=False` leaves out the third (the released code's `no_spatial`).

    The BatchNorms have PyTorch momentum 0.01 (0.99 here) and start with gamma 1, as in the released file; the training
    code beside it sets gamma to 0 in the spatial gate alone, where that has its older name.
    """

    def __init__(self, channels, kernel=7, spatial=True, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        how = dict(kernel=kernel, gating=gating, alpha=alpha)
        self.over_height, self.over_width = AxisWeight(2, **how), AxisWeight(3, **how)
        self.over_channels = AxisWeight(1, **how) if spatial else None

    def hybrid_forward(self, F, x):
        first, *others = [gate for gate in (self.over_height, self.over_width, self.over_channels) if gate is not None]
        count = len(others) + 1
        weight = cpu.repeated(F, self, first(x) / count, x, ALONG[first.axis])
        for gate in others:
            weight = cpu.broadcast(F, self, "add", weight, gate(x) / count, ALONG[gate.axis])
        return x * weight
