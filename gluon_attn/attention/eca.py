"""Efficient Channel Attention (Wang et al., CVPR 2020, arXiv 1910.03151)."""

from __future__ import annotations

import math

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.gating import Gating
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GlobalAvgPool


def kernel_for(channels: int) -> int:
    """The paper's odd kernel, t = int(|log2(C) + 1| / 2), t or t + 1 whichever is odd, at least 3 (as in timm).

    >>> [kernel_for(channels) for channels in (64, 128, 256, 512)]
    [3, 5, 5, 5]
    """
    t = int(abs(math.log2(channels) + 1) / 2)
    return max(t if t % 2 else t + 1, 3)


class ECA(nn.HybridBlock):
    """x * gating(conv1d over the channel axis of gap(x)), no bias, no reduction; (N, C, H, W) -> same.

    The kernel follows the formula above; the authors' released models use 3, 5, 5, 7 by stage in ResNet-50 and
    3, 3, 5, 7 in ResNet-101, which `kernel=` gives.
    """

    def __init__(self, channels, kernel=None, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        kernel = kernel_for(channels) if kernel is None else kernel
        if kernel % 2 == 0:
            raise GluonAttnError(f"ECA's kernel={kernel} is even: take an odd one, so that the channels stay aligned.")
        self.pool = GlobalAvgPool()
        self.conv = nn.Conv1D(1, kernel, padding=kernel // 2, use_bias=False, in_channels=1)
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        z = self.conv(F.reshape(self.pool(x), (0, 1, -1)))  # (N, 1, C): the channels are the sequence
        return cpu.broadcast(F, self, "mul", x, self.gating(F.reshape(z, (0, -1, 1, 1))))
