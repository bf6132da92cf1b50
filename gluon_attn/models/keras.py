"""Keras' forms of convolution and BatchNorm, as the networks of Learning to ignore have them (arXiv 2111.05684).

Not the same: Keras pads a strided 3x3 on the right and below only, so that its windows lie one pixel further than here,
where the padding is symmetric. With equal weights the logits differ by 4 to 8 %. No weights of theirs are published, so
none are misread; Keras weights of one's own would be.
"""

from __future__ import annotations

from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.models.blocks import Block, residual

BATCH_NORM = dict(epsilon=1e-3, momentum=0.99)


def biased_stem(in_channels, width):
    """3x3 with bias, BN, ReLU at full size."""
    return width, sequence(
        conv(in_channels, width, 3, bias=True, of="picture"), batch_norm(width, **BATCH_NORM), relu()
    )


def biased_body(in_channels, width, stride, zero_gamma):
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


BIASED = Block(biased_body, residual, dilatable=False)
