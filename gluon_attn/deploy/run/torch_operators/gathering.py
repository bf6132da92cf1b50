"""Joining, gathering, and tensors from nothing, as MXNet's operators mean them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import as_dtype, as_tuple, only

# --- joining -------------------------------------------------------------------------------------------------------


def concat(*tensors, dim=1):
    return torch.cat(tensors, dim)


def stack(*tensors, axis=0):
    return torch.stack(tensors, axis)


def tile(x, reps):
    return x.tile(as_tuple(reps))


def repeat(x, repeats, axis=None):
    return x.repeat_interleave(repeats, axis)


@only(mode=("constant", "edge", "reflect"))
def pad(x, mode, pad_width, constant_value=0.0):
    """pad_width is (before, after) of every axis, the first axis first."""
    pairs = [tuple(pad_width[i : i + 2]) for i in range(0, len(pad_width), 2)]
    if mode == "constant":
        return F.pad(x, [side for pair in pairs[::-1] for side in pair], value=float(constant_value))
    # PyTorch reflects and repeats the last axes only, and so does MXNet.
    sides = [side for pair in pairs[:1:-1] for side in pair]
    return F.pad(x, sides, mode={"edge": "replicate", "reflect": "reflect"}[mode])


def where(condition, x, y):
    """A condition with one axis chooses rows."""
    if condition.dim() == 1 and x.dim() > 1:
        condition = condition.reshape(-1, *[1] * (x.dim() - 1))
    return torch.where(condition != 0, x, y)


# --- gathering -----------------------------------------------------------------------------------------------------


def _places(index, count, mode):
    """Indices are numbers of any type in MXNet; those outside are cut off, or counted from the other end."""
    index = index.long()
    return index.remainder(count) if mode == "wrap" else index.clamp(0, count - 1)


def take(x, indices, axis=0, mode="clip"):
    axis = axis % x.dim()
    index = _places(indices, x.shape[axis], mode)
    rows = x.index_select(axis, index.reshape(-1))
    return rows.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def embedding(indices, weight, input_dim=None, output_dim=None, dtype="float32", sparse_grad=False):
    return F.embedding(_places(indices, weight.shape[0], "clip"), weight)


def pick(x, index, axis=-1, keepdims=False, mode="clip"):
    if index.dim() < x.dim():
        index = index.unsqueeze(axis)
    picked = x.gather(axis, _places(index, x.shape[axis], mode))
    return picked if keepdims else picked.squeeze(axis)


def batch_take(x, indices):
    return x.gather(1, _places(indices.reshape(-1, 1), x.shape[1], "clip")).squeeze(1)


def diag(x, k=0, axis1=0, axis2=1):
    """A diagonal of the last axis, or a matrix around a line."""
    return x.diag(k) if x.dim() == 1 else x.diagonal(k, axis1, axis2)


def scatter_nd(x, indices, shape):
    """Zeros with the rows of x at the indices."""
    return x.new_zeros(as_tuple(shape)).index_put(tuple(indices.long()), x)


def gather_nd(x, indices):
    return x[tuple(indices.long())]


def one_hot(indices, depth, on_value=1.0, off_value=0.0, dtype="float32"):
    hot = indices.long().unsqueeze(-1) == torch.arange(depth, device=indices.device)
    return torch.where(hot, float(on_value), float(off_value)).to(as_dtype(dtype))


# --- from nothing --------------------------------------------------------------------------------------------------


def arange(start=0.0, stop=None, step=1.0, repeat=1, infer_range=False, dtype="float32"):
    first, last = (0.0, start) if stop is None else (start, stop)
    return torch.arange(first, last, step, dtype=as_dtype(dtype)).repeat_interleave(repeat)


def arange_like(x, start=0.0, step=1.0, repeat=1, axis=None):
    count = x.numel() if axis is None else x.shape[axis]
    line = start + step * torch.arange(math.ceil(count / repeat), device=x.device, dtype=x.dtype)
    line = line.repeat_interleave(repeat)[:count] if repeat > 1 else line
    return line.reshape(x.shape) if axis is None else line


def zeros(shape, dtype="float32"):
    return full(shape, 0, dtype)


def ones(shape, dtype="float32"):
    return full(shape, 1, dtype)


def full(shape, value, dtype="float32"):
    """A side of 0, which MXNet takes from where the tensor is used (a batch's), is 1 here, and broadcast there."""
    return torch.full([side or 1 for side in as_tuple(shape)], float(value), dtype=as_dtype(dtype))


def eye(N, M=0, k=0, dtype="float32"):
    columns = torch.arange(int(M) or int(N)) - int(k)
    return (torch.arange(int(N))[:, None] == columns).to(as_dtype(dtype))


OPERATORS = {
    "Concat": concat,
    "Embedding": embedding,
    "Pad": pad,
    "_arange": arange,
    "_contrib_arange_like": arange_like,
    "_contrib_SparseEmbedding": embedding,
    "_eye": eye,
    "_full": full,
    "_ones": ones,
    "_zeros": zeros,
    "batch_take": batch_take,
    "diag": diag,
    "gather_nd": gather_nd,
    "one_hot": one_hot,
    "pick": pick,
    "repeat": repeat,
    "scatter_nd": scatter_nd,
    "stack": stack,
    "take": take,
    "tile": tile,
    "where": where,
}
