"""What a recipe's words mean: YAML without its traps, and each value as the type of its field.

A recipe may come from anywhere: every text here is read in well under a second, or refused with a sentence.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections import Counter

import yaml

from gluon_attn.errors import GluonAttnError, unknown

MOST_TEXT = 1 << 14  # characters: the longest of our recipes has 2,000, and PyYAML reads 60,000 in a second
DEEPEST = 20  # lists in lists
WANTED = {
    bool: "true or false",
    dict: "name=value,name=value",
    int: "a whole number",
    float: "a number",
    str: "a word or a text",
}


class _PlainLoader(yaml.SafeLoader):
    """YAML as a shallow tree: no aliases, of which nine lines can stand for a billion values, or for themselves."""

    depth = 0

    def compose_node(self, parent, index):
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read: write the value again", mark)
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, "it is nested too deeply", self.peek_event().start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        result = super().construct_mapping(node, deep)
        if len(result) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "an option stands twice", node.start_mark)
        return result


def load_yaml(text):
    """The value of a YAML text; a ValueError (yaml.YAMLError among them, as one) for what is none."""
    if len(text) > MOST_TEXT:
        raise ValueError(f"it has {len(text):,} characters, and a recipe has {MOST_TEXT:,} at most")
    # PyYAML alone takes a second to find that out: each bracket could begin a key of a thousand characters.
    depths = itertools.accumulate(1 if bracket in "[{" else -1 for bracket in re.findall(r"[][{}]", text))
    if max(depths, default=0) > DEEPEST:
        raise ValueError("it is nested too deeply")
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except (ValueError, OverflowError, TypeError) as error:  # PyYAML: a 13th month, a number too long, a list as a key
        raise ValueError(f"a value cannot be read: {str(error)[:200]}") from None


def read_value(spec, value):
    """`value` as the type of a dataclass field with our metadata; what does not fit raises a sentence."""
    kind, choices = spec.metadata["kind"], spec.metadata["choices"]
    flag = spec.name.replace("_", "-")
    is_list = spec.default_factory is not dataclasses.MISSING and isinstance(spec.default_factory(), list)
    try:
        if is_list:
            read = [_READERS[kind](item) for item in _items(value)]
        elif kind is dict:
            read = mapping(value, spec.metadata.get("keys", (str,)))
        else:
            read = _READERS[kind](value)
            if isinstance(value, bool) and "off" in (choices or ()):  # as YAML reads on and off
                read = "on" if value else "off"
    except (TypeError, ValueError, OverflowError, AttributeError):
        wanted = f"{kind.__name__}s, as in 60,120" if is_list else WANTED[kind]
        wanted += _repeated(value) if kind is dict else ""
        raise GluonAttnError(f"--{flag} cannot be {shown(value)}: it takes {wanted}.") from None
    if isinstance(value, bool) and kind is str and not (choices or spec.metadata["true"]):
        raise GluonAttnError(
            f"--{flag} cannot be {value}: it takes a text, and YAML reads yes, no, on and off as true and false. "
            "Write the word in quotes."
        )
    refuse_keys(spec, read)
    if choices and read not in choices:
        raise unknown(f"--{flag}", read, [choice for choice in choices if choice])
    return read


def refuse_keys(spec, value):
    """GluonAttnError where a dict has a key that something else says (`elsewhere` of the field)."""
    for key, place in spec.metadata["elsewhere"].items():
        if key in value:
            raise GluonAttnError(f"--{spec.name.replace('_', '-')} takes no {key!r}: {place}. Leave it out.")


def shown(value):
    """`repr` in a sentence: no longer than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes out no number of more than 4,300 digits
        return "a value too long to be shown"
    return text if len(text) <= 80 else f"{text[:70]}... ({len(text):,} characters)"


def mapping(value, keys=(str,)):
    """'reduction=8,stages=[3,4]' -> {'reduction': 8, 'stages': [3, 4]}: YAML's flow form, with = for its colon."""
    if isinstance(value, dict):
        read = dict(value)
    else:
        read = load_yaml("{" + re.sub(r"(^|,)\s*(\w+)=", r"\1\2: ", value) + "}")
        if any(entry is None for entry in read.values()):
            raise ValueError
    if not all(type(key) in (*keys, str) for key in read) or not all(map(_plain, read.values())):
        raise ValueError
    return read


def _repeated(value):
    """Half a sentence on the name that stands twice in 'name=value,name=value', where one does."""
    names = Counter(re.findall(r"(?:^|,)\s*(\w+)=", value if isinstance(value, str) else ""))
    twice = [name for name, times in names.most_common(1) if times > 1]
    return f", and {twice[0]!r} stands twice" if twice else ""


def _plain(value):
    """Whether JSON, and so a checkpoint, can hold the value."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_plain, value.values()))
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 1 << 63
    return value is None or isinstance(value, (bool, str)) or (isinstance(value, float) and math.isfinite(value))


def _items(value):
    if isinstance(value, (dict, bytes)):
        raise ValueError
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    return value


def _boolean(value):
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if not isinstance(value, (bool, int, str)) or shown(value).strip("'").lower() not in words:
        raise ValueError
    return words[str(value).lower()]


def _whole(value):
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError
    return int(value)


def _number(value):
    if isinstance(value, bool):
        raise ValueError
    return float(value)


def _text(value):
    """A word as YAML may have read it: `off` and 20 are meant as they are written."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)) or "\0" in str(value):
        raise ValueError
    return str(value)


_READERS = {bool: _boolean, int: _whole, float: _number, str: _text}
