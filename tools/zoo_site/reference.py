"""docs/api.md as the site has it: the mechanisms' files in the place of the line that stands for them."""

from __future__ import annotations

from pathlib import Path

ATTENTION = Path(__file__).resolve().parents[2] / "gluon_attn" / "attention"
LINE = ".. every mechanism, one file after the other: tools/zoo_site/reference.py"  # a comment where nobody replaces it
SHARED = ("__init__", "announce", "gating", "plain", "positions", "slots")  # by several mechanisms, or of none


def with_every_mechanism(text: str) -> str:
    """The page's text with each file of gluon_attn/attention/ that is a mechanism's: a new one has its place at once.

    >>> with_every_mechanism(LINE).splitlines()[0]
    '.. automodule:: gluon_attn.attention.aa'
    """
    files = sorted(path.stem for path in ATTENTION.glob("*.py") if path.stem not in SHARED)
    places = (f".. automodule:: gluon_attn.attention.{file}\n   :members:" for file in files)
    return text.replace(LINE, "\n\n".join(places))
