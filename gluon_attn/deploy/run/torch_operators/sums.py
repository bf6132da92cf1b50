"""Reductions, products of matrices, orders and types, as MXNet's operators mean them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import as_dtype, several

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
    return _kept(x, x.mean(_axes(x, axis, exclude), keepdim=keepdims))


def max_(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, x.amax(_axes(x, axis, exclude), keepdim=keepdims))


def min_(x, axis=None, keepdims=False, exclude=False):
    return _kept(x, x.amin(_axes(x, axis, exclude), keepdim=keepdims))


def prod(x, axis=None, keepdims=False, exclude=False):
    for a in reversed(_axes(x, axis, exclude)):
        x = x.prod(a, keepdim=True)
    axes = _axes(x, axis, exclude)
    return x if keepdims else _kept(x, x.squeeze(axes))


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


def gemm2(x, y, transpose_a=False, transpose_b=False, alpha=1.0, axis=-2):
    if axis not in (-2, x.dim() - 2):
        raise NotImplementedError(f"linalg_gemm2 with axis={axis}")
    return alpha * torch.matmul(_turned(x, transpose_a), _turned(y, transpose_b))


# --- probabilities -------------------------------------------------------------------------------------------------


def softmax(x, axis=-1, temperature=None, dtype=None, use_length=False):
    return F.softmax(_heated(x, temperature, use_length), axis, dtype=dtype and as_dtype(dtype))


def log_softmax(x, axis=-1, temperature=None, dtype=None, use_length=False):
    return F.log_softmax(_heated(x, temperature, use_length), axis, dtype=dtype and as_dtype(dtype))


def softmin(x, axis=-1, temperature=None, dtype=None, use_length=False):
    return softmax(-x, axis, temperature, dtype, use_length)


def _heated(x, temperature, use_length):
    if use_length:
        raise NotImplementedError("softmax with use_length=True")
    return x if temperature is None else x / temperature


def softmax_activation(x, mode="instance"):
    return F.softmax(x, 1) if mode == "channel" else F.softmax(x.flatten(1), 1).reshape(x.shape)


def softmax_output(x, multi_output=False, preserve_shape=False, **loss):
    """The probabilities; the cross-entropy of `loss` is the trainer's affair."""
    if preserve_shape:
        return F.softmax(x, -1)
    return F.softmax(x, 1) if multi_output else F.softmax(x.flatten(1), 1).reshape(x.shape)


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
    places = places.to(as_dtype(dtype))
    if ret_typ == "mask":
        raise NotImplementedError("topk with ret_typ='mask'")
    return {"indices": (places,), "value": (values,), "both": (values, places)}[ret_typ]


def cast(x, dtype):
    return x.to(as_dtype(dtype))


OPERATORS = {
    "Cast": cast,
    "SoftmaxActivation": softmax_activation,
    "SoftmaxOutput": softmax_output,
    "_linalg_gemm2": gemm2,
    "amp_cast": cast,
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
    "nansum": nansum,
    "norm": norm,
    "prod": prod,
    "softmax": softmax,
    "softmin": softmin,
    "sort": sort,
    "sum": sum_,
    "topk": topk,
}
