"""Heads: what stands on the stages of a network, and what it gives besides logits.

A head is a function `attach(net, plan, *, ...options)` that sets `net.head`, and where the mechanism asks for it
`net.branch`, `net.reads`, `net.gives` and `net.trained` (see Network). A new one is such a function and a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Union

from mxnet.gluon import nn

from gluon_attn.attention.abn import AttentionBranch
from gluon_attn.attention.danet import DualAttention
from gluon_attn.attention.ltpa import LTPAHead
from gluon_attn.attention.pyramid import PyramidHead
from gluon_attn.errors import GluonAttnError
from gluon_attn.models.network import Classifier


@dataclass(frozen=True)
class Plan:
    """What a family tells the heads about the network that it has built."""

    channels: tuple  # output channels of every stage
    classes: int
    last_stage: Callable  # stride -> an independent copy of the last stage, with its own parameters
    normalise: Union[bool, dict] = False  # BN and ReLU before the classifier; or that BN's arguments
    dropout: float = 0.0  # before the classifier
    attended: tuple = ()  # stages whose features are local ones for a head that asks for such; by default all


def classifier(net, plan):
    """Global average pooling and a Dense layer."""
    net.head = Classifier(plan.channels[-1], plan.classes, plan.normalise, plan.dropout)


def abn(net, plan, *, attention_map="conv", branch_norm=True):
    """An attention branch before the last stage (see attention/abn.py); the perception logits are the network's."""
    if len(plan.channels) < 2:
        raise GluonAttnError("head='abn' stands between two stages; this network has only one.")
    branch = AttentionBranch(plan.last_stage(1), plan.channels[-1], plan.classes, attention_map, branch_norm)
    net.branch, net.gives = branch, ("attention_logits", "logits", "map")
    net.trained = ("attention_logits", "logits")
    classifier(net, plan)


class DualAttentionClassifier(nn.HybridBlock):
    """DANet's head for one label an image: position + channel features (C / 4), global mean, Dense."""

    def __init__(self, channels, classes, dropout=0.0, channel_form="max_minus", **kwargs):
        super().__init__(**kwargs)
        inner = channels // 4
        self.attention = DualAttention(channels, inner, channel_form=channel_form)
        self.classifier = Classifier(inner, classes, dropout=dropout)

    def hybrid_forward(self, F, x):
        position, channel = self.attention(x)
        return self.classifier(position + channel)


def danet(net, plan, *, channel_form="max_minus"):
    """Dual attention on the last stage (attention/danet.py), then a classifier of its sum."""
    net.head = DualAttentionClassifier(plan.channels[-1], plan.classes, plan.dropout, channel_form)


def ltpa(net, plan, *, levels=3, compatibility="pc", combine="concat", project="global"):
    """Attention over the features of the last `levels` stages, guided by the global feature (attention/ltpa.py)."""
    stages = plan.attended or tuple(range(1, len(plan.channels) + 1))
    if levels not in range(1, len(stages) + 1):
        raise GluonAttnError(f"levels={levels!r}: this network has {len(stages)} stages to attend to, so 1 to that.")
    stages = stages[-levels:]
    channels = [plan.channels[number - 1] for number in stages]
    how = dict(compatibility=compatibility, project=project)
    net.head = LTPAHead(channels, plan.channels[-1], plan.classes, combine, plan.normalise, **how)
    net.reads = (*(f"stage{number}" for number in stages), f"stage{len(plan.channels)}")
    net.gives = ("logits", *(f"map{number}" for number in stages))


def pyramid(net, plan, *, map_size, levels=2, frames=1, fusion="mean", sampling="mean"):
    """Attention over the positions of the last stage, from score maps of the last `levels` (attention/pyramid.py).

    frames : for clips (N, frames, 3, H, W), whose frames share one attention and give one prediction
    """
    if levels not in range(1, len(plan.channels) + 1):
        raise GluonAttnError(f"levels={levels!r}: this network has {len(plan.channels)} stages, so 1 to that.")
    how = dict(map_size=map_size, frames=frames, fusion=fusion, sampling=sampling)
    net.head = PyramidHead(plan.channels[-levels:], Classifier(plan.channels[-1], plan.classes, plan.normalise), **how)
    net.reads = tuple(f"stage{number + 1}" for number in range(len(plan.channels) - levels, len(plan.channels)))
    net.gives, net.frames = ("logits", "attention", "interaction", "diversity"), frames
