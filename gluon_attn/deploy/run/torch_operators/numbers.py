"""What the operators share: types by MXNet's names, and the mark of an operator with several outputs."""

from __future__ import annotations

import torch

from gluon_attn.errors import unknown

_DTYPES = ("float16", "float32", "float64", "bfloat16", "uint8", "int8", "int32", "int64", "bool")


def as_dtype(name):
    """torch.float32 of 'float32'."""
    if name not in _DTYPES:
        raise unknown("type", name, _DTYPES)
    return getattr(torch, name)


def several(function):
    """A decorator: the function returns a tuple, one entry an output of the operator."""
    function.several = True
    return function
