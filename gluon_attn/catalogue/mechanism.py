"""What a mechanism of attention is, as a record; those that there are stand in mechanisms.py.

Pure data: this module imports no framework.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, Mapping, Optional

from gluon_attn.errors import GluonAttnError

SLOTS = ("gate", "fuse", "stage", "head", "conv", "block")


@dataclass(frozen=True)
class Mechanism:
    """One mechanism: what it is, and what a network that is named after it is given.

    name : the word for it in names of networks, and as `gate=`, `fuse=`, ...
    slot : one of SLOTS
    block : "module:Class", or a class; what the slot asks of it is in gluon_attn/attention/__init__.py. Empty where the
        name stands for a combination of others, which `on` names
    formula : x is the feature map, y the shortcut, s the sigmoid, G and L one value a channel and one a position
    arguments : what the block is given, wherever it stands
    on : {backbones: arguments of the network there}: a name, a shell pattern, or a tuple of such. A backbone has the
        arguments of all that match it, the later ones over the earlier; one that none matches has no such network
    variants : {tag: {backbones: arguments}}: its form in one paper's code, for `variant=` of get_model
    words : {keyword: Kind} of its block's keywords that no other mechanism has (gluon_attn/catalogue/kinds.py); those
        that several have are in gluon_attn/catalogue/arguments.py
    """

    name: str
    slot: str
    block: Any
    paper: str = ""
    formula: str = ""
    arguments: Mapping = field(default_factory=dict)
    on: Mapping = field(default_factory=lambda: {"*": {}})
    variants: Mapping = field(default_factory=dict)
    words: Mapping = field(default_factory=dict)

    def given(self, backbone: str) -> Optional[Dict[str, Any]]:
        """The arguments of the network on that backbone, its slot's among them; None where there is no such network.

        >>> MECHANISMS["abn_se"].given("resnet50")
        {'head': 'abn', 'gate': 'se'}
        """
        found = matching(self.on, backbone)
        return None if found is None else {**({self.slot: self.name} if self.block else {}), **found}

    @property
    def slots(self) -> tuple:
        """Every slot that is filled: one, but for combinations."""
        everywhere = matching(self.on, "*") or {}
        return tuple(slot for slot in SLOTS if slot in everywhere or (self.block and slot == self.slot))

    def load(self) -> Callable:
        """What makes the block: the class, with its arguments where it has some."""
        made = _imported(self.block) if isinstance(self.block, str) else self.block
        return functools.partial(made, **self.arguments) if self.arguments else made


def _imported(block):
    module, _, name = block.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise GluonAttnError(
            f"block={block!r} cannot be imported ({problem}): write 'module:Class', with the module on Python's path."
        ) from problem


def matching(table: Mapping, backbone: str) -> Optional[Dict[str, Any]]:
    """The arguments of all entries of {backbones: arguments} that match, in order; None where none does.

    >>> matching({"*": dict(reduction=16), "cifar_*": dict(reduction=4)}, "cifar_resnet20")
    {'reduction': 4}
    """
    found = [given for patterns, given in table.items() if _matches(patterns, backbone)]
    return {key: value for given in found for key, value in given.items()} if found else None


def _matches(patterns, backbone):
    return any(fnmatchcase(backbone, p) for p in ((patterns,) if isinstance(patterns, str) else patterns))
