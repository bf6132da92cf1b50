"""Attentional Feature Fusion (Dai et al., WACV 2021, arXiv 2009.14082): MS-CAM, AFF and iAFF."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.attention.gating import Gating
from gluon_attn.attention.se import squeezed
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence, sigmoid


class MultiScaleContext(nn.HybridBlock):
    """L(x) + G(x): logits from every position and from the whole map, (N, C, H, W) -> same.

    L = 1x1 (C -> C/r, bias), BN, ReLU, 1x1 (C/r -> C, bias), BN; G is the same after a global average pool. G's
    BatchNorm sees one value an image: a training batch needs more than one image.
    """

    def __init__(self, channels, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.local_branch = sequence(*_bottleneck(channels, reduction))
        self.global_branch = sequence(GlobalAvgPool(), *_bottleneck(channels, reduction, of="pixel"))

    def hybrid_forward(self, F, x):
        return cpu.broadcast(F, self, "add", self.local_branch(x), self.global_branch(x))


def _bottleneck(channels, reduction, of="maps"):
    inner = squeezed(channels, reduction)
    return (
        conv(channels, inner, bias=True, of=of),
        batch_norm(inner),
        relu(),
        conv(inner, channels, bias=True, of=of),
        batch_norm(channels),
    )


class MSCAM(nn.HybridBlock):
    """The paper's channel attention alone, as a gate: x * gating(L(x) + G(x))."""

    def __init__(self, channels, reduction=16, gating="sigmoid", alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.context = MultiScaleContext(channels, reduction)
        self.gating = Gating(gating, alpha)

    def hybrid_forward(self, F, x):
        return x * self.gating(self.context(x))


class AFF(nn.HybridBlock):
    """2 (w x + (1 - w) y), w = sigmoid(L(x + y) + G(x + y)); x the residual branch, y the shortcut.

    It takes the place of the sum. The factor 2 is in the released code and so in the published weights, not in the
    paper's formula. Computed as 2 (y + w (x - y)): fewer operators, the same values. Where MXNet runs no backward pass,
    as x + y + tanh(z / 2) (x - y) with w = sigmoid(z), whose sum is there already.
    """

    def __init__(self, channels, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.context = MultiScaleContext(channels, reduction)

    def hybrid_forward(self, F, x, y):
        both = x + y
        z = self.context(both)
        weight = announce(self, sigmoid(F, z))
        if cpu.runs_forward():
            return both + F.Activation(0.5 * z, act_type="tanh") * (x - y)
        return 2 * _blend(weight, x, y)


class IAFF(nn.HybridBlock):
    """Iterative AFF: w2 x + (1 - w2) y, where w2 is computed from a first fusion of x and y instead of their sum.

    z = w x + (1 - w) y with w from the first context, w2 = sigmoid(L2(z) + G2(z)) from the second. No factor 2. (The
    PyTorch port in the authors' repository uses the first global branch twice; the weights follow the Gluon code.)
    """

    def __init__(self, channels, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.first = MultiScaleContext(channels, reduction)
        self.second = MultiScaleContext(channels, reduction)

    def hybrid_forward(self, F, x, y):
        z = _blend(announce(self.first, sigmoid(F, self.first(x + y))), x, y)
        return _blend(announce(self, sigmoid(F, self.second(z))), x, y)


def _blend(weight, x, y):
    return y + weight * (x - y)
