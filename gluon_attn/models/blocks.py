"""What residual networks are made of: blocks and stems as records, shortcuts, and the units that they stand in.

He et al., CVPR 2016 (arXiv 1512.03385) and ECCV 2016 (1603.05027); He et al., CVPR 2019 (1812.01187) for the `d` form.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Callable

from mxnet.gluon import nn

from gluon_attn.attention.plain import Add, Identity
from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.mixed_precision import in_float32


@dataclass(frozen=True)
class Block:
    """One kind of residual block.

    body : (in_channels, width, stride, ...) -> (output channels, layers); further arguments of those below, by name:
        zero_gamma, dilation, middle (see bottleneck_body), and keywords of the network (OF_BLOCKS in models/resnet.py)
    unit : (in_channels, channels, stride, layers, shortcut or None, gate, fuse, zero_gamma) -> the HybridBlock
    pre_activated : BN and ReLU come first; none follows the sum or the shortcut (the head has them)
    dilatable : its 3x3 take a dilation in place of a stride
    bottleneck : it has the 3x3 in the middle that `conv=` replaces
    """

    body: Callable
    unit: Callable
    pre_activated: bool = False
    dilatable: bool = True
    bottleneck: bool = False

    @property
    def takes(self):
        """Names of what its body is told; the rest of a network's keywords has no effect on it."""
        return tuple(inspect.signature(self.body).parameters)


@dataclass(frozen=True)
class Stem:
    """make : (in_channels, *widths) -> (output channels, HybridBlock); stride : input size / size of what it gives."""

    make: Callable
    stride: int = 1


def in_slot(F, block, *inputs):
    """block(*inputs) for a gate or a fusion, in float32 also where the network is trained in bfloat16.

    Not a plain network's: what they give is not computed.
    """
    return block(*(inputs if isinstance(block, (Identity, Add)) else (in_float32(F, x) for x in inputs)))


class ResidualBlock(nn.HybridBlock):
    """relu(fuse(gate(body(x)), shortcut(x))); without the ReLU in pre-activation form."""

    def __init__(self, body, shortcut, gate, fuse, activate=True, **kwargs):
        super().__init__(**kwargs)
        self.body, self.shortcut, self.gate, self.fuse = body, shortcut, gate, fuse
        self.activate = activate

    def hybrid_forward(self, F, x):
        y = in_slot(F, self.fuse, in_slot(F, self.gate, self.body(x)), self.shortcut(x))
        return F.Activation(y, act_type="relu") if self.activate else y


def residual(in_channels, channels, stride, layers, shortcut, gate, fuse, zero_gamma, activate=True):
    """The unit of most blocks."""
    around = Identity(channels) if shortcut is None else shortcut
    return ResidualBlock(sequence(*layers), around, gate, fuse, activate)


class Gated(nn.HybridBlock):
    """gate(body(x)): the unit of networks without residuals."""

    def __init__(self, body, gate, **kwargs):
        super().__init__(**kwargs)
        self.body, self.gate = body, gate

    def hybrid_forward(self, F, x):
        return in_slot(F, self.gate, self.body(x))


def basic_body(in_channels, width, stride, zero_gamma, dilation=(1, 1)):
    """3x3, 3x3; returns the layers and their output channels."""
    return width, [
        conv(in_channels, width, 3, stride, dilation=dilation[0]),
        batch_norm(width),
        relu(),
        conv(width, width, 3, dilation=dilation[1]),
        batch_norm(width, zero_gamma),
    ]


def bottleneck_body(
    in_channels, width, stride, zero_gamma, middle, groups=1, group_width=None, stride_in="3x3", dilation=(1, 1)
):
    """1x1, 3x3, 1x1 to four times the width; with groups the inner width is groups * (width * group_width / 64).

    middle: (channels, stride, groups, dilation) -> the layers of the 3x3, its BatchNorm and ReLU among them.
    stride_in: '3x3' (v1b/v1.5, as nearly all published weights) or '1x1' (the first convolution, as in the paper).
    """
    inner = width if group_width is None else groups * (width * group_width // 64)
    first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
    return 4 * width, [
        conv(in_channels, inner, 1, first),
        batch_norm(inner),
        relu(),
        *middle(inner, second, groups, dilation[0]),
        conv(inner, 4 * width),
        batch_norm(4 * width, zero_gamma),
    ]


def preact_body(in_channels, width, stride, dilation=(1, 1)):
    """BN ReLU 3x3, BN ReLU 3x3: nothing follows the sum."""
    return width, [
        batch_norm(in_channels),
        relu(),
        conv(in_channels, width, 3, stride, dilation=dilation[0]),
        batch_norm(width),
        relu(),
        conv(width, width, 3, dilation=dilation[1]),
    ]


BASIC = Block(basic_body, residual)
BOTTLENECK = Block(bottleneck_body, residual, bottleneck=True)
PREACT = Block(preact_body, functools.partial(residual, activate=False), pre_activated=True)


def conv_shortcut(in_channels, channels, stride, normalise):
    """A strided 1x1 convolution (and BatchNorm)."""
    return sequence(conv(in_channels, channels, 1, stride), *([batch_norm(channels)] if normalise else []))


def avg_shortcut(in_channels, channels, stride, normalise):
    """Average pooling, then a 1x1 convolution (and BatchNorm): the `d` form, which drops no position."""
    # Positions stay those of the published files where there is nothing to pool.
    pool = Identity(in_channels)
    if stride > 1:
        pool = nn.AvgPool2D(stride, stride, ceil_mode=True, count_include_pad=False)
    return sequence(pool, conv(in_channels, channels), *([batch_norm(channels)] if normalise else []))


def imagenet_stem(in_channels, width):
    """7x7/2, BN, ReLU, max pool 3x3/2."""
    first = conv(in_channels, width, 7, 2, of="picture")
    return width, sequence(first, batch_norm(width), relu(), nn.MaxPool2D(3, 2, 1))  # which alone reads what it takes


def deep_stem(in_channels, first, second, third):
    """Three 3x3 (the first strided), each BN and ReLU, then max pool 3x3/2: the `d` form."""
    layers = [conv(in_channels, first, 3, 2, of="picture"), batch_norm(first), relu()]
    for before, after in ((first, second), (second, third)):
        layers += [conv(before, after, 3), batch_norm(after), relu()]
    return third, sequence(*layers, nn.MaxPool2D(3, 2, 1))


def cifar_stem(in_channels, width):
    """3x3, BN, ReLU at full size."""
    return width, sequence(conv(in_channels, width, 3, of="picture"), batch_norm(width), relu())


def linear_stem(in_channels, width):
    """3x3, BN at full size, without a ReLU: GluonCV's CIFAR ResNets."""
    return width, sequence(conv(in_channels, width, 3, of="picture"), batch_norm(width))


def half_stem(in_channels, width):
    """3x3/2, BN, ReLU, no pooling: for images of about 64x64."""
    return width, sequence(conv(in_channels, width, 3, 2, of="picture"), batch_norm(width), relu())


def preact_stem(in_channels, width):
    """A BatchNorm without gamma and beta on the image, then 3x3: the pre-activation CIFAR form as published by AFF."""
    whiten = nn.BatchNorm(scale=False, in_channels=in_channels)
    # beta stays 0, yet has a gradient: MXNet updates running statistics on a CPU in the backward pass alone, and would
    # leave out that of a layer without any (trained with the batch's statistics, used with mean 0 and variance 1).
    whiten.beta.lr_mult = whiten.beta.wd_mult = 0.0
    return width, sequence(whiten, conv(in_channels, width, 3, of="picture"))
