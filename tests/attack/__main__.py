"""`make attack`: mutations of every kind of file, the table of outcomes, and status 1 where there is a third one."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from gluon_attn.files import write_text
from tests.attack.attack import attack
from tests.attack.targets import TARGETS

CASES = 2000
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- make attack -->\n", "<!-- end -->\n"


HEAD = """| file | tries | loaded and finite | one sentence | anything else | most memory above the whole file's, MB |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


def table(rows):
    return HEAD + "".join(f"{rows[kind]}\n" for kind in TARGETS if kind in rows)


def write(rows):
    """Put the rows into docs/reliability.md; those of other kinds stay."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    kept = {line.split("|")[1].strip(): line for line in inside.splitlines()[2:]}
    write_text(DOCUMENT, before + BEGIN + table({**kept, **rows}) + END + after)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(TARGETS), help="this kind alone")
    parser.add_argument("--keep", type=Path, default=Path("runs/attack"), help="where files of another outcome go")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    args = parser.parse_args(argv)
    kinds = args.kind or list(TARGETS)
    shares, results = sum(TARGETS[kind].share for kind in kinds), {}
    for kind in kinds:
        cases = math.ceil(args.cases * TARGETS[kind].share / shares)
        with tqdm(total=cases, desc=kind, disable=None) as bar:
            results[kind] = attack(TARGETS[kind], cases, args.seed, bar.update)
        for number, (outcome, detail, content) in enumerate(results[kind].others):
            path = args.keep / f"{kind.replace(':', '').replace(' ', '-')}-{number}" / TARGETS[kind].name
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            print(f"{kind}: {outcome}: {detail[:300]} ({path})", file=sys.stderr, flush=True)
    rows = {kind: found.row(kind) for kind, found in results.items()}
    print(table(rows))
    if args.write:
        write(rows)
    return 1 if any(found.others for found in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
