"""ResNet, ResNet-D, ResNeXt and their CIFAR forms, in one family; attention enters by slot.

He et al., CVPR 2016 (arXiv 1512.03385) and ECCV 2016 (1603.05027); Xie et al., CVPR 2017 (1611.05431); He et al., CVPR
2019 (1812.01187) for the `d` form. A block is y = gate(body(x)); out = relu(fuse(y, shortcut(x))), and the plain
network is gate=identity, fuse=add.
"""

from __future__ import annotations

import functools

from mxnet.gluon import nn

from gluon_attn.attention.plain import Identity
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.models import keras, lip, wide
from gluon_attn.models.dilation import Dilation
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble, per_stage


def basic_body(in_channels, width, stride, zero_gamma, dilation=(1, 1), **_):
    """3x3, 3x3; returns the layers and their output channels."""
    return width, [
        conv(in_channels, width, 3, stride, dilation=dilation[0]),
        batch_norm(width),
        relu(),
        conv(width, width, 3, dilation=dilation[1]),
        batch_norm(width, zero_gamma),
    ]


def bottleneck_body(
    in_channels, width, stride, zero_gamma, middle, groups=1, group_width=None, stride_in="3x3", dilation=(1, 1), **_
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


def preact_body(in_channels, width, stride, dilation=(1, 1), **_):
    """BN ReLU 3x3, BN ReLU 3x3: nothing follows the sum."""
    return width, [
        batch_norm(in_channels),
        relu(),
        conv(in_channels, width, 3, stride, dilation=dilation[0]),
        batch_norm(width),
        relu(),
        conv(width, width, 3, dilation=dilation[1]),
    ]


BODIES = {
    "basic": basic_body,
    "bottleneck": bottleneck_body,
    "lip": bottleneck_body,
    "preact": preact_body,
    "wide": wide.wide_body,
    "biased": keras.biased_body,
}
PRE_ACTIVATED = ("preact", "wide")
DILATABLE = ("basic", "bottleneck", "lip", "preact")


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


SHORTCUTS = {"conv": conv_shortcut, "avg": avg_shortcut, "biased": keras.biased_shortcut}


def imagenet_stem(in_channels, width):
    """7x7/2, BN, ReLU, max pool 3x3/2."""
    return width, sequence(conv(in_channels, width, 7, 2), batch_norm(width), relu(), nn.MaxPool2D(3, 2, 1))


def deep_stem(in_channels, first, second, third):
    """Three 3x3 (the first strided), each BN and ReLU, then max pool 3x3/2: the `d` form."""
    layers = []
    for before, after, stride in ((in_channels, first, 2), (first, second, 1), (second, third, 1)):
        layers += [conv(before, after, 3, stride), batch_norm(after), relu()]
    return third, sequence(*layers, nn.MaxPool2D(3, 2, 1))


def cifar_stem(in_channels, width):
    """3x3, BN, ReLU at full size."""
    return width, sequence(conv(in_channels, width, 3), batch_norm(width), relu())


def half_stem(in_channels, width):
    """3x3/2, BN, ReLU, no pooling: for images of about 64x64."""
    return width, sequence(conv(in_channels, width, 3, 2), batch_norm(width), relu())


def preact_stem(in_channels, width):
    """A BatchNorm without gamma and beta on the image, then 3x3: the pre-activation CIFAR form as published by AFF."""
    whiten = nn.BatchNorm(scale=False, center=False, in_channels=in_channels)
    return width, sequence(whiten, conv(in_channels, width, 3))


STEMS = {
    "imagenet": imagenet_stem,
    "deep": deep_stem,
    "lip": lip.lip_stem,
    "cifar": cifar_stem,
    "half": half_stem,
    "preact": preact_stem,
    "bare": wide.bare_stem,
    "biased": keras.biased_stem,
}
STEM_STRIDES = {"imagenet": 4, "deep": 4, "lip": 4, "half": 2}  # of the others: 1


class ResidualBlock(nn.HybridBlock):
    """relu(fuse(gate(body(x)), shortcut(x))); without the ReLU in pre-activation form."""

    def __init__(self, body, shortcut, gate, fuse, activate=True, **kwargs):
        super().__init__(**kwargs)
        self.body, self.shortcut, self.gate, self.fuse = body, shortcut, gate, fuse
        self.activate = activate

    def hybrid_forward(self, F, x):
        y = self.fuse(self.gate(self.body(x)), self.shortcut(x))
        return F.Activation(y, act_type="relu") if self.activate else y


class ResNet(Network):
    """A residual network as data.

    Parameters
    ----------
    layers, widths : blocks and width of every stage; a bottleneck gives four times its width
    block : a name from BODIES
    stem, stem_widths : a name from STEMS; ('deep' takes three widths, the others one)
    shortcut : a name from SHORTCUTS, where the shape changes
    groups, group_width, stride_in : of the bottleneck
    dropout : of the wide block, between its convolutions
    conv : 'plain', 'sk' or 'aa', in place of the bottleneck's 3x3 in `stages`
    output_stride, multi_grid : input size / size of the last map, by dilation instead of strides (models/dilation.py)
    gate, fuse : names from `list_gates()`, `list_fuses()`; `stages` says where (1-based; default: everywhere)
    stage, stage_after : a name from `list_stages()` and where, {stage: (block, ...)} with blocks counted from 0 or,
        negative, from the end; default: after every stage but the last
    last_gamma : start the last BatchNorm of every residual branch at gamma 0
    head, outputs : a name from models/heads.py; 'logits', or 'all' for what the head's mechanism gives besides
    any argument of the gate, fusion, stage attention or head (reduction, gating, alpha, kernel, ...)

    shortcut and the mechanisms' arguments may be a tuple: one value a stage.
    """

    def __init__(
        self,
        layers,
        widths,
        block="bottleneck",
        stem="imagenet",
        stem_widths=(64,),
        shortcut="conv",
        groups=1,
        group_width=None,
        stride_in="3x3",
        dropout=0.0,
        conv="plain",
        output_stride=None,
        multi_grid=None,
        gate="identity",
        fuse="add",
        stages=None,
        stage=None,
        stage_after=None,
        last_gamma=False,
        head="classifier",
        outputs="logits",
        classes=1000,
        in_channels=3,
        **mechanism,
    ):
        super().__init__()
        _check(block=(block, BODIES), stem=(stem, STEMS), stride_in=(stride_in, ("3x3", "1x1")))
        count = len(layers)
        names = dict(gate=gate, fuse=fuse, stage=stage, conv=conv, head=head)
        slots = Slots(names, stages, mechanism, count, ResNet)
        _refuse_without_bottleneck(conv, block)
        dilation = Dilation(count, STEM_STRIDES.get(stem, 1), output_stride, multi_grid)
        if dilation.active:
            _check(**{"block of a network with output_stride=": (block, DILATABLE)})
        body_kwargs = dict(groups=groups, group_width=group_width, stride_in=stride_in, dropout=dropout)
        shortcuts = per_stage(shortcut, count)
        after = default_stage_after(count) if stage_after is None else stage_after

        def make_stage(number, channels, stride):
            depth, width = layers[number - 1], widths[number - 1]
            blocks = nn.HybridSequential()
            positions = [i % depth for i in after.get(number, ())]
            for index in range(depth):
                kwargs = dict(body_kwargs, dilation=dilation.of_block(number, index))
                channels, unit = residual_block(
                    channels, width, stride, block, shortcuts[number - 1], slots, number, last_gamma, kwargs
                )
                stride = 1
                blocks.add(unit)
                if stage is not None and index in positions:
                    blocks.add(slots.stage_attention(number, channels))
            return channels, blocks

        plan = dict(classes=classes, outputs=outputs, normalise=block in PRE_ACTIVATED)
        assemble(self, slots, STEMS[stem](in_channels, *stem_widths), make_stage, dilation.strides, **plan)


def residual_block(in_channels, width, stride, block, shortcut, slots, number, last_gamma, body_kwargs):
    """One block of stage `number`; returns its output channels and the block."""
    _check(shortcut=(shortcut, SHORTCUTS))
    middle = functools.partial(slots.middle, number)
    channels, body = BODIES[block](in_channels, width, stride, zero_gamma=last_gamma, middle=middle, **body_kwargs)
    same = stride == 1 and in_channels == channels
    normalise = block not in PRE_ACTIVATED
    around = None if same else SHORTCUTS[shortcut](in_channels, channels, stride, normalise)
    gate, fuse = slots.gate(number, channels), slots.fuse(number, channels)
    if block == "wide":
        return channels, wide.WideBlock(in_channels, sequence(*body), around, gate, fuse)
    if block == "lip" and stride > 1:
        return channels, lip.LIPBlock(in_channels, channels, gate, fuse, last_gamma)
    around = Identity(channels) if same else around
    return channels, ResidualBlock(sequence(*body), around, gate, fuse, activate=block not in PRE_ACTIVATED)


def default_stage_after(count):
    """A stage attention stands after the last block of every stage but the last (BAM's place)."""
    return dict.fromkeys(range(1, count), (-1,))


def _refuse_without_bottleneck(conv, block):
    if conv != "plain" and BODIES[block] is not bottleneck_body:
        raise GluonAttnError(f"conv={conv!r} takes the place of a bottleneck's 3x3; block={block!r} has none.")


def _check(**choices):
    for kind, (value, allowed) in choices.items():
        if value not in allowed:
            raise unknown(kind, value, allowed)
