"""Keras' forms of convolution and BatchNorm, as the networks of Learning to ignore have them (arXiv 2111.05684)."""

from __future__ import annotations

from gluon_attn.layers import batch_norm, conv, relu, sequence

BATCH_NORM = dict(epsilon=1e-3, momentum=0.99)


def biased_stem(in_channels, width):
    """3x3 with bias, BN, ReLU at full size."""
    return width, sequence(conv(in_channels, width, 3, bias=True), batch_norm(width, **BATCH_NORM), relu())


def biased_body(in_channels, width, stride, zero_gamma, **_):
    """3x3, 3x3 with biases."""
    return width, [
        conv(in_channels, width, 3, stride, bias=True),
        batch_norm(width, **BATCH_NORM),
        relu(),
        conv(width, width, 3, bias=True),
        batch_norm(width, zero_gamma, **BATCH_NORM),
    ]


def biased_shortcut(in_channels, channels, stride, normalise):
    """A strided 1x1 convolution with bias, and no BatchNorm."""
    return sequence(conv(in_channels, channels, 1, stride, bias=True))
