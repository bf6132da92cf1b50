"""ResNet, ResNet-D, ResNeXt and their CIFAR forms, in one family; attention enters by slot.

He et al., CVPR 2016 (arXiv 1512.03385) and ECCV 2016 (1603.05027); Xie et al., CVPR 2017 (1611.05431); He et al., CVPR
2019 (1812.01187) for the `d` form. A block is y = gate(body(x)); out = relu(fuse(y, shortcut(x))), and the plain
network is gate=identity, fuse=add.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Sequence, Tuple

from mxnet.gluon import nn

from gluon_attn.attention.slots import TABLES, called
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.models import blocks, keras, lip, wide
from gluon_attn.models.blocks import Block, Stem
from gluon_attn.models.dilation import Dilation
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble, per_stage

BLOCKS = {
    "basic": blocks.BASIC,
    "bottleneck": blocks.BOTTLENECK,
    "preact": blocks.PREACT,
    "wide": wide.WIDE,
    "biased": keras.BIASED,
    **TABLES["block"],  # those that are mechanisms: LIP
}
STEMS = {
    "imagenet": Stem(blocks.imagenet_stem, stride=4),
    "deep": Stem(blocks.deep_stem, stride=4),
    "lip": Stem(lip.lip_stem, stride=4),
    "cifar": Stem(blocks.cifar_stem),
    "linear": Stem(blocks.linear_stem),
    "half": Stem(blocks.half_stem, stride=2),
    "preact": Stem(blocks.preact_stem),
    "bare": Stem(wide.bare_stem),
    "biased": Stem(keras.biased_stem),
}
OF_BLOCKS = dict(groups=1, group_width=None, stride_in="3x3", dropout=0.0)  # of some, with what has no effect
SHORTCUTS = {"conv": blocks.conv_shortcut, "avg": blocks.avg_shortcut, "biased": keras.biased_shortcut}


class ResNet(Network):
    """A residual network as data.

    Parameters
    ----------
    layers, widths : blocks and width of every stage; a bottleneck gives four times its width
    block : a name from BLOCKS
    stem, stem_widths : a name from STEMS; ('deep' takes three widths, the others one)
    shortcut : a name from SHORTCUTS, where the shape changes
    groups, group_width, stride_in : of the bottleneck
    dropout : of the wide block, between its convolutions
    conv : 'plain', 'sk' or 'aa', in place of the bottleneck's 3x3 in `stages`
    output_stride, multi_grid : input size / size of the last map, by dilation instead of strides (models/dilation.py)
    gate, fuse : names from `list_gates()`, `list_fuses()`; `stages` says where (1-based; default: everywhere)
    stage, stage_after : a name from `list_stages()` and where, {stage: (block, ...)} with blocks counted from 0 or,
        negative, from the end; default: after every stage but the last
    last_gamma : start the last BatchNorm of every residual branch at gamma 0; pre-activated branches end without one
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
        groups=OF_BLOCKS["groups"],
        group_width=OF_BLOCKS["group_width"],
        stride_in=OF_BLOCKS["stride_in"],
        dropout=OF_BLOCKS["dropout"],
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
        _check(block=(block, BLOCKS), stem=(stem, STEMS), stride_in=(stride_in, ("3x3", "1x1")))
        kind, start, count = BLOCKS[block], STEMS[stem], len(layers)
        slots = Slots(dict(gate=gate, fuse=fuse, stage=stage, conv=conv, head=head), stages, mechanism, count, ResNet)
        if not kind.bottleneck:
            _refuse_conv(conv, block)
        body = dict(groups=groups, group_width=group_width, stride_in=stride_in, dropout=dropout)
        _refuse_without_effect(body, block)
        shortcuts, dilation = per_stage(shortcut, count), _dilated(block, count, start, output_stride, multi_grid)
        after = _places(stage, stage_after, count)
        build = StageBuilder(layers, widths, kind, shortcuts, slots, dilation, after, last_gamma, body)
        stem = start.make(in_channels, *stem_widths)
        assemble(self, slots, stem, build, dilation.strides, classes, outputs, normalise=kind.pre_activated)


@dataclass(frozen=True)
class StageBuilder:
    """(number, in_channels, stride) -> (output channels, the blocks of that stage): what `assemble` asks for."""

    layers: Sequence[int]
    widths: Sequence[int]
    kind: Block
    shortcuts: Sequence[str]
    slots: Slots
    dilation: Dilation
    stage_after: Mapping[int, Sequence[int]]
    zero_gamma: bool
    body: Mapping[str, Any]

    def __call__(self, number, channels, stride):
        stage, depth = nn.HybridSequential(), self.layers[number - 1]
        places = [place % depth for place in self.stage_after.get(number, ())]
        for index in range(depth):
            channels, unit = self.unit(number, index, channels, stride)
            stride = 1
            stage.add(unit)
            if self.slots.names["stage"] is not None and index in places:
                stage.add(self.slots.stage_attention(number, channels))
        return channels, stage

    def unit(self, number, index, in_channels, stride):
        """(output channels, block `index`, from 0, of stage `number`)."""
        how = dict(
            self.body,
            zero_gamma=self.zero_gamma,
            dilation=self.dilation.of_block(number, index),
            middle=functools.partial(self.slots.middle, number),
        )
        taken = {key: value for key, value in how.items() if key in self.kind.takes}
        channels, layers = self.kind.body(in_channels, self.widths[number - 1], stride, **taken)
        shortcut = self.shortcuts[number - 1]
        _check(shortcut=(shortcut, SHORTCUTS))
        around = None
        if stride != 1 or in_channels != channels:
            around = SHORTCUTS[shortcut](in_channels, channels, stride, not self.kind.pre_activated)
        gate, fuse = self.slots.gate(number, channels), self.slots.fuse(number, channels)
        return channels, self.kind.unit(in_channels, channels, stride, layers, around, gate, fuse, self.zero_gamma)


def default_stage_after(count: int) -> Dict[int, Tuple[int, ...]]:
    """A stage attention stands after the last block of every stage but the last (BAM's place).

    >>> default_stage_after(4)
    {1: (-1,), 2: (-1,), 3: (-1,)}
    """
    return dict.fromkeys(range(1, count), (-1,))


def _places(stage, stage_after, count):
    if stage is None and stage_after is not None:
        raise GluonAttnError("stage_after= says where a stage attention stands: give stage= as well.")
    return default_stage_after(count) if stage_after is None else stage_after


def _refuse_conv(conv, block):
    if conv != "plain":
        raise GluonAttnError(f"conv={called(conv)!r} takes the place of a bottleneck's 3x3; block={block!r} has none.")


def _refuse_without_effect(body, block):
    for keyword, value in body.items():
        if value != OF_BLOCKS[keyword] and keyword not in BLOCKS[block].takes:
            having = ", ".join(repr(name) for name, kind in BLOCKS.items() if keyword in kind.takes)
            raise GluonAttnError(f"{keyword}={value!r} has no effect on block={block!r}: it is for {having}.")


def _dilated(block, count, start, output_stride, multi_grid):
    dilation = Dilation(count, start.stride, output_stride, multi_grid)
    if dilation.active:
        dilatable = [name for name, kind in BLOCKS.items() if kind.dilatable]
        _check(**{"block of a network with output_stride=": (block, dilatable)})
    return dilation


def _check(**choices):
    for kind, (value, allowed) in choices.items():
        if value not in allowed:
            raise unknown(kind, value, allowed)
