"""What every keyword of a network takes, in one place: a wrong value is a sentence before anything is built.

Pure data: this module imports no framework. Which words there are for a keyword (`block`, `gating`, ...) is known where
they are defined, and said there. The keywords that one mechanism alone takes stand in its record
(gluon_attn/catalogue/mechanisms.py); one that is nowhere belongs to a mechanism from outside.
"""

from __future__ import annotations

import numbers
from typing import Any, Container, Mapping, NamedTuple, Optional

from gluon_attn.catalogue.kinds import (
    BLOCK,
    COUNT,
    LARGEST,
    NUMBER,
    ODD,
    POSITIVE,
    SHARE,
    SWITCH,
    WORD,
    Kind,
    is_whole,
)
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.errors import GluonAttnError

# Of several mechanisms: one value for the network, or a tuple of one a stage.
STAGED = {
    "reduction": COUNT,
    "minimum": COUNT,
    "map_size": COUNT.or_none(),
    "kernel": ODD.or_none(),
    "alpha": NUMBER,
    "gating": BLOCK,
    "form": WORD,
    "channel_form": WORD,
    "shortcut": BLOCK,  # of the backbone
}
# Of the backbones, and of several heads.
SINGLE = {
    **dict.fromkeys(("groups", "growth", "stem_width", "compression", "width", "hidden"), COUNT),
    **dict.fromkeys(("image_size", "classes", "in_channels", "levels"), COUNT),
    **dict.fromkeys(("group_width", "output_stride"), COUNT.or_none()),
    **dict.fromkeys(("dropout", "momentum"), SHARE),
    **dict.fromkeys(("epsilon",), POSITIVE),
    **dict.fromkeys(("last_gamma", "attention"), SWITCH),
    **dict.fromkeys(("block", "stem", "gate", "fuse", "conv", "head"), BLOCK),
    **dict.fromkeys(("stage",), BLOCK.or_none()),
    **dict.fromkeys(("stride_in", "outputs"), WORD),
}
LISTS = ("layers", "widths", "stem_widths", "stages", "multi_grid")
PLACES = "stage_after"  # {stage: [block, ...]}
NOTHING_CHOSEN = ("stages", "multi_grid", PLACES)  # of those two, what may be None


class Takes(NamedTuple):
    """What a keyword takes, and whether a tuple of one a stage does, too."""

    kind: Kind
    staged: bool


def taken_by(keyword: str) -> Optional[Takes]:
    """What a keyword takes; None of one whose values are lists, and of one that no mechanism or backbone of ours has.

    >>> taken_by("energy_lambda").kind.words
    'a number above 0'
    """
    if keyword in STAGED:
        return Takes(STAGED[keyword], True)
    if keyword in SINGLE:
        return Takes(SINGLE[keyword], False)
    having = (record for record in MECHANISMS.values() if keyword in record.words)
    return next((Takes(record.words[keyword], record.slot != "head") for record in having), None)


def may_be_none(keyword: str) -> bool:
    """Whether None stands where nothing was chosen for the keyword.

    >>> may_be_none("stages"), may_be_none("widths")
    (True, False)
    """
    takes = taken_by(keyword)
    return keyword in NOTHING_CHOSEN or bool(takes and takes.kind.optional)


def checked(name: str, arguments: Mapping[str, Any], free: Container[str] = ()) -> dict:
    """The keywords of the network `name` as its family takes them (tuples for lists); GluonAttnError for a wrong one.

    free : keywords that are not looked at

    >>> checked("resnet18", {"layers": [2, 2, 2, 2], "widths": [32, 64, 128, 256]})["widths"]
    (32, 64, 128, 256)
    """
    found = {key: plain(value) for key, value in arguments.items()}
    stages = _stages(found)
    for key, value in found.items():
        if key in free or (value is None and may_be_none(key)):
            continue
        problem = _problem(key, value, stages, found)
        if problem:
            raise GluonAttnError(f"{name}: {key}={_short(value)} {problem}.")
    return found


def refuse_wrong(name: str, arguments: Mapping[str, Any]) -> None:
    """GluonAttnError for a keyword of one block that is not what it takes: as `checked`, but one value each.

    >>> refuse_wrong("the gate 'se'", {"reduction": 8})
    """
    for key, value in arguments.items():
        takes = taken_by(key)
        if takes is not None and not takes.kind.fits(value):
            raise GluonAttnError(f"{name}: {key}={_short(value)} cannot be: give {takes.kind.words}.")


def plain(value: Any) -> Any:
    """As YAML, JSON, numpy and Python write it, in one form: tuples, Python's numbers, and stages as whole numbers.

    >>> plain({"2": [1, 3]})
    {2: (1, 3)}
    """
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if isinstance(value, Mapping):
        return {int(k) if str(k).isdigit() else k: plain(v) for k, v in value.items()}
    return value.item() if isinstance(value, numbers.Number) and hasattr(value, "item") else value


def _stages(arguments):
    """The number of stages, where a keyword says it."""
    says = arguments.get("layers", arguments.get("widths") if "hidden" not in arguments else None)
    return len(says) if isinstance(says, tuple) and says else None


def _problem(key, value, stages, arguments):
    if key in LISTS:
        return _problem_of_list(key, value, stages, arguments)
    if key == PLACES:
        return _problem_of_places(value, stages, arguments.get("layers"))
    if key == "dims" and 3 in (value if isinstance(value, tuple) else (value,)):
        return "cannot be: the maps of this network have 2 dimensions; create_stage(..., dims=3) is for clips' maps"
    takes = taken_by(key)
    if takes is None:
        return ""
    if takes.staged and isinstance(value, tuple):
        return _problem_of_stages(takes.kind, value, stages)
    if takes.kind.fits(value):
        return ""
    return f"cannot be: give {takes.kind.words}" + (", or a list of one a stage" if takes.staged else "")


def _problem_of_stages(kind, value, stages):
    if stages and len(value) != stages:
        return f"has {len(value)} entries for {stages} stages: give one value, or {stages}"
    wrong = [entry for entry in value if entry is not None and not kind.fits(entry)]
    return f"cannot be: {_short(wrong[0])} is not {kind.words}" if wrong else ""


def _problem_of_list(key, value, stages, arguments):
    example = "[32, 64, 128, 256]" if key in ("widths", "layers") else "[3, 4]" if key == "stages" else "[64]"
    if not isinstance(value, tuple) or (not value and key != "stages"):
        return f"cannot be: give a list of whole numbers, as in {key}={example}"
    if key == "widths" and all(isinstance(entry, tuple) for entry in value):  # MobileNet's: a list of every stage
        entries = [entry for stage in value for entry in stage or (0,)]
    else:
        entries = value
    wrong = [entry for entry in entries if not COUNT.fits(entry)]
    if wrong:
        return f"cannot be: {_short(wrong[0])} is not {COUNT.words}"
    if key == "widths" and stages and len(value) != stages:
        return f"has {len(value)} entries for the {stages} stages of layers={arguments['layers']}: give {stages}"
    if key == "stem_widths":
        wanted = 3 if arguments.get("stem") == "deep" else 1
        if len(value) != wanted and isinstance(arguments.get("stem", ""), str):
            return f"has {len(value)} entries: stem={arguments.get('stem', 'imagenet')!r} takes {wanted}"
    if key == "stages" and stages and max(value, default=0) > stages:
        return f"cannot be: there is no stage {max(value)}, this network has 1 to {stages}"
    if key == "stages" and len(set(value)) < len(value):
        return "cannot be: a stage stands twice"
    return ""


def _problem_of_places(value, stages, layers):
    if not isinstance(value, dict):
        return "cannot be: give {stage: [block, ...]}, as in {2: [1, 3], 3: [-1]}"
    for stage, blocks in value.items():
        if not is_whole(stage) or stage < 1 or (stages and stage > stages):
            return f"cannot be: there is no stage {_short(stage)}, this network has 1 to {stages}"
        depth = layers[stage - 1] if layers else LARGEST
        if not isinstance(blocks, tuple) or not all(is_whole(b) and -depth <= b < depth for b in blocks):
            return f"cannot be: stage {stage} has the blocks 0 to {depth - 1} (or, from the end, -1 to -{depth})"
    return ""


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
