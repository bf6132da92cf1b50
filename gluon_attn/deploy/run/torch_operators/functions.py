"""Functions of one tensor, value by value, as MXNet's operators mean them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import only


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


def ones_like(x, **ignored):
    """MXNet takes any attribute, a dtype as well, and heeds none."""
    return torch.ones_like(x)


def zeros_like(x, **ignored):
    return torch.zeros_like(x)


def gradient_multiplier(x, scalar):
    return x.detach() + scalar * (x - x.detach())


def _straight(x, value):
    """The value, with the gradient of x."""
    return value.detach() + (x - x.detach())


def round_ste(x):
    return _straight(x, away_from_zero(x))


def sign_ste(x):
    return _straight(x, x.sign())


def quadratic(x, a=0.0, b=0.0, c=0.0):
    return a * x * x + b * x + c


def div_sqrt_dim(x):
    return x / math.sqrt(x.shape[-1])


ACTIVATIONS = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softrelu": F.softplus,
    "softsign": F.softsign,
    "zeros_like": zeros_like,
}


@only(act_type=tuple(ACTIVATIONS))
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
]

OPERATORS = {
    **{name: getattr(torch, name) for name in _PLAIN},
    "Activation": activation,
    "BlockGrad": block_grad,
    "MakeLoss": identity,
    "_contrib_div_sqrt_dim": div_sqrt_dim,
    "_contrib_gradientmultiplier": gradient_multiplier,
    "_contrib_quadratic": quadratic,
    "_contrib_round_ste": round_ste,
    "_contrib_sign_ste": sign_ste,
    "_copy": identity,
    "cbrt": cbrt,
    "clip": clip,
    "degrees": torch.rad2deg,
    "fix": torch.trunc,
    "gamma": gamma,
    "gammaln": torch.lgamma,
    "hard_sigmoid": hard_sigmoid,
    "logical_not": logical_not,
    "make_loss": identity,
    "ones_like": ones_like,
    "radians": torch.deg2rad,
    "rcbrt": rcbrt,
    "rint": half_down,
    "round": away_from_zero,
    "smooth_l1": smooth_l1,
    "softsign": F.softsign,
    "zeros_like": zeros_like,
}
