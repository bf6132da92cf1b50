"""The small layers that every network here is made of; all channel counts are explicit."""

from __future__ import annotations

from mxnet.gluon import nn


def conv(in_channels, channels, kernel=1, stride=1, groups=1, bias=False, dilation=1):
    """A convolution that keeps the size at stride 1 (padding = dilation * (kernel - 1) / 2)."""
    return nn.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding=dilation * (kernel - 1) // 2,
        dilation=dilation,
        groups=groups,
        use_bias=bias,
        in_channels=in_channels,
    )


def batch_norm(channels, zero_gamma=False, **kwargs):
    """BatchNorm with Gluon's defaults (eps 1e-5, momentum 0.9)."""
    return nn.BatchNorm(in_channels=channels, gamma_initializer="zeros" if zero_gamma else "ones", **kwargs)


def relu():
    return nn.Activation("relu")


def sequence(*layers):
    """The layers as one HybridSequential; their positions are the parameter names."""
    block = nn.HybridSequential()
    block.add(*layers)
    return block


class GlobalAvgPool(nn.HybridBlock):
    """(N, C, H, W) -> (N, C, 1, 1), the mean over H and W.

    A mean, not GlobalAvgPool2D: that one's backward falls to oneDNN's reference kernel when its input and its
    gradient have different memory layouts (36 % of a training step of the CIFAR AFF-ResNet-32).
    """

    def hybrid_forward(self, F, x):
        return F.mean(x, axis=(2, 3), keepdims=True)


class GlobalMaxPool(nn.HybridBlock):
    """(N, C, H, W) -> (N, C, 1, 1), the maximum over H and W."""

    def hybrid_forward(self, F, x):
        return F.max(x, axis=(2, 3), keepdims=True)
