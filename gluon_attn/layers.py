"""The small layers that every network here is made of; all channel counts are explicit."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import nn

from gluon_attn import cpu


def conv(
    in_channels: int,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    dilation: int = 1,
) -> nn.HybridBlock:
    """A convolution that keeps the size at stride 1 (padding = dilation * (kernel - 1) / 2).

    >>> conv(16, 32, kernel=3, stride=2)._kwargs["pad"]
    (1, 1)
    """
    kind = GroupedConv2D if cpu.narrow(in_channels // groups, groups, cpu.group_width()) else nn.Conv2D
    return kind(
        channels,
        kernel,
        strides=stride,
        padding=dilation * (kernel - 1) // 2,
        dilation=dilation,
        groups=groups,
        use_bias=bias,
        in_channels=in_channels,
    )


def batch_norm(channels: int, zero_gamma: bool = False, **kwargs: Any) -> nn.BatchNorm:
    """BatchNorm with Gluon's defaults (eps 1e-5, momentum 0.9).

    >>> batch_norm(16, zero_gamma=True).gamma.shape
    (16,)
    """
    return nn.BatchNorm(in_channels=channels, gamma_initializer="zeros" if zero_gamma else "ones", **kwargs)


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


class _OwnInput:
    """A max pooling whose input others may read, too: on a CPU its gradient would be wrong (see `cpu.own`)."""

    def hybrid_forward(self, F, x):
        return super().hybrid_forward(F, x if cpu.for_inference() else cpu.own(F, x))


class MaxPool2D(_OwnInput, nn.MaxPool2D):
    """nn.MaxPool2D of something that is not its alone, as a stage's output."""


class MaxPool3D(_OwnInput, nn.MaxPool3D):
    """nn.MaxPool3D of something that is not its alone."""


class GlobalAvgPool(nn.HybridBlock):
    """(N, C, H, W) -> (N, C, 1, 1), the mean over H and W.

    Not GlobalAvgPool2D, whose backward falls to oneDNN's reference kernel when its input and its gradient have
    different memory layouts (36 % of a training step of the CIFAR AFF-ResNet-32), nor `mean`, half as fast.
    """

    def hybrid_forward(self, F, x):
        if cpu.runs_forward():
            return F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")
        return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)
