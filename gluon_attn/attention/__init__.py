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
`announce(self, weight)` of attention/announce.py, once, in hybrid_forward; `Gating` has done so for every gate made of
it. That adds no operator, and `explain.attention_maps(net, x)` finds the map under the path of the block.

A new mechanism is one file here with one HybridBlock whose first argument is `channels`, and one record in
gluon_attn/catalogue/mechanisms.py; from outside, one call of `gluon_attn.register_attention`.
"""

from __future__ import annotations

from typing import Any, List

from mxnet.gluon import HybridBlock

from gluon_attn.attention.gating import GATINGS
from gluon_attn.attention.slots import CONVS, FUSES, GATES, STAGES, accepted, create, known


def create_gate(name: str, channels: int, **kwargs: Any) -> HybridBlock:
    """The gate `name` (or a class) for `channels` channels: x -> y of the same shape.

    >>> gate = create_gate("cbam", 64, reduction=8)
    """
    return create("gate", name, channels, **kwargs)


def create_fuse(name: str, channels: int, **kwargs: Any) -> HybridBlock:
    """The fusion `name` (or a class) for `channels` channels: (residual branch, shortcut) -> y of the same shape.

    >>> fuse = create_fuse("aff", 64)
    """
    return create("fuse", name, channels, **kwargs)


def create_stage(name: str, channels: int, **kwargs: Any) -> HybridBlock:
    """The stage attention `name` (or a class) for `channels` channels: x -> y of the same shape.

    >>> block = create_stage("nonlocal", 256, form="gaussian")
    """
    return create("stage", name, channels, **kwargs)


def list_gates() -> List[str]:
    """The names that `gate=` and create_gate take.

    >>> "se" in list_gates()
    True
    """
    return known(GATES)


def list_fuses() -> List[str]:
    """The names that `fuse=` and create_fuse take.

    >>> list_fuses()
    ['add', 'aff', 'iaff']
    """
    return known(FUSES)


def list_stages() -> List[str]:
    """The names that `stage=` and create_stage take.

    >>> "bam" in list_stages()
    True
    """
    return known(STAGES)


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
