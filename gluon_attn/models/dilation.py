"""Dilation instead of strides (Yu and Koltun, ICLR 2016): larger maps, the same fields of view and parameters."""

from __future__ import annotations

from gluon_attn.errors import GluonAttnError


class Dilation:
    """Strides and dilations of a network whose stages but the first halve the map.

    output_stride : where the strides' product would exceed it, a stage keeps its size and dilates twice as much
    multi_grid : factors of the dilation in the blocks of the last stage, as (1, 2, 4): DANet's 4, 8, 16 at stride 8

    The first 3x3 of a stage that lost its stride keeps the dilation of the stage before, as in every published dilated
    ResNet; with multi_grid the first block has the first factor's. Without multi_grid the strided network's maps are
    every n-th position of the dilated one's.
    """

    def __init__(self, count, stem_stride, output_stride=None, multi_grid=None):
        possible = [stem_stride * 2**i for i in range(count)]
        if output_stride is not None and output_stride not in possible:
            raise GluonAttnError(f"output_stride={output_stride!r}: this network can have one of {possible}.")
        self.multi_grid = multi_grid
        self.strides, self.dilations = [1], [1]
        total = stem_stride
        for _ in range(1, count):
            keep = output_stride is not None and total == output_stride
            self.strides.append(1 if keep else 2)
            self.dilations.append(self.dilations[-1] * (2 if keep else 1))
            total *= self.strides[-1]
        if multi_grid and not self.active:
            raise GluonAttnError("multi_grid= multiplies dilations: give output_stride= as well.")

    @property
    def active(self):
        return self.dilations[-1] > 1

    def of_block(self, number, index):
        """Dilations of the first and of any further 3x3 in block `index` (from 0) of stage `number` (from 1)."""
        dilation = self.dilations[number - 1]
        if self.multi_grid and number == len(self.dilations):
            return (dilation * self.multi_grid[index % len(self.multi_grid)],) * 2
        return self.dilations[max(number - 2, 0)] if index == 0 else dilation, dilation
