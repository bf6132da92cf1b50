"""Selective Kernel networks (Li et al., CVPR 2019, arXiv 1903.06586)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence


class SelectiveKernel(nn.HybridBlock):
    """sum_m a_m * branch_m(x), with a softmax over the branches for every channel; in place of a block's 3x3.

    branch_m = 3x3 with dilation m (so 3x3 and 5x5 fields), BN, ReLU; s = gap(sum of the branches);
    z = relu(bn(W s)) of width max(C / 16, 32); a = softmax over m of the rows of V z. No biases, as in the authors'
    prototxt files, and the next convolution follows without another BN: the branches have theirs (`normalised`).
    """

    normalised = True

    def __init__(self, channels, stride=1, groups=1, dilation=1, branches=2, reduction=16, minimum=32, **kwargs):
        super().__init__(**kwargs)
        inner = max(channels // reduction, minimum)
        self.branches = nn.HybridSequential()
        for m in range(1, branches + 1):
            kernel = conv(channels, channels, 3, stride, groups, dilation=m * dilation)
            self.branches.add(sequence(kernel, batch_norm(channels), relu()))
        self.select = sequence(
            GlobalAvgPool(), conv(channels, inner), batch_norm(inner), relu(), conv(inner, branches * channels)
        )

    def hybrid_forward(self, F, x):
        outputs = [branch(x) for branch in self.branches]
        logits = F.reshape(self.select(sum(outputs)), (0, len(outputs), -1, 1, 1))  # (N, M, C, 1, 1)
        weights = announce(self, F.softmax(logits, axis=1), "branches")
        each = (F.slice_axis(weights, axis=1, begin=m, end=m + 1) for m in range(len(outputs)))
        parts = [cpu.broadcast(F, self, "mul", y, F.reshape(w, (0, -1, 1, 1))) for y, w in zip(outputs, each)]
        return sum(parts[1:], parts[0])
