"""Docstrings of this repository as reStructuredText: they are plain words with single backticks, not markup."""

from __future__ import annotations

import re

CODE = re.compile(r"`([^`]+)`")
ENTRY = re.compile(r"([\w*][\w*, .]*) : (.*)")


def to_rst(lines: list) -> list:
    """The docstring's lines, escaped; examples, tables and lists of parameters keep their form.

    >>> to_rst(["Gives `x * s(x)`.", "", "x : a map,", "    of any size"])[2:]
    ['- **x**: a map, of any size', '']
    """
    found = []
    for block in _blocks(lines):
        found += [*_converted(block), ""]
    return found


def _blocks(lines):
    block = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _converted(block):
    if block[0].lstrip().startswith(">>>"):
        return [".. code-block:: pycon", "", *(f"   {line}" for line in block)]
    if re.fullmatch(r"=+( +=+)+", block[0].strip()):
        return [CODE.sub(r"``\1``", line) for line in block]
    if len(block) > 1 and re.fullmatch(r"-{3,}", block[1].strip()):
        return [f"**{block[0].strip()}**", "", *_converted(block[2:])] if block[2:] else [f"**{block[0].strip()}**"]
    if ENTRY.match(block[0]) or re.match(r"\s*[-*] ", block[0]):
        return _entries(block)
    if all(line.startswith("  ") for line in block):
        return ["::", "", *(f"   {line}" for line in block)]
    return [_escaped(" ".join(line.strip() for line in block))]


def _entries(block):
    """One bullet an entry; what is indented below it goes on with it."""
    items = []
    for line in block:
        if items and line.startswith(" "):
            items[-1] += f" {line.strip()}"
        else:
            items.append(line)
    for item in items:
        entry = ENTRY.match(item)
        yield (
            f"- **{entry[1].strip(' *')}**: {_escaped(entry[2])}"
            if entry
            else f"- {_escaped(re.sub('^[-*] ', '', item))}"
        )


def _escaped(text):
    words, code = CODE.split(text)[::2], CODE.findall(text)
    words = [re.sub(r"([\\*_|`])", r"\\\1", part) for part in words]
    # The escaped spaces vanish: without them markup does not end before a letter.
    spans = [f"\\ ``{part.strip()}``\\ " for part in code]
    return "".join(piece for pair in zip(words, [*spans, ""]) for piece in pair)
