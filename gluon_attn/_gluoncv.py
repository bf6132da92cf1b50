"""Our names in GluonCV's zoo."""

from __future__ import annotations

import functools
import sys
from typing import Callable, Dict, Iterable, List

import wrapt

_PACKAGE = "gluoncv.model_zoo"
_ZOO, _STORE = f"{_PACKAGE}.model_zoo", f"{_PACKAGE}.model_store"
_LIST = "pretrained_model_list"


def register_when_imported(makers: Callable[[], Dict[str, Callable]], trained: Callable[[], List[str]]):
    """Add our names to GluonCV's zoo as soon as GluonCV is imported, or now.

    makers : {name: what makes the network}, for `get_model` and as functions (`gluoncv.model_zoo.aff_resnet50`)
    trained : names with weights, for `pretrained_model_list`
    """
    # Importing GluonCV here would cost a second and fail where it is broken; a post-import hook costs neither.
    wrapt.register_post_import_hook(lambda module: _list_ours(module, trained), _STORE)
    wrapt.register_post_import_hook(lambda module: _add(module, makers()), _ZOO)
    wrapt.register_post_import_hook(lambda module: _list_ours(module, trained), _PACKAGE)


def _list_ours(module, trained):
    """Let its `pretrained_model_list` name ours, behind its own. The package and its module hold the same function."""
    theirs = getattr(module, _LIST, None)
    if theirs is None or hasattr(theirs, "of_gluoncv"):
        return

    @functools.wraps(theirs)
    def pretrained_model_list():
        own = theirs()
        return [*own, *(name for name in trained() if name not in set(own))]

    pretrained_model_list.of_gluoncv = theirs
    setattr(module, _LIST, pretrained_model_list)


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
            vars(sys.modules.get(_PACKAGE)).pop(name, None)


def _add(module, makers):
    registry = module._models  # GluonCV has no public hook; keys are lower-case
    package = sys.modules.get(_PACKAGE)
    for name, make in makers.items():
        registry.setdefault(name, make)
        if package is not None and registry[name] is make and not hasattr(package, name):
            setattr(package, name, make)


def _ours(make):
    return getattr(getattr(make, "func", make), "__module__", "").startswith("gluon_attn.")
