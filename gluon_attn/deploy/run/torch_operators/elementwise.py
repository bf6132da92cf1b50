"""Arithmetic, comparisons and functions of one value, as MXNet's operators mean them."""

from __future__ import annotations

import math
import operator

import torch
import torch.nn.functional as F

# --- of two tensors; MXNet's broadcasting is PyTorch's -------------------------------------------------------------


def maximum(x, y):
    """Where both are equal, the gradient is x's (`torch.maximum` halves it)."""
    return torch.where(x >= y, x, y)


def minimum(x, y):
    return torch.where(x <= y, x, y)


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
    "div": operator.truediv,
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


def plus_scalar(x, scalar):
    return x + float(scalar)


def minus_scalar(x, scalar):
    return x - float(scalar)


def rminus_scalar(x, scalar):
    return float(scalar) - x


def mul_scalar(x, scalar):
    return x * float(scalar)


def div_scalar(x, scalar):
    return x / float(scalar)


def rdiv_scalar(x, scalar):
    return float(scalar) / x


def power_scalar(x, scalar):
    return x ** float(scalar)


def rpower_scalar(x, scalar):
    return torch.pow(float(scalar), x)


def mod_scalar(x, scalar):
    return modulo(x, float(scalar))


def rmod_scalar(x, scalar):
    return modulo(torch.full_like(x, float(scalar)), x)


def maximum_scalar(x, scalar):
    return maximum(x, torch.full_like(x, float(scalar)))


def minimum_scalar(x, scalar):
    return minimum(x, torch.full_like(x, float(scalar)))


def equal_scalar(x, scalar):
    return equal(x, float(scalar))


def not_equal_scalar(x, scalar):
    return not_equal(x, float(scalar))


def greater_scalar(x, scalar):
    return greater(x, float(scalar))


def greater_equal_scalar(x, scalar):
    return greater_equal(x, float(scalar))


def lesser_scalar(x, scalar):
    return lesser(x, float(scalar))


def lesser_equal_scalar(x, scalar):
    return lesser_equal(x, float(scalar))


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
)


# --- of one tensor -------------------------------------------------------------------------------------------------


def identity(x):
    return x


def block_grad(x):
    return x.detach()


def cbrt(x):
    return x.sign() * x.abs() ** (1 / 3)


def rcbrt(x):
    return 1 / cbrt(x)


def away_from_zero(x):
    """MXNet rounds a half away from zero, PyTorch to the even number."""
    return x.sign() * (x.abs() + 0.5).floor()


def half_down(x):
    """MXNet's rint: the nearest whole number, and of two the lower."""
    return (x - 0.5).ceil()


def gamma(x):
    """Euler's; of a negative number it has the sign of (-1)^ceil(-x)."""
    sign = torch.where((x < 0) & (x.floor() % 2 != 0), -torch.ones_like(x), torch.ones_like(x))
    return sign * torch.lgamma(x).exp()


def logical_not(x):
    return (x == 0).to(x.dtype)


def hard_sigmoid(x, alpha=0.2, beta=0.5):
    return (alpha * x + beta).clamp(0, 1)


def smooth_l1(x, scalar=1.0):
    """(scalar x)^2 / 2 up to |x| = 1 / scalar^2, then |x| - 1 / (2 scalar^2)."""
    square = float(scalar) ** 2
    return torch.where(x.abs() < 1 / square, 0.5 * square * x * x, x.abs() - 0.5 / square)


def clip(x, a_min, a_max):
    return x.clamp(a_min, a_max)


def div_sqrt_dim(x):
    return x / math.sqrt(x.shape[-1])


ACTIVATIONS = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softrelu": F.softplus,
    "softsign": F.softsign,
}


def activation(x, act_type):
    return ACTIVATIONS[act_type](x)


_PLAIN = [
    "abs",
    "sign",
    "ceil",
    "floor",
    "trunc",
    "exp",
    "log",
    "log2",
    "log10",
    "log1p",
    "expm1",
    "sqrt",
    "rsqrt",
    "square",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "erf",
    "erfinv",
    "sigmoid",
    "relu",
    "ones_like",
    "zeros_like",
]

OPERATORS = {
    **{f"{kind}_{name}": function for kind in ("elemwise", "broadcast") for name, function in _OF_TWO.items()},
    **{f"_{name}": function for name, function in _OF_TWO.items()},
    **{f"_{function.__name__}": function for function in _WITH_A_NUMBER},
    **{name: getattr(torch, name) for name in _PLAIN},
    "Activation": activation,
    "BlockGrad": block_grad,
    "MakeLoss": identity,
    "_contrib_div_sqrt_dim": div_sqrt_dim,
    "_copy": identity,
    "_grad_add": operator.add,
    "add_n": add_n,
    "cbrt": cbrt,
    "clip": clip,
    "degrees": torch.rad2deg,
    "fix": torch.trunc,
    "gamma": gamma,
    "gammaln": torch.lgamma,
    "hard_sigmoid": hard_sigmoid,
    "logical_not": logical_not,
    "make_loss": identity,
    "negative": operator.neg,
    "radians": torch.deg2rad,
    "rcbrt": rcbrt,
    "rint": half_down,
    "round": away_from_zero,
    "smooth_l1": smooth_l1,
    "softsign": F.softsign,
}
