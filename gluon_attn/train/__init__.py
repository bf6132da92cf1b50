"""Training: a recipe in, a folder with weights, metrics and curves out.

>>> from gluon_attn.train import Recipe, fit
>>> metrics = fit(Recipe.load("digits", model="cifar_aff_resnet20", epochs=2))
"""

from __future__ import annotations

import importlib

from gluon_attn._compat import mxnet_explained
from gluon_attn.recipe.files import list_recipes
from gluon_attn.recipe.recipe import Recipe

__all__ = ["Recipe", "fit", "list_recipes", "plan"]


# These need MXNet, and `--help` must not wait for it.
_LAZY = {"fit": "loop", "plan": "dry_run"}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'gluon_attn.train' has no attribute {name!r}")
    with mxnet_explained():
        return getattr(importlib.import_module(f"gluon_attn.train.{_LAZY[name]}"), name)
