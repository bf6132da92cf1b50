"""MobileNet for CIFAR (Howard et al., 2017, arXiv 1704.04861) as in Learning to ignore; attention enters by slot."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.layers import batch_norm, conv, relu6, sequence
from gluon_attn.models import keras
from gluon_attn.models.blocks import Gated
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble


class ReLU6(nn.HybridBlock):
    """min(max(x, 0), 6)."""

    def hybrid_forward(self, F, x):
        return relu6(F, self, x)


def convolved(in_channels, channels, kernel=1, stride=1, groups=1, of="maps"):
    """Convolution, BN, ReLU6."""
    norm = batch_norm(channels, **keras.BATCH_NORM)
    return conv(in_channels, channels, kernel, stride, groups, of=of), norm, ReLU6()


class MobileNet(Network):
    """13 blocks gate(3x3 depthwise, 1x1), each convolution with BN and ReLU6; a stage ends where the size changes.

    Parameters
    ----------
    widths : of every stage, the output channels of its blocks; the first block of stages 2, 3, ... has stride 2
    stem_width : channels of the 3x3 stem (stride 1)
    dropout : before the classifier
    gate : after every block, after its last ReLU6
    head, outputs and any argument of the gate or head : as for ResNet

    Keras pads a strided convolution on the right and below only; here the padding is symmetric.
    """

    def __init__(
        self,
        widths,
        stem_width=32,
        dropout=1e-3,
        gate="identity",
        stages=None,
        head="classifier",
        outputs="logits",
        classes=100,
        in_channels=3,
        **mechanism,
    ):
        super().__init__()
        count = len(widths)
        slots = Slots(dict(gate=gate, head=head), stages, mechanism, count, MobileNet)

        def make_stage(number, channels, stride):
            stage = nn.HybridSequential()
            for width in widths[number - 1]:
                depthwise = convolved(channels, channels, 3, stride, groups=channels)
                body = sequence(*depthwise, *convolved(channels, width))
                stage.add(Gated(body, slots.gate(number, width)))
                channels, stride = width, 1
            return channels, stage

        stem = stem_width, sequence(*convolved(in_channels, stem_width, 3, of="picture"))
        strides = (1,) + (2,) * (count - 1)
        assemble(self, slots, stem, make_stage, strides, classes, outputs, dropout=dropout)
