"""Full-face gaze estimation with spatial weights (Zhang et al., CVPR Workshops 2017, arXiv 1611.08860)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn.attention.spatial_weights import SpatialWeights
from gluon_attn.layers import sequence
from gluon_attn.models.network import Network


class FullFaceGaze(Network):
    """AlexNet's features -> spatial weights -> dense layers -> (pitch, yaw) in radians, (N, 2).

    A face of 448x448 gives 13x13 maps of 256 channels. stage3 of `features_at` is the weighted map.

    image_size : the dense layers are tied to it
    widths, hidden : of the five convolutions and of the two dense layers; a small network for small faces
    attention : False leaves the spatial weights out, which is the paper's baseline
    scale_gradient : see SpatialWeights
    outputs : 'logits', which are the two angles: the map is an attention map (gluon_attn.explain), no output
    """

    def __init__(
        self,
        widths=(64, 192, 384, 256, 256),
        hidden=4096,
        image_size=448,
        attention=True,
        scale_gradient=True,
        dropout=0.5,
        outputs="logits",
        classes=2,
        in_channels=3,
    ):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = sequence(_convolution(in_channels, a, 11, stride=4, padding=2), nn.MaxPool2D(3, 2))
        self.stages = sequence(
            sequence(_convolution(a, b, 5, padding=2), nn.MaxPool2D(3, 2)),
            sequence(
                _convolution(b, c, 3, padding=1),
                _convolution(c, d, 3, padding=1),
                _convolution(d, e, 3, padding=1),
                nn.MaxPool2D(3, 2),
            ),
        )
        if attention:
            self.stages.add(sequence(SpatialWeights(e, scale_gradient)))
        self.head = sequence(
            nn.Flatten(),
            _dense(e * map_size(image_size) ** 2, hidden, sigma=0.005, bias=1.0),
            nn.Dropout(dropout),
            _dense(hidden, hidden, sigma=1e-4),
            nn.Dropout(dropout),
            _dense(hidden, classes, sigma=1e-4, activation=None),
        )
        self.output_at, self.classes = "5", classes
        self.choose_outputs(outputs)


def map_size(image_size):
    """Side of the last map: a convolution 11/4 with padding 2, then three pools 3/2."""
    size = (image_size + 4 - 11) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


def _convolution(before, after, kernel, stride=1, padding=0):
    return nn.Conv2D(after, kernel, stride, padding, in_channels=before, activation="relu")


def _dense(before, after, sigma, bias=0.0, activation="relu"):
    initial = dict(weight_initializer=mx.init.Normal(sigma), bias_initializer=mx.init.Constant(bias))
    return nn.Dense(after, in_units=before, activation=activation, **initial)
