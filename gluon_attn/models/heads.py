"""Heads: what stands on the stages of a network, and what it gives besides logits.

A head is a function `(trunk, *, ...options) -> Head`, or a HybridBlock class `(channels, classes, ...options)` that
makes logits of the last stage's map. A new one is such a function and a record in gluon_attn/catalogue/mechanisms.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Mapping, Optional, Tuple, Union

from mxnet.gluon import nn

from gluon_attn.attention.abn import AttentionBranch
from gluon_attn.attention.danet import DualAttention
from gluon_attn.attention.ltpa import LTPAHead
from gluon_attn.attention.pyramid import PyramidHead
from gluon_attn.attention.slots import is_class
from gluon_attn.errors import GluonAttnError
from gluon_attn.layers import norm_relu, sequence
from gluon_attn.losses import DIVERSITY, INTERACTION
from gluon_attn.models.network import Classifier


@dataclass(frozen=True)
class Trunk:
    """What a family tells a head about the network that it has built: stem and stages, without the head."""

    channels: tuple  # output channels of every stage
    classes: int
    last_stage: Callable  # stride -> an independent copy of the last stage, with its own parameters
    normalise: Union[bool, dict] = False  # BN and ReLU before the classifier; or that BN's arguments
    dropout: float = 0.0  # before the classifier
    attended: tuple = ()  # stages whose features are local ones for a head that asks for such; by default all


@dataclass(frozen=True)
class Head:
    """What a head adds to a network (see Network for what the names mean).

    block : stands on the stages in `reads`, by default the last one; gives what `gives` names, but for the branch's
    branch : a block before the last stage
    trained : names of the logits that each get a cross-entropy
    losses : {name of an output (N,): its weight}, which are added to the cross-entropies as they are
    frames : more than 1 for clips
    output : path in the block of the Dense layer whose values are the logits, as they are; '' where no single one is
    """

    block: nn.HybridBlock
    branch: Optional[nn.HybridBlock] = None
    reads: Tuple[str, ...] = ()
    gives: Tuple[str, ...] = ("logits",)
    trained: Tuple[str, ...] = ("logits",)
    losses: Mapping[str, float] = field(default_factory=dict)
    frames: int = 1
    output: str = ""


def made(how: Callable, trunk: Trunk, **options) -> Head:
    """The Head that a function of this file makes, or that a class is.

    >>> made(classifier, Trunk((16, 32), 10, None)).gives
    ('logits',)
    """
    if not is_class(how):
        return how(trunk, **options)
    block = how(trunk.channels[-1], trunk.classes, **options)
    if trunk.normalise:
        block = sequence(*norm_relu(trunk.channels[-1], trunk.normalise), block)
    return Head(block)


def classifier(trunk):
    """Global average pooling and a Dense layer."""
    return Head(Classifier(trunk.channels[-1], trunk.classes, trunk.normalise, trunk.dropout), output="fc")


def abn(trunk, *, attention_map="conv", branch_norm=True):
    """An attention branch before the last stage (see attention/abn.py); the perception logits are the network's."""
    if len(trunk.channels) < 2:
        raise GluonAttnError("head='abn' stands between two stages; this network has only one.")
    branch = AttentionBranch(trunk.last_stage(1), trunk.channels[-1], trunk.classes, attention_map, branch_norm)
    both = ("attention_logits", "logits")
    return Head(classifier(trunk).block, branch, gives=(*both, "map"), trained=both, output="fc")


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


def danet(trunk, *, channel_form="max_minus"):
    """Dual attention on the last stage (attention/danet.py), then a classifier of its sum."""
    block = DualAttentionClassifier(trunk.channels[-1], trunk.classes, trunk.dropout, channel_form)
    return Head(block, output="classifier.fc")


def ltpa(trunk, *, levels=3, compatibility="pc", combine="concat", project="global"):
    """Attention over the features of the last `levels` stages, guided by the global feature (attention/ltpa.py)."""
    stages = trunk.attended or tuple(range(1, len(trunk.channels) + 1))
    if levels not in range(1, len(stages) + 1):
        raise GluonAttnError(f"levels={levels!r}: this network has {len(stages)} stages to attend to, so 1 to that.")
    stages = stages[-levels:]
    channels = [trunk.channels[number - 1] for number in stages]
    how = dict(compatibility=compatibility, project=project)
    return Head(
        LTPAHead(channels, trunk.channels[-1], trunk.classes, combine, trunk.normalise, trunk.dropout, **how),
        reads=(*(f"stage{number}" for number in stages), f"stage{len(trunk.channels)}"),
        gives=("logits", *(f"map{number}" for number in stages)),
        output="fc" if combine == "concat" else "",
    )


def pyramid(
    trunk,
    *,
    map_size=None,
    levels=2,
    frames=1,
    fusion="mean",
    sampling="mean",
    interaction=INTERACTION,
    diversity=DIVERSITY,
):
    """Attention over the positions of the last stage, from score maps of the last `levels` (attention/pyramid.py).

    frames : for clips (N, frames, 3, H, W), whose frames share one attention and give one prediction
    interaction, diversity : weights of its two losses in training (losses.PyramidLoss)
    """
    if map_size is None:
        raise GluonAttnError(
            "head='pyramid' learns one score a position: give map_size=, the size of the last stage's map (7 for "
            "224x224, 8 for CIFAR's 32x32)."
        )
    if levels not in range(1, len(trunk.channels) + 1):
        raise GluonAttnError(f"levels={levels!r}: this network has {len(trunk.channels)} stages, so 1 to that.")
    how = dict(map_size=map_size, frames=frames, fusion=fusion, sampling=sampling)
    last = Classifier(trunk.channels[-1], trunk.classes, trunk.normalise, trunk.dropout)
    first = len(trunk.channels) - levels
    return Head(
        PyramidHead(trunk.channels[-levels:], last, **how),
        reads=tuple(f"stage{number + 1}" for number in range(first, len(trunk.channels))),
        gives=("logits", "attention", "interaction", "diversity"),
        losses={"interaction": interaction, "diversity": diversity},
        frames=frames,
        output="classifier.fc",
    )
