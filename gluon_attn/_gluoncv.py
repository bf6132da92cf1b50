"""Our names in GluonCV's zoo."""

from __future__ import annotations

import sys
from typing import Callable, Dict, Iterable

import wrapt

_ZOO = "gluoncv.model_zoo.model_zoo"


def register_when_imported(makers: Callable[[], Dict[str, Callable]]):
    """Add {name: what makes the network} to `gluoncv.model_zoo.get_model` as soon as GluonCV is imported, or now."""
    # Importing GluonCV here would cost a second and fail where it is broken; a post-import hook costs neither.
    wrapt.register_post_import_hook(lambda module: _add(module, makers()), _ZOO)


def offer(makers: Dict[str, Callable]):
    """Add names that came later, where GluonCV is imported; else they come with all others."""
    if _ZOO in sys.modules:
        _add(sys.modules[_ZOO], makers)


def withdraw(names: Iterable[str]):
    """Take names that were offered out of GluonCV's zoo again."""
    registry = getattr(sys.modules.get(_ZOO), "_models", {})
    for name in names:
        if name in registry and _ours(registry[name]):
            del registry[name]


def _add(module, makers):
    registry = module._models  # GluonCV has no public hook; keys are lower-case
    for name, make in makers.items():
        registry.setdefault(name, make)


def _ours(make):
    return getattr(getattr(make, "func", make), "__module__", "").startswith("gluon_attn.")
