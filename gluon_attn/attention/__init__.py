"""Attention by slot. Every mechanism fits one of these, and a network names them as data.

======  ===================================  ====================================================
slot    contract                             where
======  ===================================  ====================================================
gate    block(x) -> y, the shape of x        the end of a residual branch, before the sum
fuse    block(x, shortcut) -> y              in place of the sum
stage   block(x) -> y, the shape of x        after a block or a stage
conv    block(x) -> y, strided               in place of a bottleneck's 3x3 convolution
======  ===================================  ====================================================

A mechanism announces its maps (the weights that it multiplies or averages with): it passes each of them through
`announce(self, weight)` of attention/maps.py, once, in hybrid_forward; `Gating` has done so for every gate made of it.
That adds no operator, and `explain.attention_maps(net, x)` finds the map under the path of the block.

A new mechanism is one HybridBlock whose first argument is `channels`, and one line in a table below.
"""

from __future__ import annotations

import functools
import inspect

from mxnet.gluon import nn

from gluon_attn.attention.aa import AugmentedConv
from gluon_attn.attention.aff import AFF, IAFF, MSCAM
from gluon_attn.attention.bam import BAM
from gluon_attn.attention.cbam import CBAM
from gluon_attn.attention.danet import ChannelAttention, PositionAttention
from gluon_attn.attention.eca import ECA
from gluon_attn.attention.gating import GATINGS
from gluon_attn.attention.ge import GatherExcite
from gluon_attn.attention.non_local import NonLocal
from gluon_attn.attention.se import SE
from gluon_attn.attention.sk import SelectiveKernel
from gluon_attn.attention.spatial_weights import SpatialWeights
from gluon_attn.errors import unknown
from gluon_attn.layers import conv


class Identity(nn.HybridBlock):
    """x -> x: the gate of a plain network."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        return x


class Add(nn.HybridBlock):
    """x + shortcut: the fusion of a plain network."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x, y):
        return x + y


def plain_conv(channels, stride=1, groups=1, dilation=1):
    """The 3x3 convolution of a plain bottleneck."""
    return conv(channels, channels, 3, stride, groups, dilation=dilation)


GATES = {
    "identity": Identity,
    "se": SE,
    "cbam": CBAM,
    "eca": ECA,
    "ms_cam": MSCAM,
    "ge": GatherExcite,
    "inv_se": functools.partial(SE, gating="complement"),
    "inv_cbam": functools.partial(CBAM, gating="complement"),
}
FUSES = {"add": Add, "aff": AFF, "iaff": IAFF}
STAGES = {
    "bam": BAM,
    "nonlocal": NonLocal,
    "position": PositionAttention,
    "channel": ChannelAttention,
    "spatial_weights": SpatialWeights,
}
CONVS = {"plain": plain_conv, "sk": SelectiveKernel, "aa": AugmentedConv}


def create_gate(name, channels, **kwargs):
    """The gate `name` for `channels` channels: x -> y of the same shape."""
    return _create("gate", GATES, name, channels, kwargs)


def create_fuse(name, channels, **kwargs):
    """The fusion `name` for `channels` channels: (residual branch, shortcut) -> y of the same shape."""
    return _create("fuse", FUSES, name, channels, kwargs)


def create_stage(name, channels, **kwargs):
    """The stage attention `name` for `channels` channels: x -> y of the same shape."""
    return _create("stage attention", STAGES, name, channels, kwargs)


def list_gates():
    return sorted(GATES)


def list_fuses():
    return sorted(FUSES)


def list_stages():
    return sorted(STAGES)


def accepted(table, name):
    """The keyword arguments that the mechanism `name` of a slot's `table` takes."""
    place = ("channels", "stride", "groups", "dilation") if table is CONVS else ("channels",)
    parameters = inspect.signature(table[name]).parameters.values()
    return [p.name for p in parameters if p.name not in place and p.kind is not p.VAR_KEYWORD]


def _create(slot, table, name, channels, kwargs):
    if name not in table:
        raise unknown(slot, name, table)
    for keyword in kwargs:
        if keyword not in (*accepted(table, name), "prefix", "params"):
            raise unknown(f"argument of the {slot} {name!r}", keyword, accepted(table, name) or ["(none)"])
    return table[name](channels, **kwargs)


__all__ = [
    "CONVS",
    "FUSES",
    "GATES",
    "GATINGS",
    "STAGES",
    "accepted",
    "create_fuse",
    "create_gate",
    "create_stage",
    "list_fuses",
    "list_gates",
    "list_stages",
]
