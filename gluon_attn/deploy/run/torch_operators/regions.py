"""What is at given places of a map: pooling over regions, convolutions with moved taps, as MXNet means them."""

from __future__ import annotations

import torch

from gluon_attn.deploy.run.torch_operators.numbers import CHANNELS_FIRST, only

_TOGETHER = 64  # regions of an image that are pooled at once

# --- regions of interest: rows (image, left, top, right, bottom), of which MXNet has no gradient ---------------------


def roi_align(x, rois, pooled_size, spatial_scale, sample_ratio=-1, position_sensitive=False, aligned=False):
    """Means of bilinear samples in the cells of regions (R, 5): (R, C, *pooled_size), 0 where the image is negative.

    A cell has sample_ratio^2 samples, by default one a pixel, rounded up; those more than 1 outside of the map are 0.
    position_sensitive: every cell has channels of its own. aligned: the middle of a pixel is at 0.5, not at 0.
    """
    rois = rois.detach()
    ends = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    weights = [
        _weights(ends[:, axis], ends[:, axis + 2], cells, x.shape[3 - axis], sample_ratio, aligned)
        for axis, cells in ((1, pooled_size[0]), (0, pooled_size[1]))
    ]
    channels = x.shape[1] // (pooled_size[0] * pooled_size[1]) if position_sensitive else x.shape[1]
    result = x.new_zeros(len(rois), channels, *pooled_size)
    for image in range(len(x)):
        for chosen in (rois[:, 0].int() == image).nonzero().squeeze(1).split(_TOGETHER):
            rows, columns = (weight[chosen] for weight in weights)
            if position_sensitive:
                pages = x[image].reshape(channels, *pooled_size, *x.shape[2:])
                found = torch.einsum("rph,cpqhw,rqw->rcpq", rows, pages, columns)
            else:
                found = torch.einsum("rph,chw,rqw->rcpq", rows, x[image], columns)
            result = result.index_copy(0, chosen, found)
    return result


def _weights(first, last, cells, side, sample_ratio, aligned):
    """(R, cells, side): what each line of the map adds to the mean of a cell.

    Bilinear samples on a grid are a product of these along two axes, so is their mean.
    """
    length = last - first if aligned else (last - first).clamp(min=1)
    cell = length / cells
    count = torch.full_like(cell, sample_ratio) if sample_ratio > 0 else cell.ceil()
    most = sample_ratio if sample_ratio > 0 else int(count.max()) if len(count) else 0
    index = torch.arange(max(most, 1), device=first.device, dtype=first.dtype)
    starts = first[:, None] + torch.arange(cells, device=first.device, dtype=first.dtype) * cell[:, None]
    at = starts[:, :, None] + ((index + 0.5) * cell[:, None] / count[:, None])[:, None]
    inside = (at >= -1) & (at <= side) & (index < count[:, None])[:, None]
    lines = torch.arange(side, device=first.device, dtype=first.dtype)
    near = (1 - (at.clamp(0, side - 1)[..., None] - lines).abs()).clamp(min=0)
    return (near * inside[..., None]).sum(2) / count[:, None, None]


def roi_pooling(x, rois, pooled_size, spatial_scale):
    """Largest values in the cells of regions (R, 5), whose corners are rounded: (R, C, *pooled_size); 0 of nothing."""
    ends = rois.detach()[:, 1:] * spatial_scale
    ends = ends.sign() * (ends.abs() + 0.5).floor()
    rows = _cells(ends[:, 1], ends[:, 3], pooled_size[0], x.shape[2])
    columns = _cells(ends[:, 0], ends[:, 2], pooled_size[1], x.shape[3])
    empty = x.new_zeros(x.shape[1], *pooled_size)
    results = [empty] * len(rois)
    for region, image in enumerate(rois[:, 0].int().tolist()):
        down, across = rows[region], columns[region]
        if 0 <= image < len(x) and down.any() and across.any():
            part = x[image][:, down.any(0)][:, :, across.any(0)]
            results[region] = _largest(part, down[:, down.any(0)], across[:, across.any(0)])
    return torch.stack(results) if results else x.new_zeros(0, *empty.shape)


def _cells(first, last, cells, side):
    """(R, cells, side): which lines of the map are in a cell; neighbours share one where the border cuts it."""
    cell = (last - first + 1).clamp(min=1) / cells
    index = torch.arange(cells, device=first.device, dtype=first.dtype)
    begin = (index * cell[:, None]).floor() + first[:, None]
    end = ((index + 1) * cell[:, None]).ceil() + first[:, None]
    lines = torch.arange(side, device=first.device)
    return (lines >= begin[..., None]) & (lines < end[..., None])


def _largest(part, rows, columns):
    """Of part (C, h, w) over rows (p, h) and columns (q, w): (C, p, q). Of equals the first has the gradient."""
    lowest = torch.full_like(part[:1, :1, :1], -torch.inf)
    widths = torch.where(columns[None, None], part[:, :, None], lowest[..., None]).max(-1).values
    largest = torch.where(rows[None, :, :, None], widths[:, None], lowest[..., None]).max(2).values
    some = rows.any(1)[:, None] & columns.any(1)[None]
    return torch.where(some, largest, torch.zeros_like(largest))


# --- deformable convolutions ---------------------------------------------------------------------------------------


@only(layout=CHANNELS_FIRST)
def deformable_convolution(
    x,
    offset,
    weight,
    bias=None,
    kernel=(),
    stride=(),
    dilate=(),
    pad=(),
    num_group=1,
    num_deformable_group=1,
    no_bias=False,
    layout=None,
):
    """A convolution each of whose taps is moved by `offset` (N, groups * taps * (down, right), H, W): Dai et al. 2017.

    Between pixels it is bilinear, from the first to beyond the last pixel; outside it is 0.
    """
    at, taps = _moved(offset, x, kernel, stride, dilate, pad, num_deformable_group)
    height, width = x.shape[2:]
    inside = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
    at = [torch.where(a < side - 1, a, torch.full_like(a, side - 1)) for a, side in zip(at, (height, width))]
    return _convolved(x, at, inside, weight, bias, num_group, taps)


@only(layout=CHANNELS_FIRST)
def modulated_deformable_convolution(
    x,
    offset,
    mask,
    weight,
    bias=None,
    kernel=(),
    stride=(),
    dilate=(),
    pad=(),
    num_group=1,
    num_deformable_group=1,
    no_bias=False,
    im2col_step=64,
    layout=None,
):
    """That with a factor a tap, `mask` (N, groups * taps, H, W): Zhu et al. 2018. The map fades to 0 over one pixel."""
    at, taps = _moved(offset, x, kernel, stride, dilate, pad, num_deformable_group)
    return _convolved(x, at, mask.reshape(at[0].shape), weight, bias, num_group, taps)


def _moved(offset, x, kernel, stride, dilate, pad, groups):
    """((down, right) of every tap, each (N, groups, taps, H, W)), (taps, H, W)."""
    sides, taps = offset.shape[2:], kernel[0] * kernel[1]
    offset = offset.reshape(len(x), groups, taps, 2, *sides)
    at = []
    for axis, k in enumerate(kernel):
        step, gap, before = (stride or (1, 1))[axis], (dilate or (1, 1))[axis], (pad or (0, 0))[axis]
        place = torch.arange(sides[axis], device=x.device) * step - before
        tap = torch.arange(k, device=x.device) * gap
        tap = tap.repeat_interleave(kernel[1]) if axis == 0 else tap.repeat(kernel[0])
        place = place[:, None] if axis == 0 else place[None]
        at.append((tap[:, None, None] + place) + offset[:, :, :, axis])
    return tuple(at), (taps, *sides)


def _convolved(x, at, factor, weight, bias, groups, taps):
    """The weighted sum of bilinear samples times `factor`, both (N, deformable groups, taps, H, W)."""
    count, places = len(x), taps[0] * taps[1] * taps[2]
    parts = at[0].shape[1]
    pixels = x.reshape(count, parts, -1, x.shape[2] * x.shape[3])
    samples = 0
    low = tuple(a.detach().floor() for a in at)
    beyond = tuple(a - first for a, first in zip(at, low))  # at 0, the slope is that to the right
    for down in (0, 1):
        for right in (0, 1):
            y, z = low[0] + down, low[1] + right
            share = (beyond[0] if down else 1 - beyond[0]) * (beyond[1] if right else 1 - beyond[1]) * factor
            inside = (y >= 0) & (y < x.shape[2]) & (z >= 0) & (z < x.shape[3])
            index = y.clamp(0, x.shape[2] - 1) * x.shape[3] + z.clamp(0, x.shape[3] - 1)
            index = index.long().reshape(count, parts, 1, places).expand(-1, -1, pixels.shape[2], -1)
            samples = samples + pixels.gather(3, index) * (share * inside).reshape(count, parts, 1, places)
    columns = samples.reshape(count, groups, -1, taps[1] * taps[2])
    result = weight.reshape(groups, weight.shape[0] // groups, -1) @ columns
    result = result.reshape(count, weight.shape[0], *taps[1:])
    return result if bias is None else result + bias[:, None, None]


OPERATORS = {
    "ROIPooling": roi_pooling,
    "_contrib_DeformableConvolution": deformable_convolution,
    "_contrib_ModulatedDeformableConvolution": modulated_deformable_convolution,
    "_contrib_ROIAlign": roi_align,
}
