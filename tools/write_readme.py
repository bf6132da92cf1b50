"""`make readme` copies the tables that commands of this repository wrote under docs/ into README.md.

A section is `<!-- FILE -->` ... `<!-- end -->`, and holds the tables of docs/FILE; with `FILE#Heading` those below it.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(r"(<!-- (?P<file>[\w./-]+)(?:#(?P<heading>[^>]+?))? -->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def tables(text):
    """The lines of a page that are tables, with a blank line between two of them."""
    blocks = re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)
    return "\n".join(block.strip() + "\n" for block in blocks)


def fill(match):
    page = (ROOT / "docs" / match["file"]).read_text()
    if match["heading"]:
        page = re.split(r"^#+ ", page.split(f"# {match['heading']}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return match[1] + tables(page) + match["end"]


def main():
    readme = ROOT / "README.md"
    readme.write_text(SECTION.sub(fill, readme.read_text()))


if __name__ == "__main__":
    main()
