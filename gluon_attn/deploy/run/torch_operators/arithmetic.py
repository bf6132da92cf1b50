"""Arithmetic and comparisons of two tensors, or of a tensor and a number, as MXNet's operators mean them."""

from __future__ import annotations

import operator

import torch

# --- of two tensors; MXNet's broadcasting is PyTorch's -------------------------------------------------------------


def maximum(x, y):
    """Where both are equal, the gradient is x's (`torch.maximum` halves it)."""
    return torch.where(x >= y, x, y)


def minimum(x, y):
    return torch.where(x <= y, x, y)


def div(x, y):
    """Of whole numbers without the rest, towards 0."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def modulo(x, y):
    """With the sign of y; 0 where y is 0."""
    result = torch.remainder(x, y)
    return torch.where(torch.as_tensor(y, device=x.device) == 0, torch.zeros_like(result), result)


def equal(x, y):
    """MXNet's comparisons are 0 and 1 in the type of x."""
    return (x == y).to(x.dtype)


def not_equal(x, y):
    return (x != y).to(x.dtype)


def greater(x, y):
    return (x > y).to(x.dtype)


def greater_equal(x, y):
    return (x >= y).to(x.dtype)


def lesser(x, y):
    return (x < y).to(x.dtype)


def lesser_equal(x, y):
    return (x <= y).to(x.dtype)


def logical_and(x, y):
    return torch.logical_and(x, y).to(x.dtype)


def logical_or(x, y):
    return torch.logical_or(x, y).to(x.dtype)


def logical_xor(x, y):
    return torch.logical_xor(x, y).to(x.dtype)


_OF_TWO = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": div,
    "mod": modulo,
    "power": torch.pow,
    "maximum": maximum,
    "minimum": minimum,
    "hypot": torch.hypot,
    "equal": equal,
    "not_equal": not_equal,
    "greater": greater,
    "greater_equal": greater_equal,
    "lesser": lesser,
    "lesser_equal": lesser_equal,
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_xor": logical_xor,
}


def add_n(*tensors):
    return sum(tensors[1:], tensors[0])


# --- of a tensor and a number --------------------------------------------------------------------------------------


def _number(x, scalar):
    """Of a scalar and whole numbers MXNet takes the whole part."""
    return float(scalar) if x.is_floating_point() else int(scalar)


def plus_scalar(x, scalar):
    return x + _number(x, scalar)


def minus_scalar(x, scalar):
    return x - _number(x, scalar)


def rminus_scalar(x, scalar):
    return _number(x, scalar) - x


def mul_scalar(x, scalar):
    return x * _number(x, scalar)


def div_scalar(x, scalar):
    return div(x, _number(x, scalar))


def rdiv_scalar(x, scalar):
    return div(torch.full_like(x, _number(x, scalar)), x)


def power_scalar(x, scalar):
    return x ** _number(x, scalar)


def rpower_scalar(x, scalar):
    return torch.pow(_number(x, scalar), x)


def mod_scalar(x, scalar):
    return modulo(x, _number(x, scalar))


def rmod_scalar(x, scalar):
    return modulo(torch.full_like(x, _number(x, scalar)), x)


def maximum_scalar(x, scalar):
    return maximum(x, torch.full_like(x, _number(x, scalar)))


def minimum_scalar(x, scalar):
    return minimum(x, torch.full_like(x, _number(x, scalar)))


def equal_scalar(x, scalar):
    return equal(x, _number(x, scalar))


def not_equal_scalar(x, scalar):
    return not_equal(x, _number(x, scalar))


def greater_scalar(x, scalar):
    return greater(x, _number(x, scalar))


def greater_equal_scalar(x, scalar):
    return greater_equal(x, _number(x, scalar))


def lesser_scalar(x, scalar):
    return lesser(x, _number(x, scalar))


def lesser_equal_scalar(x, scalar):
    return lesser_equal(x, _number(x, scalar))


def logical_and_scalar(x, scalar):
    return logical_and(x, torch.full_like(x, _number(x, scalar)))


def logical_or_scalar(x, scalar):
    return logical_or(x, torch.full_like(x, _number(x, scalar)))


def logical_xor_scalar(x, scalar):
    return logical_xor(x, torch.full_like(x, _number(x, scalar)))


def hypot_scalar(x, scalar):
    return torch.hypot(x, torch.full_like(x, _number(x, scalar)))


_WITH_A_NUMBER = (
    plus_scalar,
    minus_scalar,
    rminus_scalar,
    mul_scalar,
    div_scalar,
    rdiv_scalar,
    power_scalar,
    rpower_scalar,
    mod_scalar,
    rmod_scalar,
    maximum_scalar,
    minimum_scalar,
    equal_scalar,
    not_equal_scalar,
    greater_scalar,
    greater_equal_scalar,
    lesser_scalar,
    lesser_equal_scalar,
    logical_and_scalar,
    logical_or_scalar,
    logical_xor_scalar,
    hypot_scalar,
)

# Names of before MXNet 0.9.
_OLD = {"Plus": "add", "Minus": "sub", "Mul": "mul", "Div": "div", "Power": "power", "plus": "add", "minus": "sub"}
_OLD_SCALAR = ("Plus", "Minus", "RMinus", "Mul", "Div", "RDiv", "Power", "RPower", "Maximum", "Minimum")
_SCALAR = {function.__name__: function for function in _WITH_A_NUMBER}

OPERATORS = {
    **{f"{kind}_{name}": function for kind in ("elemwise", "broadcast") for name, function in _OF_TWO.items()},
    **{f"_{name}": function for name, function in _OF_TWO.items()},
    **{f"_{old}": _OF_TWO[name] for old, name in _OLD.items()},
    **{f"_{name}": function for name, function in _SCALAR.items()},
    **{f"_{old}Scalar": _SCALAR[f"{old.lower()}_scalar"] for old in _OLD_SCALAR},
    "_grad_add": operator.add,
    "add_n": add_n,
    "negative": operator.neg,
}
