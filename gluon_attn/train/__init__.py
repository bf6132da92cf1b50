"""Training: a recipe in, a folder with weights, metrics and curves out.

>>> from gluon_attn.train import Recipe, fit
>>> metrics = fit(Recipe.load("digits", model="cifar_aff_resnet20", epochs=2))
"""

from __future__ import annotations

import importlib

from gluon_attn.recipe.files import list_recipes
from gluon_attn.recipe.recipe import Recipe

__all__ = ["Recipe", "fit", "list_recipes", "plan"]


def __getattr__(name):
    # These need MXNet, and `--help` must not wait for it.
    if name == "fit":
        return importlib.import_module("gluon_attn.train.loop").fit
    if name == "plan":
        return importlib.import_module("gluon_attn.train.dry_run").plan
    raise AttributeError(f"module 'gluon_attn.train' has no attribute {name!r}")
