"""The slots as tables of classes, made of the records in gluon_attn/catalogue/mechanisms.py."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Callable, List, Set

import mxnet as mx
from mxnet.gluon import Block, HybridBlock

from gluon_attn import plugins
from gluon_attn.catalogue.arguments import refuse_wrong
from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import OWN
from gluon_attn.errors import GluonAttnError, unknown

# What a network tells a block of the slot, before the arguments of the mechanism.
PLACES = {
    "gate": ("channels",),
    "fuse": ("channels",),
    "stage": ("channels",),
    "conv": ("channels", "stride", "groups", "dilation"),
    "head": ("trunk", "channels", "classes"),  # of a function, and of a class
}
KINDS = {"stage": "stage attention"}  # what errors call a slot, where not by its own name


class Slot(Mapping):
    """{name: what makes the block} of one slot; a file is imported when one of its mechanisms is asked for."""

    def __init__(self, slot: str):
        self.slot = slot

    def __getitem__(self, name):
        if name not in list(self):
            raise KeyError(name)
        return MECHANISMS[name].load()

    def __iter__(self):
        return (name for name, record in MECHANISMS.items() if record.slot == self.slot and record.block)

    def __len__(self):
        return len(list(iter(self)))


TABLES = {slot: Slot(slot) for slot in (*PLACES, "block")}
GATES, FUSES, STAGES, CONVS = (TABLES[slot] for slot in ("gate", "fuse", "stage", "conv"))


def made_by(slot: str, chosen: Any) -> Callable:
    """What makes the blocks of a slot: the mechanism of that name, or a class of your own.

    >>> made_by("gate", "se")
    <class 'gluon_attn.attention.se.SE'>
    """
    if isinstance(chosen, str):
        if chosen not in TABLES[slot]:
            plugins.load()
        if chosen not in TABLES[slot]:
            # As the card of a network has it that was built with a class (zoo.own_arch).
            _, colon, name = chosen.rpartition(":")
            remedy = f"Give the class itself: {slot}={name}." if colon else plugins.without()
            raise unknown(KINDS.get(slot, slot), chosen, TABLES[slot], remedy=remedy)
        return TABLES[slot][chosen]
    refuse_what_makes_no_block(slot, chosen)
    return chosen


def known(table: Slot) -> List[str]:
    """The names in a slot's table, those from outside among them.

    >>> known(FUSES)
    ['add', 'aff', 'iaff']
    """
    plugins.load()
    return sorted(table)


def is_class(made: Callable) -> bool:
    """Whether it is a class, or one with some of its arguments given.

    >>> import functools
    >>> is_class(functools.partial(HybridBlock, prefix="a_"))
    True
    """
    return inspect.isclass(getattr(made, "func", made))


def refuse_what_makes_no_block(slot: str, made: Any) -> None:
    """A sentence for what is no class (or function) that takes first what the slot tells it.

    >>> refuse_what_makes_no_block("gate", made_by("gate", "se"))
    """
    first = ("channels", "classes") if slot == "head" and is_class(made) else PLACES[slot][:1]
    wanted = "give a HybridBlock class whose first argument is `channels`" + ", the second `classes`" * (slot == "head")
    if not callable(made) or isinstance(made, Block):
        raise GluonAttnError(
            f"{slot}={_short(made)} is neither a name nor a class: {wanted}, or one of {', '.join(TABLES[slot])}."
        )
    if inspect.isclass(made) and not issubclass(made, HybridBlock):
        raise GluonAttnError(f"{made.__name__} is no HybridBlock, so no network with it can be exported: {wanted}.")
    names = [p.name for p in inspect.signature(made).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD,)]
    if names[: len(first)] != list(first):
        given = " and ".join(map(repr, names[: len(first)])) or "nothing"
        told = " and ".join(f"`{name}`" for name in first)
        raise GluonAttnError(f"{called(made)} takes {given} first, and a {slot} is told {told} first: {wanted}.")


def _short(made):
    return f"<a {type(made).__name__}>" if isinstance(made, Block) else repr(made)


def check(slot: str, made: Callable, arguments: Mapping) -> None:
    """Build a block of 64 channels and trace it: what does not keep the slot's contract is a sentence, now.

    >>> check("gate", made_by("gate", "se"), {"reduction": 8})
    """
    refuse_what_makes_no_block(slot, made)
    for keyword in arguments:
        if keyword not in accepted(slot, made):
            raise unknown(f"argument of {called(made)}", keyword, accepted(slot, made) or ["(none)"])
    if slot == "head":
        return _check_head(made, arguments)
    inputs = [mx.sym.Variable(f"x{i}") for i in range(2 if slot == "fuse" else 1)]
    how = f"as a {slot} it is called with {' and '.join(('x', 'the shortcut')[: len(inputs)])}"
    shape = _traced(made, (_CHANNELS,), {**_PLACE.get(slot, {}), **arguments}, inputs, how)
    if shape not in (None, _SHAPE):
        raise GluonAttnError(f"{called(made)} makes {shape} of {_SHAPE}; {how}, and gives one map of the same shape.")


def _check_head(made, arguments):
    if not is_class(made):
        return  # a function of the trunk, which only a network has
    how = "as a head it is called with the last map"
    shape = _traced(made, (_CHANNELS, 10), arguments, [mx.sym.Variable("x0")], how)
    if shape not in (None, (2, 10)):
        raise GluonAttnError(f"{called(made)} makes {shape} of {_SHAPE}; {how}, and gives logits: (2, 10) of 10.")


def _traced(made, place, arguments, inputs, how):
    """The shape of what the block makes of `inputs`; a sentence where it makes nothing."""
    try:
        block = made(*place, **arguments)
        output = block(*inputs)
    except GluonAttnError:
        raise
    except Exception as problem:  # whatever a class of somebody else's raises
        given = ", ".join([*map(str, place), *(f"{k}={v!r}" for k, v in arguments.items())])
        raise GluonAttnError(
            f"{called(made)}({given}) does not work: {type(problem).__name__}: {problem}. Note that {how}."
        ) from problem
    names = [x.name for x in inputs]
    _refuse_loose_parameters(called(made), block.collect_params(), output, names)
    return _shape_of(output, names)


def _refuse_loose_parameters(name, parameters, output, inputs):
    """Parameters that no training would find, or that have no shape before the first image."""
    used = output.list_inputs() if isinstance(output, mx.sym.Symbol) else ()
    strange = [found for found in used if found not in inputs and found not in parameters]
    if strange:
        raise GluonAttnError(
            f"{name} computes with {strange[0]}, which is none of its parameters: Gluon does not look for blocks in "
            "lists and dicts. Make it an attribute, or a child of a HybridSequential."
        )
    shapes = {found: parameter.shape or (0,) for found, parameter in parameters.items()}  # 0: not yet known
    waiting = [found for found, shape in shapes.items() if min(shape) < 1]
    if waiting:
        raise GluonAttnError(
            f"The shape of {waiting[0]} of {name} waits for the first image, and networks here have theirs before: say "
            "what comes in, as in nn.Dense(8, in_units=channels) and nn.Conv2D(8, 1, in_channels=channels)."
        )


_CHANNELS = 64
_PLACE = {"conv": dict(stride=1, groups=1, dilation=1)}
_SHAPE = (2, _CHANNELS, 16, 16)


def _shape_of(output, names):
    """The output's shape for inputs of `_SHAPE`; None where that cannot be said, as of what is tied to another size."""
    if not isinstance(output, mx.sym.Symbol) or len(output.list_outputs()) != 1:
        return "several outputs"
    try:
        return output.infer_shape(**dict.fromkeys(names, _SHAPE))[1][0]
    except mx.MXNetError:
        return None


def accepted(slot: str, chosen: Any) -> List[str]:
    """The keyword arguments that the mechanism of that name (or a class) takes in a slot.

    >>> accepted("gate", "se")
    ['reduction', 'round_to', 'gating', 'alpha']
    """
    parameters = inspect.signature(made_by(slot, chosen)).parameters.values()
    return [p.name for p in parameters if p.name not in PLACES[slot] and p.kind is not p.VAR_KEYWORD]


def is_own(chosen: Any) -> bool:
    """Whether a mechanism, by name or as a class, is of this package, whose keywords have one meaning.

    >>> is_own("se"), is_own(made_by("gate", "se")), is_own(HybridBlock)
    (True, True, False)
    """
    if isinstance(chosen, str):
        return chosen in OWN
    module = getattr(getattr(chosen, "func", chosen), "__module__", None) or ""
    return module.partition(".")[0] == __name__.partition(".")[0]


def of_outsiders(chosen: Mapping) -> Set[str]:
    """Keywords of the mechanisms in {slot: mechanism} that are not the package's: they may mean something of their own.

    >>> of_outsiders({"stage": made_by("stage", "bam"), "fuse": "aff"})
    set()
    """
    filled = {slot: chosen.get(slot) for slot in PLACES}
    outside = [(slot, found) for slot, found in filled.items() if _is_known(found) and not is_own(found)]
    return {keyword for slot, found in outside for keyword in accepted(slot, found)}


def _is_known(found):
    return callable(found) or (isinstance(found, str) and found in MECHANISMS)


def called(chosen: Any) -> str:
    """The name of a mechanism, or of a class, for sentences.

    >>> called("se"), called(HybridBlock)
    ('se', 'HybridBlock')
    """
    return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", repr(chosen))


def create(slot: str, chosen: Any, channels: int, **kwargs: Any) -> HybridBlock:
    """The block of a slot for `channels` channels; an argument that it does not take is an error.

    >>> create("gate", "se", 64, reduction=8)(mx.sym.Variable("x")).infer_shape(x=(1, 64, 8, 8))[1]
    [(1, 64, 8, 8)]
    """
    refuse_no_count(channels=channels)
    takes, name = accepted(slot, chosen), f"the {KINDS.get(slot, slot)} {called(chosen)!r}"
    own = {key: value for key, value in kwargs.items() if key not in ("prefix", "params")}
    for keyword in own:
        if keyword not in takes:
            raise unknown(f"argument of {name}", keyword, takes or ["(none)"])
    if is_own(chosen):
        refuse_wrong(name, own)
    return made_by(slot, chosen)(channels, **kwargs)
