"""MXNet's operators in PyTorch: one small function each, named as in a symbol file.

An operator is a function of its inputs (by place) and its attributes (by name, with MXNet's defaults), or a module
class that is made of the attributes and called with the inputs, where training and inference differ.
"""

from __future__ import annotations

import inspect

from gluon_attn.deploy.run.torch_operators import (
    arithmetic,
    attention,
    boxes,
    functions,
    gathering,
    layers,
    pooling,
    regions,
    sampling,
    sequences,
    shapes,
    sums,
)
from gluon_attn.errors import GluonAttnError, unknown

_FILES = (
    arithmetic,
    functions,
    shapes,
    gathering,
    sums,
    layers,
    pooling,
    boxes,
    regions,
    sequences,
    sampling,
    attention,
)
OPERATORS = {name: operator for file in _FILES for name, operator in file.OPERATORS.items()}
_SPEED_ONLY = ("ndev", "key")  # of SyncBatchNorm


def operator_of(node):
    """(function or module class, its attributes) of a Node, or a sentence with the operator's name and place."""
    if node.operator not in OPERATORS:
        raise unknown(
            f"operator (at {node.name!r} in the graph; the PyTorch engine has no such)", node.operator, OPERATORS
        )
    operator = OPERATORS[node.operator]
    attributes = {key: value for key, value in node.attributes.items() if key not in _SPEED_ONLY}
    if not attributes.get("output_mean_var", True):
        del attributes["output_mean_var"]
    takes = _keywords(operator)
    for key in attributes:
        if key not in takes and "**" not in takes:
            raise GluonAttnError(
                f"{node.operator} at {node.name!r} has {key}={attributes[key]!r}, which the PyTorch engine does not "
                f"know. It knows {', '.join(sorted(takes)) or 'no attributes there'}."
            )
    for key, choices in getattr(operator, "only", {}).items():
        if attributes.get(key) not in (None, *choices):
            raise GluonAttnError(
                f"{node.operator} at {node.name!r} has {key}={attributes[key]!r}, which the PyTorch engine does not "
                f"know. It knows {', '.join(map(repr, choices))}."
            )
    return operator, attributes


def _keywords(operator):
    """Names of the attributes that an operator takes; '**' where it takes any."""
    try:
        parameters = inspect.signature(operator).parameters.values()
    except ValueError:  # PyTorch's own functions, all of which stand for operators without attributes
        return ()
    return ["**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
