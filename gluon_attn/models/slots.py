"""What goes into the slots of a network: one object, shared by all families."""

from __future__ import annotations

import inspect

from mxnet.gluon import nn

from gluon_attn.attention.plain import Add, Identity, plain_conv
from gluon_attn.attention.slots import TABLES, accepted, called, known, made_by
from gluon_attn.catalogue.arguments import STAGED
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import batch_norm, relu
from gluon_attn.models import heads

_PLAIN = {"gate": "identity", "fuse": "add", "conv": "plain"}  # of the slots that `stages` is about


class Slots:
    """The mechanism in every slot of stage `number`, and the share of the keyword arguments that each one takes.

    names : {'gate': ..., 'fuse': ..., 'stage': ..., 'head': ...}; a family leaves out the slots that it does not have
    stages : where gates and fusions stand (1-based; None: everywhere)
    mechanism : the arguments; a tuple holds one value a stage, of which the head, behind them all, takes the last
    family : the class whose own arguments are named in the error for an unknown one
    """

    def __init__(self, names, stages, mechanism, count, family):
        self.names = names
        if stages is not None and not any(names.get(slot, plain) != plain for slot, plain in _PLAIN.items()):
            places = " or ".join(f"{slot}=" for slot in _PLAIN if slot in names)
            raise GluonAttnError(f"stages={stages!r} says where a mechanism stands, and there is none: give {places}.")
        self.numbers = _stage_numbers(stages, count)
        self.taken = {slot: self._taken_by(slot) for slot in names}
        self._refuse_unknown(mechanism, family)
        of_stages = set().union(*(taken for slot, taken in self.taken.items() if slot != "head"))
        self.arguments = {k: per_stage(v, count) for k, v in mechanism.items() if k in of_stages}
        of_head = {k: v for k, v in mechanism.items() if k in self.taken.get("head", ())}
        staged = of_stages.union(STAGED)
        self.head_arguments = {k: per_stage(v, count)[-1] if k in staged else v for k, v in of_head.items()}

    def _taken_by(self, slot):
        return () if self.names[slot] is None else accepted(slot, self.names[slot])

    def _refuse_unknown(self, mechanism, family):
        taken = set().union(*self.taken.values())
        for keyword in mechanism:
            if keyword not in taken:
                choices = taken.union(inspect.signature(family).parameters) - {"mechanism"}
                given = ", ".join(f"{slot}={called(name)!r}" for slot, name in self.names.items())
                raise unknown(f"argument ({given})", keyword, choices, remedy=self._takers(keyword))

    def _takers(self, keyword):
        """A sentence on the mechanisms that do take it, where the network has none of them; '' where none does."""
        by_slot = {
            slot: [name for name in known(TABLES[slot]) if keyword in accepted(slot, name)] for slot in self.names
        }
        said = [f"{slot}={', '.join(map(repr, names))}" for slot, names in by_slot.items() if names]
        return f"It is an argument of {'; of '.join(said)}." if said else ""

    def _create(self, slot, number, channels, **place):
        arguments = {k: v[number - 1] for k, v in self.arguments.items() if k in self.taken[slot]}
        return made_by(slot, self.names[slot])(channels, **place, **arguments)

    def gate(self, number, channels):
        return self._create("gate", number, channels) if number in self.numbers else Identity(channels)

    def fuse(self, number, channels):
        return self._create("fuse", number, channels) if number in self.numbers else Add(channels)

    def stage_attention(self, number, channels):
        return self._create("stage", number, channels)

    def middle(self, number, channels, stride, groups, dilation):
        """The layers of a bottleneck's 3x3, with the BatchNorm and the ReLU that follow it."""
        place = dict(stride=stride, groups=groups, dilation=dilation)
        plain = number not in self.numbers
        block = plain_conv(channels, **place) if plain else self._create("conv", number, channels, **place)
        return [block] if getattr(block, "normalised", False) else [block, batch_norm(channels), relu()]

    def head(self, trunk):
        """The head on a network of which heads.Trunk tells."""
        return heads.made(made_by("head", self.names["head"]), trunk, **self.head_arguments)


def assemble(net, slots, stem, make_stage, strides, classes, outputs, **trunk):
    """Set the stem, the stages and the head of `net`.

    stem : (output channels, block)
    make_stage : (number, in_channels, stride) -> (output channels, HybridSequential)
    trunk : what else the head is told (heads.Trunk)
    """
    channels, net.stem = stem
    widths = [channels]
    net.stages = nn.HybridSequential()
    for number, stride in enumerate(strides, start=1):
        channels, blocks = make_stage(number, channels, stride)
        widths.append(channels)
        net.stages.add(blocks)

    def last_stage(stride):
        return make_stage(len(strides), widths[-2], stride)[1]

    net.take(slots.head(heads.Trunk(tuple(widths[1:]), classes, last_stage, **trunk)))
    net.classes = classes
    net.choose_outputs(outputs)


def per_stage(value, count):
    """One value a stage, from one value for all of them or from a tuple."""
    if not isinstance(value, (tuple, list)):
        return (value,) * count
    if len(value) != count:
        raise GluonAttnError(f"{value!r} has {len(value)} entries for {count} stages: give one value, or one a stage.")
    return tuple(value)


def _stage_numbers(stages, count):
    allowed = range(1, count + 1)
    chosen = tuple(allowed) if stages is None else tuple(stages)
    for number in chosen:
        if number not in allowed:
            raise GluonAttnError(f"stages={chosen!r}: there is no stage {number}; this network has 1 to {count}.")
    return chosen
