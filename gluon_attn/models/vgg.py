"""VGG-16 for CIFAR as Learn To Pay Attention has it (arXiv 1804.02391; Simonyan and Zisserman, arXiv 1409.1556)."""

from __future__ import annotations

from mxnet.gluon import nn

from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import GlobalAvgPool, batch_norm, conv, relu, sequence
from gluon_attn.models.network import Network
from gluon_attn.models.slots import Slots, assemble

# 3x3 widths and 'pool': the first two of VGG's poolings are moved behind layers 14 and 15, so that the layers whose
# features are attended to (7, 10 and 13) have 32x32, 16x16 and 8x8 positions.
STAGES = (
    (64, 128, 128, 256, 256, 256),
    ("pool", 512, 512, 512),
    ("pool", 512, 512, 512),
    ("pool", 512, "pool", 512, "pool"),
)


class VGG(Network):
    """Conv, BN, ReLU fifteen times; the last stage ends in the global feature: mean, Dense 512, ReLU: (N, 512, 1, 1).

    Heads: 'classifier' and 'ltpa' (for its options see attention/ltpa.py; `levels` 1 to 3 is the paper's att to att3).
    """

    def __init__(
        self, width=64, features=512, head="classifier", outputs="logits", classes=100, in_channels=3, **mechanism
    ):
        super().__init__()
        count = len(STAGES)
        slots = Slots(dict(head=head), None, mechanism, count, VGG)

        def make_stage(number, channels, stride):
            if stride != (1 if number == 1 else 2):
                raise GluonAttnError(f"head={head!r} needs a last stage that can keep its size: a VGG's cannot.")
            stage = nn.HybridSequential()
            for item in STAGES[number - 1]:
                if item == "pool":
                    stage.add(nn.MaxPool2D(2))
                else:
                    stage.add(sequence(conv(channels, item, 3), batch_norm(item), relu()))
                    channels = item
            if number == count:
                stage.add(sequence(GlobalAvgPool(), conv(channels, features, bias=True), relu()))
                channels = features
            return channels, stage

        stem = width, sequence(conv(in_channels, width, 3), batch_norm(width), relu())
        assemble(self, slots, stem, make_stage, (1, 2, 2, 2), classes, outputs, attended=(1, 2, 3))
