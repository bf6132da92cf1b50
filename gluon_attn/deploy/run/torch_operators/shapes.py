"""Shapes and slices, as MXNet's operators mean them."""

from __future__ import annotations

import torch

from gluon_attn.deploy.run.torch_operators.numbers import as_tuple, several
from gluon_attn.errors import GluonAttnError

# --- shapes --------------------------------------------------------------------------------------------------------


def reshape(x, shape, reverse=False):
    """MXNet's codes: 0 keeps a side, -1 is what is left, -2 keeps all others, -3 joins two, -4 a b splits one.

    `reverse` reads sides and codes from the right, and so b a -4.
    """
    sides, codes = list(x.shape), list(as_tuple(shape))
    if not reverse:
        return x.reshape(_decoded(sides, codes))
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
            if len(codes) < 2:
                raise GluonAttnError("The code -4 of a shape comes before the two sides, with reverse=True after them.")
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
    for at, side in zip(as_tuple(axis), as_tuple(size)):
        shape[at] = side
    return x.expand(shape)


def broadcast_like(x, like, lhs_axes=None, rhs_axes=None):
    if lhs_axes is None:
        return x.expand(like.shape)
    return broadcast_axis(x, lhs_axes, [like.shape[axis] for axis in as_tuple(rhs_axes)])


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
    for axis, (first, last) in enumerate(zip(as_tuple(begin), as_tuple(end))):
        stride = (list(as_tuple(step)) + [None] * x.dim())[axis] or 1
        if stride > 0:
            x = x[_along(x, axis, slice(first, last, stride))]
        else:
            places = range(x.shape[axis])[slice(first, last, stride)]
            x = x.index_select(axis, torch.tensor(list(places), device=x.device))
    return x


def slice_like(x, like, axes=()):
    for axis in as_tuple(axes) or range(like.dim()):
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
    borders = [index for index in as_tuple(indices) if index] + [x.shape[axis]]
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
    return x.flip(as_tuple(axis))


def _along(x, axis, part):
    return (slice(None),) * (axis % x.dim()) + (part,)


OPERATORS = {
    "Crop": crop,
    "Flatten": flatten,
    "Reshape": reshape,
    "SliceChannel": slice_channel,
    "SwapAxis": swap_axes,
    "_split_v2": split_v2,
    "broadcast_axis": broadcast_axis,
    "broadcast_like": broadcast_like,
    "broadcast_to": broadcast_to,
    "depth_to_space": depth_to_space,
    "expand_dims": expand_dims,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "shape_array": shape_array,
    "size_array": size_array,
    "slice": slice_,
    "slice_axis": slice_axis,
    "slice_like": slice_like,
    "space_to_depth": space_to_depth,
    "squeeze": squeeze,
    "transpose": transpose,
}
