"""The little that all key maps share: names rewritten by a table of (pattern, replacement)."""

from __future__ import annotations

import re

STAGE = re.compile(r"stages\.(\d)\.")  # of our names


def rewrite(names, rules):
    """{name: replacement}; the first rule whose pattern matches the whole name counts, names without one are left out.

    A replacement is a template, None (deliberately unused), or a function of the match.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    mapped = {}
    for name in names:
        for pattern, replacement in compiled:
            match = pattern.fullmatch(name)
            if match:
                mapped[name] = match.expand(replacement) if isinstance(replacement, str) else _call(replacement, match)
                break
    return mapped


def _call(replacement, match):
    return None if replacement is None else replacement(match)


def any_matches(names, pattern):
    """Whether the pattern occurs in one of the names."""
    return any(re.search(pattern, name) for name in names)


def first_stage(names, pattern):
    """The lowest number that `pattern`'s first group catches: where the stages of a numbered file begin."""
    return min((int(m.group(1)) for m in (re.match(pattern, name) for name in names) if m), default=0)


def torch_leaf(leaf):
    """What PyTorch calls a parameter of ours, without its path."""
    return {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)
