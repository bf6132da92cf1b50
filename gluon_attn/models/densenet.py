"""DenseNet for CIFAR (Huang et al., CVPR 2017, arXiv 1608.06993); attention enters by slot."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn import cpu
from gluon_attn.layers import batch_norm, conv, relu, sequence
from gluon_attn.models.blocks import Gated
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble


class DenseLayer(nn.HybridBlock):
    """[x, body(x)] along the channels; body = BN ReLU 1x1 (4 growth) BN ReLU 3x3 (growth), dropout.

    Its gradient is fenced on a CPU: oneDNN cannot cut one in a blocked memory layout at a channel within a block, and
    MXNet then raises ("could not construct a sub-memory") or dies of a floating point exception.
    """

    def __init__(self, in_channels, growth, dropout, norm, **kwargs):
        super().__init__(**kwargs)
        inner = 4 * growth
        self.body = sequence(
            batch_norm(in_channels, **norm),
            relu(),
            conv(in_channels, inner),
            batch_norm(inner, **norm),
            relu(),
            conv(inner, growth, 3),
            *([nn.Dropout(dropout)] if dropout else []),
        )

    def hybrid_forward(self, F, x):
        y = F.concat(x, self.body(x), dim=1)
        return cpu.fence(F, y) if cpu.trains_on_cpu(self) else y


class DenseNet(Network):
    """A stage is a dense block and, but for the last, the transition after it (BN ReLU 1x1, average pool 2).

    Parameters
    ----------
    layers : dense layers of every block
    growth, stem_width : channels that a layer adds; channels of the 3x3 stem
    compression : a transition keeps 1/compression of the channels
    dropout : after every 3x3
    epsilon, momentum : of every BatchNorm but those within a mechanism
    gate : after every dense block and every transition, of the `stages`, as in Learning to ignore (arXiv 2111.05684)
    head, outputs and any argument of the gate or head : as for ResNet
    """

    def __init__(
        self,
        layers,
        growth=12,
        stem_width=24,
        compression=1,
        dropout=0.0,
        epsilon=1e-5,
        momentum=0.9,
        gate="identity",
        stages=None,
        head="classifier",
        outputs="logits",
        classes=100,
        in_channels=3,
        **mechanism,
    ):
        super().__init__()
        count = len(layers)
        slots = Slots(dict(gate=gate, head=head), stages, mechanism, count, DenseNet)
        norm = dict(epsilon=epsilon, momentum=momentum)

        def make_stage(number, channels, stride):
            blocks = []
            for _ in range(layers[number - 1]):
                blocks.append(DenseLayer(channels, growth, dropout, norm))
                channels += growth
            stage = sequence(Gated(sequence(*blocks), slots.gate(number, channels)))
            if number < count:
                kept = channels // compression
                stage.add(Gated(transition(channels, kept, norm), slots.gate(number, kept)))
                channels = kept
            return channels, stage

        stem = stem_width, sequence(conv(in_channels, stem_width, 3, of="picture"))
        assemble(self, slots, stem, make_stage, (1,) * count, classes, outputs, normalise=norm)


def transition(in_channels, channels, norm):
    return sequence(batch_norm(in_channels, **norm), relu(), conv(in_channels, channels), nn.AvgPool2D(2))
