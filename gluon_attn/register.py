"""A mechanism from outside under a name of its own: every backbone that has its slot then has a network with it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, List, Mapping, Optional

from gluon_attn import _compat, _gluoncv, errors, zoo
from gluon_attn.catalogue import names as catalogue
from gluon_attn.catalogue import spellings
from gluon_attn.catalogue.mechanism import Mechanism

__all__ = ["forget_attention", "register_attention"]


@_compat.mxnet_explained()
def register_attention(
    name: str,
    slot: str,
    block: Any,
    paper: str = "",
    formula: str = "",
    on: Optional[Mapping[Any, Mapping]] = None,
    **arguments: Any,
) -> List[str]:
    """Enter a mechanism of your own under `name`; returns the names of the networks that there are with it now.

    slot : 'gate', 'fuse', 'stage', 'conv' or 'head': see gluon_attn/attention/__init__.py for what each one asks for
    block : a HybridBlock class whose first argument is `channels`, or "module:Class"
    on : {backbones: what get_model is given there}, the backbones by name or shell pattern, as in {"resnet*":
        {"stages": (3, 4)}}; by default nothing, on every backbone that has the slot
    arguments : what the block is always given; a network's own arguments go over them

    >>> gluon_attn.register_attention("mean", "gate", Mean)[0]
    'mean_resnet18'
    """
    from gluon_attn.attention import slots

    if slot not in slots.PLACES:
        raise errors.unknown("slot", slot, slots.PLACES)
    mechanism = Mechanism(name, slot, block, paper, formula, arguments, **({} if on is None else {"on": _places(on)}))
    made = dataclasses.replace(mechanism, arguments={}).load()
    slots.check(slot, made, arguments)
    _refuse_words_of_networks(mechanism, slots.called(made), slots.accepted(slot, made))
    if on and not any(catalogue.specs_of(mechanism)):
        raise errors.GluonAttnError(f"on={on!r} matches no backbone that has the slot {slot!r}, such as 'resnet50'.")
    names = catalogue.add(mechanism)
    _gluoncv.offer(zoo.makers(names))
    return names


def _places(on):
    """`on` as a record has it; a sentence for what is none."""
    right = isinstance(on, Mapping) and all(isinstance(given, Mapping) for given in on.values())
    if not right or not all(isinstance(word, str) for key in on for word in (key if isinstance(key, tuple) else [key])):
        raise errors.GluonAttnError(f"on={on!r} cannot be: give {{backbones: arguments}}, as in {{'cifar_*': {{}}}}.")
    return on


def _refuse_words_of_networks(mechanism, called, keywords):
    """What get_model, or a family that the mechanism stands in, reads itself never reaches a block."""
    makers = [zoo.get_model, *{spec.load() for spec in catalogue.specs_of(mechanism)}]
    taken = {word for made in makers for word in inspect.signature(made).parameters}
    for word in keywords:
        if word in taken.union(spellings.KEYWORDS):
            raise errors.GluonAttnError(
                f"{called} takes {word}=, a word of get_model or of the backbones, which would never reach it: rename "
                f"that argument, as in {mechanism.name}_{word}."
            )


def forget_attention(name: str) -> None:
    """Take back a `register_attention`, to register another class under that name.

    >>> gluon_attn.forget_attention("mean")
    """
    _gluoncv.withdraw(catalogue.remove(name))
