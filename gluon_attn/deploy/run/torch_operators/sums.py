"""Reductions, products of matrices, orders and types, as MXNet's operators mean them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import as_dtype, only, several

# --- over axes -----------------------------------------------------------------------------------------------------


def _axes(x, axis, exclude=False):
    """None and () mean all axes; `exclude` means all others."""
    chosen = (axis,) if isinstance(axis, int) else tuple(axis or ())
    chosen = {a % x.dim() for a in chosen} or set(range(x.dim()))
    return tuple(a for a in range(x.dim()) if (a in chosen) != bool(exclude))


def _kept(x, result):
    """MXNet 1.x has no arrays without axes: what is left of all axes is one number in a row."""
    return result.reshape(1) if x.dim() and not result.dim() else result


def sum_(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, x.sum(_axes(x, axis, exclude), keepdim=keepdims))


def nansum(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, x.nansum(_axes(x, axis, exclude), keepdim=keepdims))


def mean(x, axis=None, keepdims=False, exclude=False):
    """Of whole numbers a whole one."""
    exact = x if x.is_floating_point() else x.double()
    return _kept(x, exact.mean(_axes(x, axis, exclude), keepdim=keepdims).to(x.dtype))


def _of_equals(x, extreme, keepdims, axes):
    """The largest or least value, whose gradient MXNet gives to each of several equals, PyTorch in parts."""
    result = extreme.detach()
    if x.requires_grad and torch.is_grad_enabled():
        equals = torch.where(x == result, x, torch.zeros_like(x)).sum(axes, keepdim=True)
        result = result + (equals - equals.detach()).nan_to_num()  # 0, and of infinities, too
    return result if keepdims else result.squeeze(axes)


def max_(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, _of_equals(x, x.amax(_axes(x, axis, exclude), keepdim=True), keepdims, _axes(x, axis, exclude)))


def min_(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, _of_equals(x, x.amin(_axes(x, axis, exclude), keepdim=True), keepdims, _axes(x, axis, exclude)))


def prod(x, axis=None, keepdims=False, exclude=False):
    for a in reversed(_axes(x, axis, exclude)):
        x = x.prod(a, keepdim=True)
    axes = _axes(x, axis, exclude)
    return x if keepdims else _kept(x, x.squeeze(axes))


def nanprod(x, axis=None, keepdims=False, exclude=False):
    return prod(torch.where(x.isnan(), torch.ones_like(x), x), axis, keepdims, exclude)


@several
def moments(x, axes=None, keepdims=False):
    """Mean and biased variance."""
    middle = x.mean(_axes(x, axes), keepdim=True)
    variance = (x - middle).square().mean(_axes(x, axes), keepdim=True)
    both = (middle, variance) if keepdims else (middle.squeeze(_axes(x, axes)), variance.squeeze(_axes(x, axes)))
    return tuple(_kept(x, one) for one in both)


def norm(x, ord=2, axis=None, keepdims=False):
    return _kept(x, torch.linalg.vector_norm(x, ord, _axes(x, axis), keepdim=keepdims))


def cumsum(x, axis=None):
    return x.reshape(-1).cumsum(0) if axis is None else x.cumsum(axis)


# --- matrices ------------------------------------------------------------------------------------------------------


def _turned(x, transposed):
    return x.transpose(-1, -2) if transposed else x


def batch_dot(x, y, transpose_a=False, transpose_b=False, forward_stype=None):
    return torch.bmm(_turned(x, transpose_a), _turned(y, transpose_b))


def dot(x, y, transpose_a=False, transpose_b=False, forward_stype=None):
    """The last axis of x with the first of y; transposed, the first of x, the last of y."""
    axis_x = 0 if transpose_a else x.dim() - 1
    axis_y = y.dim() - 1 if transpose_b else 0
    result = torch.tensordot(x, y, ([axis_x], [axis_y]))
    return result if result.dim() else result.reshape(1)


@only(axis=(-2,))
def gemm2(x, y, transpose_a=False, transpose_b=False, alpha=1.0, axis=-2):
    return alpha * torch.matmul(_turned(x, transpose_a), _turned(y, transpose_b))


@only(axis=(-2,))
def gemm(x, y, z, transpose_a=False, transpose_b=False, alpha=1.0, beta=1.0, axis=-2):
    return gemm2(x, y, transpose_a, transpose_b, alpha) + beta * z


def syrk(x, transpose=False, alpha=1.0):
    """x with its own transpose, which comes first where `transpose` is set."""
    return alpha * torch.matmul(_turned(x, transpose), _turned(x, not transpose))


# --- probabilities -------------------------------------------------------------------------------------------------


def softmax(x, length=None, axis=-1, temperature=None, dtype=None, use_length=False):
    """Over the first `length` places along `axis` where that is given; the others are 0."""
    x = _heated(x, temperature)
    if length is None:
        return F.softmax(x, axis, dtype=dtype and as_dtype(dtype))
    inside = torch.arange(x.shape[axis], device=x.device) < length.unsqueeze(-1)
    moved = x.movedim(axis, -1).masked_fill(~inside, -math.inf)
    return F.softmax(moved, -1, dtype=dtype and as_dtype(dtype)).masked_fill(~inside, 0.0).movedim(-1, axis)


@only(use_length=(False,))
def log_softmax(x, axis=-1, temperature=None, dtype=None, use_length=False):
    return F.log_softmax(_heated(x, temperature), axis, dtype=dtype and as_dtype(dtype))


def softmin(x, length=None, axis=-1, temperature=None, dtype=None, use_length=False):
    return softmax(-x, length, axis, temperature, dtype)


def _heated(x, temperature):
    return x if temperature is None else x / temperature


def softmax_activation(x, mode="instance"):
    return F.softmax(x, 1) if mode == "channel" else F.softmax(x.flatten(1), 1).reshape(x.shape)


def softmax_output(x, multi_output=False, preserve_shape=False, **loss):
    """The probabilities; the cross-entropy of `loss` is the trainer's affair."""
    if preserve_shape:
        return F.softmax(x, -1)
    return F.softmax(x, 1) if multi_output else F.softmax(x.flatten(1), 1).reshape(x.shape)


def regression_output(x, grad_scale=1.0):
    return x


def logistic_output(x, grad_scale=1.0):
    return torch.sigmoid(x)


# --- orders and types ----------------------------------------------------------------------------------------------


def _extreme(function, x, axis, keepdims):
    if axis is None:
        return _kept(x, function(x.reshape(-1), 0).to(x.dtype))
    return _kept(x, function(x, axis, keepdim=bool(keepdims)).to(x.dtype))


def argmax(x, axis=None, keepdims=False):
    """MXNet's indices are numbers in the type of x."""
    return _extreme(torch.argmax, x, axis, keepdims)


def argmin(x, axis=None, keepdims=False):
    return _extreme(torch.argmin, x, axis, keepdims)


def argmax_channel(x):
    return torch.argmax(x, 1).to(x.dtype)


def sort(x, axis=-1, is_ascend=True):
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    return x.sort(axis, descending=not is_ascend).values


def argsort(x, axis=-1, is_ascend=True, dtype="float32"):
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    return x.argsort(dim=axis, descending=not is_ascend, stable=True).to(as_dtype(dtype))


@several
def topk(x, axis=-1, k=1, ret_typ="indices", is_ascend=False, dtype="float32"):
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    values, places = x.topk(k if k > 0 else x.shape[axis], axis, largest=not is_ascend)
    if ret_typ == "mask":
        return (torch.zeros_like(x).scatter(axis, places, 1.0),)
    places = places.to(as_dtype(dtype))
    return {"indices": (places,), "value": (values,), "both": (values, places)}[ret_typ]


def cast(x, dtype):
    """Between whole numbers and others. Floats stay what they are: the precision is the module's, not the graph's."""
    wanted = as_dtype(dtype)
    if not wanted.is_floating_point:
        return x.to(wanted)
    return x if x.is_floating_point() else x.to(torch.promote_types(wanted, torch.float32))


@several
def amp_multicast(*tensors, num_outputs=None, cast_narrow=False):
    return tensors


OPERATORS = {
    "Cast": cast,
    "SoftmaxActivation": softmax_activation,
    "SoftmaxOutput": softmax_output,
    "_linalg_gemm": gemm,
    "_linalg_gemm2": gemm2,
    "_linalg_syrk": syrk,
    "LinearRegressionOutput": regression_output,
    "LogisticRegressionOutput": logistic_output,
    "MAERegressionOutput": regression_output,
    "amp_cast": cast,
    "amp_multicast": amp_multicast,
    "argmax": argmax,
    "argmax_channel": argmax_channel,
    "argmin": argmin,
    "argsort": argsort,
    "batch_dot": batch_dot,
    "_np_cumsum": cumsum,
    "dot": dot,
    "log_softmax": log_softmax,
    "max": max_,
    "mean": mean,
    "min": min_,
    "moments": moments,
    "nanprod": nanprod,
    "nansum": nansum,
    "norm": norm,
    "prod": prod,
    "softmax": softmax,
    "softmin": softmin,
    "sort": sort,
    "sum": sum_,
    "topk": topk,
}
