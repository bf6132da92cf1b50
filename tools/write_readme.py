"""`make readme` copies the tables that commands of this repository wrote under docs/ into README.md.

A section is `<!-- FILE -->` ... `<!-- end -->`, and holds the tables of docs/FILE.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(r"(<!-- (?P<file>[\w./-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables(text):
    """The lines of a page that are tables, with a blank line between two of them."""
    blocks = re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)
    return "\n".join(block.strip() + "\n" for block in blocks)


def fill(match):
    page = ROOT / "docs" / match["file"]
    return match[1] + tables(page.read_text()) + match[3]


def main():
    readme = ROOT / "README.md"
    readme.write_text(SECTION.sub(fill, readme.read_text()))


if __name__ == "__main__":
    main()
