"""What every keyword of a network takes, in one place: a wrong value is a sentence before anything is built.

Pure data: this module imports no framework. Which words there are for a keyword (`block`, `gating`, ...) is known where
they are defined, and said there; a keyword that is not here belongs to a mechanism from outside.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, Container, Mapping

from gluon_attn.errors import GluonAttnError

LARGEST = 1 << 20  # of a count: more channels or blocks than any memory holds


@dataclass(frozen=True)
class Kind:
    """What one value is: how errors call it, and whether a value is one."""

    words: str
    fits: Any


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


COUNT = Kind("a whole number from 1", lambda v: _is_whole(v) and 1 <= v <= LARGEST)
ODD = Kind("an odd number from 1", lambda v: _is_whole(v) and 1 <= v <= LARGEST and v % 2 == 1)
NUMBER = Kind("a number", _is_number)
POSITIVE = Kind("a number above 0", lambda v: _is_number(v) and v > 0)
NOT_NEGATIVE = Kind("a number from 0", lambda v: _is_number(v) and v >= 0)
SHARE = Kind("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1)
SWITCH = Kind("True or False", lambda v: isinstance(v, bool))
WORD = Kind("a word", lambda v: isinstance(v, str) and bool(v))
BLOCK = Kind("a name or a class", lambda v: (isinstance(v, str) and bool(v)) or callable(v))

# One value for the network, or a tuple of one a stage.
STAGED = {
    **dict.fromkeys(("reduction", "reduce", "heads", "branches", "minimum", "inner", "map_size", "dilation"), COUNT),
    **dict.fromkeys(("round_to",), COUNT),
    **dict.fromkeys(("kernel",), ODD),
    **dict.fromkeys(("alpha",), NUMBER),
    **dict.fromkeys(("energy_lambda", "kappa", "upsilon"), POSITIVE),
    **dict.fromkeys(("scale", "sub_sample", "spatial", "spatial_bn", "scale_gradient"), SWITCH),
    **dict.fromkeys(("gating", "shortcut"), BLOCK),
    **dict.fromkeys(("form", "channel_form", "spatial_order"), WORD),
}
SINGLE = {
    **dict.fromkeys(("groups", "group_width", "growth", "stem_width", "compression", "width", "hidden"), COUNT),
    **dict.fromkeys(("image_size", "classes", "in_channels", "levels", "frames", "dims", "output_stride"), COUNT),
    **dict.fromkeys(("dropout", "momentum"), SHARE),
    **dict.fromkeys(("epsilon",), POSITIVE),
    **dict.fromkeys(("diversity", "interaction"), NOT_NEGATIVE),
    **dict.fromkeys(("last_gamma", "branch_norm", "attention"), SWITCH),
    **dict.fromkeys(("block", "stem", "gate", "fuse", "stage", "conv", "head"), BLOCK),
    **dict.fromkeys(("stride_in", "outputs", "attention_map", "project", "compatibility", "combine"), WORD),
    **dict.fromkeys(("fusion", "sampling"), WORD),
}
LISTS = dict.fromkeys(("layers", "widths", "stem_widths", "stages", "multi_grid"), COUNT)
# None is what these keywords have where nothing was chosen.
MAY_BE_NONE = {"group_width", "output_stride", "multi_grid", "stages", "stage", "stage_after", "map_size", "kernel"}
MAY_BE_NONE |= {"inner", "round_to"}


def checked(name: str, arguments: Mapping[str, Any], free: Container[str] = ()) -> dict:
    """The keywords of the network `name` as its family takes them (tuples for lists); GluonAttnError for a wrong one.

    free : keywords that are not looked at

    >>> checked("resnet18", {"layers": [2, 2, 2, 2], "widths": [32, 64, 128, 256]})["widths"]
    (32, 64, 128, 256)
    """
    found = {key: _tuples(value) for key, value in arguments.items()}
    stages = _stages(found)
    for key, value in found.items():
        if key in free or (value is None and key in MAY_BE_NONE):
            continue
        problem = _problem(key, value, stages, found)
        if problem:
            raise GluonAttnError(f"{name}: {key}={_short(value)} {problem}.")
    return found


def _tuples(value):
    """As YAML, JSON and Python write it, in one form: tuples, and stages as whole numbers."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_tuples, value))
    if isinstance(value, Mapping):
        return {int(k) if str(k).isdigit() else k: _tuples(v) for k, v in value.items()}
    return value


def _stages(arguments):
    """The number of stages, where a keyword says it."""
    says = arguments.get("layers", arguments.get("widths") if "hidden" not in arguments else None)
    return len(says) if isinstance(says, tuple) and says else None


def _problem(key, value, stages, arguments):
    if key in LISTS:
        return _problem_of_list(key, value, stages, arguments)
    if key == "stage_after":
        return _problem_of_places(value, stages, arguments.get("layers"))
    if key in STAGED and isinstance(value, tuple):
        return _problem_of_stages(STAGED[key], value, stages)
    kind = STAGED.get(key) or SINGLE.get(key)
    if kind is None or kind.fits(value):
        return ""
    return f"cannot be: give {kind.words}" + (", or a list of one a stage" if key in STAGED else "")


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
        if not _is_whole(stage) or stage < 1 or (stages and stage > stages):
            return f"cannot be: there is no stage {_short(stage)}, this network has 1 to {stages}"
        depth = layers[stage - 1] if layers else LARGEST
        if not isinstance(blocks, tuple) or not all(_is_whole(b) and -depth <= b < depth for b in blocks):
            return f"cannot be: stage {stage} has the blocks 0 to {depth - 1} (or, from the end, -1 to -{depth})"
    return ""


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
