"""Pooling and resizing, as MXNet's operators mean them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.functions import cbrt
from gluon_attn.deploy.run.torch_operators.numbers import CHANNELS_FIRST, only
from gluon_attn.errors import GluonAttnError

# --- pooling -------------------------------------------------------------------------------------------------------


_MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_ONE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_ROOTS = {1: lambda x: x, 2: torch.sqrt, 3: cbrt}


@only(layout=CHANNELS_FIRST, pooling_convention=("valid", "full"), p_value=tuple(_ROOTS))
def pooling(
    x,
    kernel=(),
    pool_type="max",
    global_pool=False,
    pooling_convention="valid",
    stride=(),
    pad=(),
    p_value=None,
    count_include_pad=None,
    layout=None,
):
    """'full' rounds the number of windows up; an average counts the padding unless count_include_pad is False.

    'lp' is the root of the sum of x^p_value, which MXNet takes without an absolute value.
    """
    if pool_type == "lp":
        powers = pooling(x**p_value, kernel, "sum", global_pool, pooling_convention, stride, pad)
        return _ROOTS[p_value](powers)
    if global_pool:
        axes = tuple(range(2, x.dim()))
        if pool_type == "max":  # of equals the first has the gradient
            return _ONE_MAX[len(axes)](x, 1)
        return (x.mean if pool_type == "avg" else x.sum)(axes, keepdim=True)
    count = len(kernel)
    stride, pad = tuple(stride) or (1,) * count, tuple(pad) or (0,) * count
    full = pooling_convention == "full"
    if full:
        _check_windows(x.shape[2:], kernel, stride, pad)
    if pool_type == "max":
        x, pad = _padded(x, kernel, pad, -math.inf)
        return _MAX[count](x, kernel, stride, pad, ceil_mode=full)
    if pool_type == "sum":
        return _sum_pooling(x, kernel, stride, pad, full)
    return _MEAN[count](x, kernel, stride, pad, full, count_include_pad is not False)


def _sum_pooling(x, kernel, stride, pad, full):
    if len(kernel) == 1:  # PyTorch can choose the divisor in planes and volumes
        return _sum_pooling(x.unsqueeze(2), (1, *kernel), (1, *stride), (0, *pad), full).squeeze(2)
    return _MEAN[len(kernel)](x, kernel, stride, pad, full, True, divisor_override=1)


def _padded(x, kernel, pad, value):
    """(x, pad) for PyTorch, which pads at most half of a kernel."""
    if all(2 * p <= k for p, k in zip(pad, kernel)):
        return x, pad
    return F.pad(x, [p for p in pad[::-1] for _ in range(2)], value=value), (0,) * len(pad)


def _check_windows(sides, kernel, stride, pad):
    """PyTorch leaves out a last window that lies in the padding alone."""
    for side, k, s, p in zip(sides, kernel, stride, pad):
        if math.ceil((side + 2 * p - k) / s) * s >= side + p:
            raise GluonAttnError(
                f"Kernel {kernel}, stride {stride} and padding {pad} over {tuple(sides)} make a window that sees "
                "nothing but padding: PyTorch has no such pooling. Choose pooling_convention='valid', or less padding."
            )


def adaptive_mean(x, output_size=()):
    """A mean over windows that tile the map; one number is both sides, and () is 1."""
    size = (output_size,) if isinstance(output_size, int) else tuple(output_size)
    return F.adaptive_avg_pool2d(x, size * 2 if len(size) == 1 else size or 1)


# --- resizing ------------------------------------------------------------------------------------------------------


_SIDES = {
    "size": lambda side, scale: int(side * scale),
    "odd_scale": lambda side, scale: int((side - side % 2) * scale) + side % 2,
    "to_even_down": lambda side, scale: side - side % 2,
    "to_even_up": lambda side, scale: side + side % 2,
    "to_odd_down": lambda side, scale: side - 1 + side % 2,
    "to_odd_up": lambda side, scale: side + 1 - side % 2,
}


@only(mode=(*_SIDES, "like"))
def bilinear_resize(
    x, like=None, height=1, width=1, scale_height=None, scale_width=None, mode="size", align_corners=True
):
    """Bilinear, with corners on corners unless align_corners is False."""
    if mode == "like":
        size = tuple(like.shape[2:])
    elif mode == "size" and scale_height is None:
        size = (height, width)
    else:
        size = tuple(_SIDES[mode](side, scale) for side, scale in zip(x.shape[2:], (scale_height, scale_width)))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=bool(align_corners))


def up_sampling(x, *others, scale=1, sample_type="nearest", multi_input_mode="concat"):
    """'nearest': all inputs to the size of the first times `scale`, joined; 'bilinear': with a weight."""
    if sample_type == "nearest":
        size = [side * scale for side in x.shape[2:]]
        large = [F.interpolate(y, size=size, mode="nearest") for y in (x, *others)]
        return torch.cat(large, 1) if multi_input_mode == "concat" else sum(large[1:], large[0])
    (weight,) = others
    pad = math.ceil((scale - 1) / 2)
    return F.conv_transpose2d(x, weight, stride=scale, padding=pad, groups=x.shape[1])


OPERATORS = {
    "Pooling": pooling,
    "UpSampling": up_sampling,
    "_contrib_AdaptiveAvgPooling2D": adaptive_mean,
    "_contrib_BilinearResize2D": bilinear_resize,
}
