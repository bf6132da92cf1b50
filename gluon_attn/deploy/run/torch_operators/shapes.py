"""Shapes, slices, gathering and joining, as MXNet's operators mean them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import as_dtype, several
from gluon_attn.errors import GluonAttnError

# --- shapes --------------------------------------------------------------------------------------------------------


def reshape(x, shape, reverse=False):
    """MXNet's codes: 0 keeps a side, -1 is what is left, -2 keeps all others, -3 joins two, -4 a b splits one."""
    sides, codes = list(x.shape), list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if not reverse:
        return x.reshape(_decoded(sides, codes))
    if {-2, -3, -4} & set(codes):
        raise GluonAttnError(f"Reshape {tuple(codes)} with reverse=True is not known to the PyTorch engine.")
    return x.reshape(_decoded(sides[::-1], codes[::-1])[::-1])


def _decoded(sides, codes):
    result, at, codes = [], 0, list(codes)
    while codes:
        code = codes.pop(0)
        if code == -2:
            result += sides[at:]
            at = len(sides)
        elif code == -3:
            result.append(sides[at] * sides[at + 1])
            at += 2
        elif code == -4:
            first, second = codes.pop(0), codes.pop(0)
            first = sides[at] // second if first == -1 else first
            result += [first, sides[at] // first]
            at += 1
        else:
            result.append(sides[at] if code == 0 else code)
            at += 1
    return result


def reshape_like(x, like, lhs_begin=None, lhs_end=None, rhs_begin=None, rhs_end=None):
    """The sides lhs_begin to lhs_end of x become those of `like`; by default all."""
    left, right = list(x.shape), list(like.shape)
    begin, end, _ = slice(lhs_begin, lhs_end).indices(len(left))
    return x.reshape(left[:begin] + right[slice(rhs_begin, rhs_end)] + left[end:])


def flatten(x):
    return x.flatten(1)


def swap_axes(x, dim1=0, dim2=0):
    return x.transpose(dim1, dim2)


def transpose(x, axes=()):
    return x.permute(tuple(axes) or tuple(range(x.dim()))[::-1])


def expand_dims(x, axis):
    return x.unsqueeze(axis)


def squeeze(x, axis=None):
    return x.squeeze() if axis is None else x.squeeze(axis)


def broadcast_to(x, shape):
    return x.expand([side or mine for side, mine in zip(shape, x.shape)])


def broadcast_axis(x, axis=(), size=()):
    shape = list(x.shape)
    for at, side in zip(_tuple(axis), _tuple(size)):
        shape[at] = side
    return x.expand(shape)


def broadcast_like(x, like, lhs_axes=None, rhs_axes=None):
    if lhs_axes is None:
        return x.expand(like.shape)
    return broadcast_axis(x, lhs_axes, [like.shape[axis] for axis in _tuple(rhs_axes)])


def depth_to_space(x, block_size):
    """Channel (a * b + i) * c + k goes to place (a, i) of a block: not PyTorch's `pixel_shuffle`."""
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def space_to_depth(x, block_size):
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def shape_array(x):
    return torch.tensor(list(x.shape), device=x.device)


def size_array(x):
    return torch.tensor([x.numel()], device=x.device)


# --- slices --------------------------------------------------------------------------------------------------------


def slice_axis(x, axis, begin, end):
    return x[_along(x, axis, slice(begin, end))]


def slice_(x, begin, end, step=()):
    """Python's slices; a negative step turns the axis round."""
    for axis, (first, last) in enumerate(zip(_tuple(begin), _tuple(end))):
        stride = (list(_tuple(step)) + [None] * x.dim())[axis] or 1
        if stride > 0:
            x = x[_along(x, axis, slice(first, last, stride))]
        else:
            places = range(x.shape[axis])[slice(first, last, stride)]
            x = x.index_select(axis, torch.tensor(list(places), device=x.device))
    return x


def slice_like(x, like, axes=()):
    for axis in _tuple(axes) or range(like.dim()):
        x = x[_along(x, axis, slice(0, like.shape[axis]))]
    return x


@several
def slice_channel(x, num_outputs, axis=1, squeeze_axis=False):
    parts = x.chunk(num_outputs, axis)
    return tuple(part.squeeze(axis) for part in parts) if squeeze_axis else tuple(parts)


@several
def split_v2(x, indices=(), axis=1, squeeze_axis=False, sections=0):
    if sections:
        return slice_channel(x, sections, axis, squeeze_axis)
    borders = [index for index in _tuple(indices) if index] + [x.shape[axis]]
    starts = [0, *borders[:-1]]
    parts = [x[_along(x, axis, slice(a, b))] for a, b in zip(starts, borders)]
    return tuple(part.squeeze(axis) for part in parts) if squeeze_axis else tuple(parts)


def crop(x, like=None, offset=(0, 0), h_w=(0, 0), center_crop=False):
    height, width = h_w if like is None else like.shape[2:]
    top, left = offset
    if center_crop:
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]


def reverse(x, axis):
    return x.flip(_tuple(axis))


def _along(x, axis, part):
    return (slice(None),) * (axis % x.dim()) + (part,)


# --- joining -------------------------------------------------------------------------------------------------------


def concat(*tensors, dim=1):
    return torch.cat(tensors, dim)


def stack(*tensors, axis=0):
    return torch.stack(tensors, axis)


def tile(x, reps):
    return x.tile(_tuple(reps))


def repeat(x, repeats, axis=None):
    return x.repeat_interleave(repeats, axis)


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
    return torch.zeros(_tuple(shape), dtype=as_dtype(dtype))


def ones(shape, dtype="float32"):
    return torch.ones(_tuple(shape), dtype=as_dtype(dtype))


def full(shape, value, dtype="float32"):
    return torch.full(_tuple(shape), float(value), dtype=as_dtype(dtype))


def eye(N, M=0, k=0, dtype="float32"):
    columns = torch.arange(int(M) or int(N)) - int(k)
    return (torch.arange(int(N))[:, None] == columns).to(as_dtype(dtype))


def _tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


OPERATORS = {
    "Concat": concat,
    "Crop": crop,
    "Embedding": embedding,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "SliceChannel": slice_channel,
    "SwapAxis": swap_axes,
    "_arange": arange,
    "_contrib_arange_like": arange_like,
    "_eye": eye,
    "_full": full,
    "_ones": ones,
    "_split_v2": split_v2,
    "_zeros": zeros,
    "broadcast_axis": broadcast_axis,
    "broadcast_like": broadcast_like,
    "broadcast_to": broadcast_to,
    "depth_to_space": depth_to_space,
    "expand_dims": expand_dims,
    "gather_nd": gather_nd,
    "one_hot": one_hot,
    "pick": pick,
    "repeat": repeat,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "shape_array": shape_array,
    "size_array": size_array,
    "slice": slice_,
    "slice_axis": slice_axis,
    "slice_like": slice_like,
    "space_to_depth": space_to_depth,
    "squeeze": squeeze,
    "stack": stack,
    "take": take,
    "tile": tile,
    "transpose": transpose,
    "where": where,
}
