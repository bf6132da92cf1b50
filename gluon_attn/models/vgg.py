"""VGG-16 for CIFAR as Learn To Pay Attention has it (arXiv 1804.02391; Simonyan and Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GlobalAvgPool, MaxPool2D, batch_norm, conv, relu, sequence
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble

# 3x3 convolutions, as multiples of `width`, and 'pool': the first two of VGG's poolings are moved behind layers 14 and
# 15, so that the layers whose features are attended to (7, 10 and 13) have 32x32, 16x16 and 8x8 positions.
STAGES = (
    (1, 2, 2, 4, 4, 4),
    ("pool", 8, 8, 8),
    ("pool", 8, 8, 8),
    ("pool", 8, "pool", 8, "pool"),
)


class VGG(Network):
    """Conv, BN, ReLU fifteen times; the last stage ends in the global feature: mean, Dense, ReLU: (N, 8 width, 1, 1).

    Heads: 'classifier' and 'ltpa' (for its options see attention/ltpa.py; `levels` 1 to 3 is the paper's att to att3).
    """

    def __init__(self, width=64, head="classifier", outputs="logits", classes=100, in_channels=3, **mechanism):
        super().__init__()
        count = len(STAGES)
        slots = Slots(dict(head=head), None, mechanism, count, VGG)

        def make_stage(number, channels, stride):
            if stride != (1 if number == 1 else 2):
                raise GluonAttnError(f"head={head!r} needs a last stage that can keep its size: a VGG's cannot.")
            stage = nn.HybridSequential()
            for item in STAGES[number - 1]:
                if item == "pool":
                    stage.add(MaxPool2D(2))
                else:
                    stage.add(convolved(channels, item * width))
                    channels = item * width
            if number == count:
                stage.add(sequence(GlobalAvgPool(), conv(channels, channels, bias=True), relu()))
            return channels, stage

        stem = width, convolved(in_channels, width, of="picture")
        assemble(self, slots, stem, make_stage, (1, 2, 2, 2), classes, outputs, attended=(1, 2, 3))


def convolved(in_channels, channels, of="maps"):
    return sequence(conv(in_channels, channels, 3, of=of), batch_norm(channels), relu())
