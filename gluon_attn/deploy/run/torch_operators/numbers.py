"""What the operators share: types by MXNet's names, marks of operators."""

from __future__ import annotations

import torch

from gluon_attn.errors import unknown

CHANNELS_FIRST = ("NCW", "NCHW", "NCDHW")
_DTYPES = ("float16", "float32", "float64", "bfloat16", "uint8", "int8", "int32", "int64", "bool")


def as_dtype(name):
    """torch.float32 of 'float32'."""
    if name not in _DTYPES:
        raise unknown("type", name, _DTYPES)
    return getattr(torch, name)


def as_tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def only(**choices):
    """A decorator: the values that the engine knows of some attributes, where MXNet has more."""

    def mark(operator):
        operator.only = choices
        return operator

    return mark


def several(function):
    """A decorator: the function returns a tuple, one entry an output of the operator."""
    function.several = True
    return function
