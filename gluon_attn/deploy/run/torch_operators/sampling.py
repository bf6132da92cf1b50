"""Grids, bilinear samples and what is done to pictures before a network, as MXNet's operators mean them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gluon_attn.deploy.run.torch_operators.numbers import as_tuple, only


def bilinear_sampler(x, grid):
    """x at the places `grid` (N, 2, H, W) of (right, down), -1 and 1 being the first and the last pixel; 0 outside."""
    return F.grid_sample(x, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=True)


@only(transform_type=("affine", "warp"))
def grid_generator(x, transform_type, target_shape=(0, 0)):
    """A grid of an affine map (N, 6) over target_shape, or of a flow in pixels (N, 2, H, W): 'warp'."""
    height, width = target_shape if transform_type == "affine" else x.shape[2:]
    right, down = (torch.linspace(-1, 1, side, device=x.device, dtype=x.dtype) for side in (width, height))
    right, down = right.expand(height, width), down[:, None].expand(height, width)
    if transform_type == "warp":
        return torch.stack([right, down]) + x * (2 / x.new_tensor([width - 1, height - 1]))[:, None, None]
    places = torch.stack([right, down, torch.ones_like(right)])
    return torch.einsum("nij,jhw->nihw", x.reshape(-1, 2, 3), places)


@only(transform_type=("affine",), sampler_type=("bilinear",))
def spatial_transformer(x, loc, target_shape, transform_type="affine", sampler_type="bilinear"):
    """x under the affine map `loc` (N, 6), at the size target_shape: Jaderberg et al. 2015."""
    return bilinear_sampler(x, grid_generator(loc, "affine", target_shape))


def to_tensor(x):
    """Pictures (..., H, W, C) of bytes as (..., C, H, W) from 0 to 1."""
    return x.movedim(-1, -3).to(torch.float32 if not x.is_floating_point() else x.dtype) / 255


def normalize(x, mean=(0.0,), std=(1.0,)):
    """(x - mean) / std for each of the channels, the third axis from the end."""
    mean, std = (x.new_tensor(as_tuple(numbers)).reshape(-1, 1, 1) for numbers in (mean, std))
    return (x - mean) / std


OPERATORS = {
    "BilinearSampler": bilinear_sampler,
    "GridGenerator": grid_generator,
    "SpatialTransformer": spatial_transformer,
    "_image_normalize": normalize,
    "_image_to_tensor": to_tensor,
}
