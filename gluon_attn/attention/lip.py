"""Local Importance-based Pooling (Gao et al., ICCV 2019, arXiv 1908.04156)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.layers import conv, relu, sequence, sigmoid
from gluon_attn.mixed_precision import in_float32

WIDTH = 128  # of the logit network
STEEPNESS = 12.0  # logits lie in (0, 12)


class ImportancePool(nn.HybridBlock):
    """avg(x e^l) / avg(e^l) over 3x3 windows with stride 2: x (N, C, H, W) and logits l of that shape.

    Equal logits make it an average pool. e^(l - 6) is used for e^l: the quotient is the same, and float16 holds it.
    For inference in MXNet alone it is e^l over its sum in the map: oneDNN's softmax takes a third of the time of `exp`.
    """

    def hybrid_forward(self, F, x, logits):
        if cpu.runs_forward():
            weight = F.reshape_like(F.softmax(F.reshape(logits, (0, 0, -1)), axis=2), logits)
        else:
            weight = F.exp(logits - STEEPNESS / 2)
        announce(self, weight)
        # In the quotient the same; where it is trained MXNet's own, which oneDNN has not, is quicker.
        how = "sum" if cpu.trains_on_cpu(self) else "avg"

        def pool(values):
            return F.Pooling(values, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=how)

        return pool(x * weight) / pool(weight)


class ScaledSigmoid(nn.HybridBlock):
    """12 sigmoid(z)."""

    def hybrid_forward(self, F, z):
        return STEEPNESS * sigmoid(F, z)


class InstanceNorm(nn.InstanceNorm):
    """nn.InstanceNorm whose gamma is learned, as the authors' is (`affine=True`); Gluon's default is beta alone.

    MXNet's operator takes 3 times as long forward, 8 times backward, as what stands here where it runs on a CPU. There
    the mean is taken away before the squares are summed: in float32 the difference of the mean of the squares and the
    square of the mean would not do.

    >>> InstanceNorm(64).gamma.grad_req
    'write'
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(scale=True, in_channels=channels, **kwargs)

    def hybrid_forward(self, F, x, gamma, beta):
        if cpu.plain(self):
            return F.InstanceNorm(x, gamma, beta, eps=self._epsilon)

        x = in_float32(F, x)
        centred = cpu.broadcast(F, self, "sub", x, cpu.mean_of_map(F, self, x))
        variance = cpu.mean_of_map(F, self, F.square(centred))
        scale = F.broadcast_mul(F.rsqrt(variance + self._epsilon), F.reshape(gamma, (1, -1, 1, 1)))
        shift = F.broadcast_add(F.zeros_like(scale), F.reshape(beta, (1, -1, 1, 1)))
        return cpu.broadcast(F, self, "add", cpu.broadcast(F, self, "mul", centred, scale), shift)


def shared_logits(channels: int) -> nn.HybridSequential:
    """1x1 (C -> 128), IN, ReLU, 3x3, IN, ReLU: what both pools of one block have in common.

    >>> len(shared_logits(64))
    6
    """
    norms = [InstanceNorm(WIDTH) for _ in range(2)]
    return sequence(conv(channels, WIDTH), norms[0], relu(), conv(WIDTH, WIDTH, 3), norms[1], relu())


class LogitPool(nn.HybridBlock):
    """(x, s) -> importance pool of x with logits 12 sigmoid(IN(1x1(s))); the convolution starts at 0."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        last = nn.Conv2D(channels, 1, use_bias=False, in_channels=WIDTH, weight_initializer="zeros")
        self.logits = sequence(last, InstanceNorm(channels), ScaledSigmoid())
        self.pool = ImportancePool()

    def hybrid_forward(self, F, x, shared):
        return self.pool(x, self.logits(shared))


class SimplifiedLIP(nn.HybridBlock):
    """Importance pool with logits 12 sigmoid(IN(3x3(x))), in place of the max-pool of the stem; starts at 0."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        first = nn.Conv2D(channels, 3, padding=1, use_bias=False, in_channels=channels, weight_initializer="zeros")
        self.logits = sequence(first, InstanceNorm(channels), ScaledSigmoid())
        self.pool = ImportancePool()

    def hybrid_forward(self, F, x):
        return self.pool(x, self.logits(x))
