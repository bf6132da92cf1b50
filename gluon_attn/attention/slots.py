"""The slots as tables of classes, made of the records in gluon_attn/catalogue/mechanisms.py."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Callable, List

from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.errors import GluonAttnError, unknown

# What a network tells a block of the slot, before the arguments of the mechanism.
PLACES = {
    "gate": ("channels",),
    "fuse": ("channels",),
    "stage": ("channels",),
    "conv": ("channels", "stride", "groups", "dilation"),
    "head": ("net", "plan"),
}
KINDS = {"stage": "stage attention"}  # what errors call a slot, where not by its own name


class Slot(Mapping):
    """{name: what makes the block} of one slot; a file is imported when one of its mechanisms is asked for."""

    def __init__(self, slot: str):
        self.slot = slot

    def __getitem__(self, name):
        if name not in list(self):
            raise KeyError(name)
        return MECHANISMS[name].load()

    def __iter__(self):
        return (name for name, record in MECHANISMS.items() if record.slot == self.slot and record.block)

    def __len__(self):
        return len(list(iter(self)))


TABLES = {slot: Slot(slot) for slot in (*PLACES, "block")}
GATES, FUSES, STAGES, CONVS = (TABLES[slot] for slot in ("gate", "fuse", "stage", "conv"))


def made_by(slot: str, chosen: Any) -> Callable:
    """What makes the blocks of a slot: the mechanism of that name, or a class of your own.

    >>> made_by("gate", "se")
    <class 'gluon_attn.attention.se.SE'>
    """
    if isinstance(chosen, str):
        if chosen not in TABLES[slot]:
            raise unknown(KINDS.get(slot, slot), chosen, TABLES[slot])
        return TABLES[slot][chosen]
    if not callable(chosen):
        raise GluonAttnError(
            f"{slot}={chosen!r} is neither a name nor a class: give one of {', '.join(sorted(TABLES[slot]))}, or a "
            "HybridBlock class whose first argument is `channels`."
        )
    return chosen


def accepted(slot: str, chosen: Any) -> List[str]:
    """The keyword arguments that the mechanism of that name (or a class) takes in a slot.

    >>> accepted("gate", "se")
    ['reduction', 'round_to', 'gating', 'alpha']
    """
    parameters = inspect.signature(made_by(slot, chosen)).parameters.values()
    return [p.name for p in parameters if p.name not in PLACES[slot] and p.kind is not p.VAR_KEYWORD]


def called(chosen: Any) -> str:
    """The name of a mechanism, or of a class, for sentences."""
    return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", repr(chosen))


def create(slot: str, chosen: Any, channels: int, **kwargs):
    """The block of a slot for `channels` channels; an argument that it does not take is an error."""
    takes = accepted(slot, chosen)
    for keyword in kwargs:
        if keyword not in (*takes, "prefix", "params"):
            what = f"argument of the {KINDS.get(slot, slot)} {called(chosen)!r}"
            raise unknown(what, keyword, takes or ["(none)"])
    return made_by(slot, chosen)(channels, **kwargs)
