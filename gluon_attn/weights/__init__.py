"""Weights: which files there are, where they are found, how they are verified, and how their names become ours.

Importing this package does not import MXNet.
"""

from __future__ import annotations

from gluon_attn.weights.load import classes_of, identify, load_arrays, load_pretrained, load_weights, translate
from gluon_attn.weights.origin import Origin
from gluon_attn.weights.save import save_weights
from gluon_attn.weights.table import WeightsEntry, all_published, choose, entries, variants

__all__ = [
    "Origin",
    "WeightsEntry",
    "all_published",
    "choose",
    "classes_of",
    "entries",
    "identify",
    "load_arrays",
    "load_pretrained",
    "load_weights",
    "save_weights",
    "translate",
    "variants",
]
