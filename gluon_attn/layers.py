"""The small layers that every network here is made of; all channel counts are explicit."""

from __future__ import annotations

from typing import Any, Mapping, Union

from mxnet.gluon import nn

from gluon_attn import cpu, mixed_precision
from gluon_attn.errors import GluonAttnError


def conv(
    in_channels: int,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    dilation: int = 1,
    of: str = "maps",
    weight_initializer: Any = None,
) -> nn.HybridBlock:
    """A convolution that keeps the size at stride 1 (padding = dilation * (kernel - 1) / 2).

    of : 'picture', where the network begins; 'pixel', of maps that have one and stand before a BatchNorm; or 'maps'

    >>> conv(16, 32, kernel=3, stride=2)._kwargs["pad"]
    (1, 1)
    """
    layer = dict(
        strides=stride,
        padding=dilation * (kernel - 1) // 2,
        dilation=dilation,
        groups=groups,
        use_bias=bias,
        in_channels=in_channels,
        weight_initializer=weight_initializer,
    )
    if cpu.narrow(in_channels // groups, groups, cpu.group_width()):
        return GroupedConv2D(channels, kernel, **layer)
    before, after = cpu.fences(in_channels, channels, kernel, groups, of)
    if before or after:
        return FencedConv2D(channels, kernel, before=before, after=after, **layer)
    if of == "picture" and mixed_precision.picture_in_float32():
        return PictureConv2D(channels, kernel, **layer)
    return nn.Conv2D(channels, kernel, **layer)


def batch_norm(channels: int, zero_gamma: bool = False, **kwargs: Any) -> nn.BatchNorm:
    """BatchNorm with Gluon's defaults (eps 1e-5, momentum 0.9).

    >>> batch_norm(16, zero_gamma=True).gamma.shape
    (16,)
    """
    return nn.BatchNorm(in_channels=channels, gamma_initializer="zeros" if zero_gamma else "ones", **kwargs)


def norm_relu(channels: int, normalise: Union[bool, Mapping[str, Any]] = True) -> nn.HybridSequential:
    """The BatchNorm and the ReLU before a head, where the blocks are pre-activated; or with that BatchNorm's arguments.

    >>> norm_relu(16, {"momentum": 0.99})[0]._kwargs["momentum"]
    0.99
    """
    return sequence(batch_norm(channels, **(normalise if isinstance(normalise, Mapping) else {})), relu())


class Conv3D(nn.Conv3D):
    """nn.Conv3D that can be trained on a CPU.

    From 8 channels on, which fill a block of oneDNN's memory layout, the backward of a BatchNorm or a reshape behind it
    fails ("Check failed: !is_view"): what enters and what leaves has the plain layout, and so have the gradients.
    """

    def hybrid_forward(self, F, x, *args, **kwargs):
        if not cpu.trains_on_cpu(self):
            return super().hybrid_forward(F, x, *args, **kwargs)
        return cpu.fence(F, super().hybrid_forward(F, cpu.fence(F, x), *args, **kwargs))


def relu() -> nn.Activation:
    """max(x, 0).

    >>> relu()(mx.nd.array([-1, 2])).asnumpy()
    array([0., 2.], dtype=float32)
    """
    return nn.Activation("relu")


def sigmoid(F: Any, z: Any) -> Any:
    """The function on arrays or symbols, by the operator that oneDNN has (`F.sigmoid` and `F.relu` are not its own).

    >>> sigmoid(mx.nd, mx.nd.zeros((1,))).asscalar()
    0.5
    """
    return F.Activation(z, act_type="sigmoid")


def relu6(F: Any, block: Any, z: Any) -> Any:
    """min(max(z, 0), 6) on arrays or symbols. On a CPU MXNet's `clip` takes 5 times as long as the two one by one.

    NaN stays NaN. Not by `Activation`: oneDNN's ReLU makes 0 of it, and a training that has diverged goes on unseen.

    >>> relu6(mx.nd, net, mx.nd.array([-1, 2, 7])).asnumpy()
    array([0., 2., 6.], dtype=float32)
    """
    return F.clip(z, 0, 6) if cpu.plain(block) else F.maximum(F.minimum(z, 6), 0)


def sequence(*layers: nn.HybridBlock) -> nn.HybridSequential:
    """The layers as one HybridSequential; their positions are the parameter names.

    >>> len(sequence(conv(3, 8), batch_norm(8)))
    2
    """
    block = nn.HybridSequential()
    block.add(*layers)
    return block


class GroupedConv2D(nn.Conv2D):
    """nn.Conv2D with narrow groups: the same values and parameters, in wider groups where it is trained on a CPU."""

    def hybrid_forward(self, F, x, weight, bias=None):
        if not cpu.trains_on_cpu(self):
            return super().hybrid_forward(F, x, weight, bias)
        groups = self._kwargs["num_group"]
        weight, groups = cpu.in_wide_groups(F, weight, self.weight.shape, groups, cpu.group_width())
        inputs = (x, weight) if bias is None else (x, weight, bias)
        return F.Convolution(*inputs, name="fwd", **{**self._kwargs, "num_group": groups})


class FencedConv2D(nn.Conv2D):
    """nn.Conv2D that is trained on a CPU between plain memory layouts: of what enters, what leaves, or both."""

    def __init__(self, *args, before=False, after=False, **kwargs):
        super().__init__(*args, **kwargs)
        self._before, self._after = before, after

    def hybrid_forward(self, F, x, *args, **kwargs):
        trained = cpu.trains_on_cpu(self)
        y = super().hybrid_forward(F, cpu.fence(F, x) if trained and self._before else x, *args, **kwargs)
        return cpu.fence(F, y) if trained and self._after else y


class PictureConv2D(nn.Conv2D):
    """nn.Conv2D in float32, in a network that is trained in bfloat16 (`mixed_precision.picture_in_float32`)."""

    def hybrid_forward(self, F, x, weight, bias=None):
        inputs = (x, weight) if bias is None else (x, weight, bias)
        return mixed_precision.operator(F, "Convolution")(*inputs, name="fwd", **self._kwargs)


class PlaneConv2D(nn.Conv2D):
    """A convolution of a few planes to one, (N, planes, H, W) -> (N, 1, H, W), that keeps the size and has no bias.

    The values and parameters are nn.Conv2D's. For so few channels oneDNN has its reference kernel, or products of
    matrices for which each value is copied kernel^2 times. Where MXNet runs it on a CPU, ROW neighbours of a row become
    channels of one place, and a usual convolution takes `planes` x ROW of them to ROW, over three such places in width:
    products by zeros included, a 7x7 of two planes trains in a quarter to a half of the time from 28x28 on (at 7x7 it
    takes longer). A number that is none (NaN, inf) spreads to neighbours of up to 2 ROW places in its row, not of
    kernel / 2.
    """

    ROW = 8

    def __init__(self, planes, kernel, **kwargs):
        if kernel < 1 or kernel % 2 == 0:
            raise GluonAttnError(f"kernel={kernel} is no odd number of places: take 3, 5, 7, ..., which keep the size.")
        super().__init__(1, kernel, padding=kernel // 2, use_bias=False, in_channels=planes, **kwargs)

    def hybrid_forward(self, F, x, weight):
        _, planes, kernel, _ = self.weight.shape
        row, half = self.ROW, kernel // 2
        if cpu.plain(self) or half > row:
            return super().hybrid_forward(F, x, weight)
        one = F.BlockGrad(F.ones_like(F.slice(weight, begin=(0, 0, 0, 0), end=(1, None, 1, 1))))
        identity = F.reshape(_stepped(F, one, 1, 0, row, row), (planes * row, 1, 1, row))
        # place m has the columns row * m - (row - 1) ... row * m
        sizes = dict(kernel=(1, row), stride=(1, row), pad=(0, row - 1), num_filter=planes * row, num_group=planes)
        convolution = mixed_precision.operator(F, "Convolution")  # of few planes, which gain nothing from bfloat16
        places = convolution(mixed_precision.in_float32(F, x), identity, no_bias=True, **sizes)
        banded = F.reshape(_stepped(F, weight, kernel, row - half, row, 3 * row), (planes, kernel, row, 3, row))
        banded = F.reshape(F.transpose(banded, axes=(2, 0, 4, 1, 3)), (row, planes * row, kernel, 3))
        y = convolution(places, banded, kernel=(kernel, 3), pad=(half, 1), num_filter=row, no_bias=True)
        y = F.expand_dims(F.reshape(F.transpose(y, axes=(0, 2, 3, 1)), (0, 0, -3)), axis=1)
        return F.slice_like(F.slice_axis(y, axis=3, begin=row - 1, end=None), x, axes=(3,))


def _stepped(F, x, length, first, times, width):
    """x (A, B, C, length) -> (A, B, C, times * width): rows of zeros with x in them, each one place further right.

    `first` is its place in the first row. A period of width + 1, cut at every `width`, does that.
    """
    period = F.pad(x, mode="constant", pad_width=(0,) * 6 + (first, width + 1 - first - length))
    return F.slice_axis(F.tile(period, (1, 1, 1, times)), axis=3, begin=0, end=times * width)


class _OwnInput:
    """A max pooling whose input others may read, too: on a CPU its gradient would be wrong (see `cpu.own`)."""

    def hybrid_forward(self, F, x):
        return super().hybrid_forward(F, x if cpu.for_inference() else cpu.own(F, x))


class MaxPool2D(_OwnInput, nn.MaxPool2D):
    """nn.MaxPool2D of something that is not its alone, as a stage's output."""


class MaxPool3D(_OwnInput, nn.MaxPool3D):
    """nn.MaxPool3D of something that is not its alone."""


class GlobalAvgPool(nn.HybridBlock):
    """(N, C, H, W) -> (N, C, 1, 1), the mean over H and W (`cpu.mean_of_map`)."""

    def hybrid_forward(self, F, x):
        return cpu.mean_of_map(F, self, x)
