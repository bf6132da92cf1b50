"""What every mechanism must compute, written a second time in numpy: one file a paper, found by being here.

A reference is a function of the inputs (float64 arrays) and of the block's parameters {path: array}. It is registered
for the name of a record in gluon_attn/catalogue/mechanisms.py; tests/attention/test_references.py runs it on every form
of the arguments, with random values in every parameter and in the running statistics, and fails for a record without.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Callable, Dict, Optional, Sequence

import numpy as np

from tests.helpers import sigmoid

REFERENCES: Dict[str, Reference] = {}
# What `gating` and `alpha` can be; every mechanism that takes them is run on all of these.
GATINGS = [("sigmoid", 0.8), ("complement", 1.0), ("complement", 0.5), ("reciprocal", 1.0), ("negated", 1.0)]


@dataclass(frozen=True)
class Reference:
    """
    compute : (*inputs, p, **form) -> array. For a head: (features {stage: array}, p, **form) -> {output: array}
    forms : arguments which between them name every argument that the block takes
    channels, space : of the input
    kinds : of the maps that a gate announces (explain/maps.py); by default one a channel
    redo : (x, maps, p) -> the output from the announced maps; by default the product of x and the maps
    """

    compute: Callable
    forms: Sequence[dict]
    channels: int = 32
    space: tuple = (5, 7)
    kinds: Sequence[str] = ()
    redo: Optional[Callable] = None


def reference(name, *forms, bare=True, **how):
    """Register the function below as the reference of the mechanism `name`.

    bare : it can be made without arguments, too, and is
    """

    def register(compute):
        REFERENCES[name] = Reference(compute, [*([{}] if bare else []), *forms], **how)
        return compute

    return register


def gate_weight(z, gating="sigmoid", alpha=1.0):
    """The gating functions of attention/gating.py."""
    return {
        "sigmoid": lambda: alpha * sigmoid(z),
        "complement": lambda: 1 - alpha * sigmoid(z),
        "reciprocal": lambda: sigmoid(1 / (sigmoid(z) + 1e-6)),
        "negated": lambda: sigmoid(-z),
    }[gating]()


def relu(x):
    return np.maximum(x, 0)


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def mean(x):
    return x.mean((2, 3), keepdims=True)


def product(x, maps, p):
    for weight in maps:
        x = x * weight
    return x


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
