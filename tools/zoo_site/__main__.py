"""`make docs`: the pages of docs/, a card for every network and the zoo's table, as one folder that opens from disk.

python -m tools.zoo_site [--output docs/_build]      # writes _build/html; _build/source is what Sphinx reads
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Iterable

from benchmarks import stage_costs
from gluon_attn import list_models
from gluon_attn.catalogue.names import SPECS, is_own
from tools.zoo_site.cards import card
from tools.zoo_site.reference import with_every_mechanism
from tools.zoo_site.zoo_page import page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STATIC = Path(__file__).with_name("static")


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=DOCS / "_build", metavar="DIR")
    args = parser.parse_args(argv)
    if not importlib.util.find_spec("furo"):
        parser.error("the site needs the extra docs, on Python 3.11 or 3.12: make docs PYTHON=python3.11")
    source, html = args.output / "source", args.output / "html"
    shutil.rmtree(html, ignore_errors=True)
    write_source(source, costs_of(filter(is_own, list_models())))
    from sphinx.cmd.build import main as sphinx

    status = sphinx(["-W", "--keep-going", "-q", "-E", "-b", "html", str(source), str(html)])
    if not status:
        print(f"{html / 'index.html'}")
    return status


def costs_of(names: Iterable[str]) -> dict:
    """{name: {stage: [parameters, MACs]}}: from results/, and counted for names that are newer than that file."""
    known = stage_costs.known()
    return {name: known[name] if name in known else stage_costs.count(name) for name in names}


def write_source(folder: Path, costs: dict) -> None:
    """What Sphinx reads: the pages as they are, the generated ones beside them. `costs` has their backbones, too."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("_build"))
    shutil.copytree(STATIC, folder / "_static")
    networks = folder / "networks"
    networks.mkdir()
    for name, stages in costs.items():
        text = card(name, stages, costs[SPECS[name].plain])
        (networks / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / "zoo.md").write_text(page(costs), encoding="utf-8")
    api = folder / "api.md"
    api.write_text(with_every_mechanism(api.read_text(encoding="utf-8")), encoding="utf-8")
    index = folder / "index.md"
    index.write_text(with_every_page(index.read_text(encoding="utf-8"), folder), encoding="utf-8")


def with_every_page(index: str, folder: Path) -> str:
    """The front page; what none of its lists names goes to the end of the last: a page without a link is lost."""
    named = set(index.split())
    lost = sorted(path.stem for path in folder.glob("*.md") if path.stem not in named | {"index"})
    start, end = index.rstrip().rsplit("\n", 1)
    return "\n".join([start, *lost, end, ""])


if __name__ == "__main__":
    sys.exit(main())
