"""Spatial weights for full-face gaze estimation (Zhang et al., CVPR Workshops 2017, arXiv 1611.08860)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.attention.announce import announce
from gluon_attn.layers import relu, sequence


class SpatialWeights(nn.HybridBlock):
    r"""U * W, one weight a position for all N channels of U; (B, N, H, W) -> same, after a network's features.

    W = relu(w3 relu(w2 relu(w1 U))), 1x1 convolutions N -> N -> N -> 1 with biases. The last activation is a ReLU: the
    weights have no upper bound and may be 0.

    Start: w1, w2 ~ Normal(0, 0.01), bias 0.1; w3 ~ Normal(0, 0.001), bias 1: W is near 1, the block near the identity.
    Gradient: since W weighs all N channels alike, dL/dW is divided by N (section 4.1 of the paper); dL/dU through the
    product keeps its size. In the graph W stands as W / N + stop_gradient(W) (1 - 1/N). `scale_gradient=False` leaves
    this out.
    """

    def __init__(self, channels, scale_gradient=True, **kwargs):
        super().__init__(**kwargs)
        self.share = 1.0 / channels if scale_gradient else 1.0
        hidden = dict(sigma=0.01, bias=0.1)
        self.weights = sequence(
            _pointwise(channels, channels, **hidden),
            relu(),
            _pointwise(channels, channels, **hidden),
            relu(),
            _pointwise(channels, 1, sigma=0.001, bias=1.0),
            relu(),
        )

    def hybrid_forward(self, F, x):
        weight = self.weights(x)
        if self.share != 1:
            weight = weight * self.share + F.BlockGrad(weight) * (1 - self.share)
        return cpu.broadcast(F, self, "mul", x, announce(self, weight), over="channels")


def _pointwise(before, after, sigma, bias):
    return nn.Conv2D(
        after,
        1,
        in_channels=before,
        weight_initializer=mx.init.Normal(sigma),
        bias_initializer=mx.init.Constant(bias),
    )
