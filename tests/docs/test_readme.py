"""The front door: one screen, which runs as it stands, no long table, and no link into nothing."""

import importlib
import re
from pathlib import Path

import pytest

from gluon_attn import cli
from gluon_attn.parser import Parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCREEN = README[: README.index("\n## ")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_it_is_short():
    assert len(README.splitlines()) <= 150
    assert len(SCREEN.splitlines()) <= 45, "the first heading comes after one screen"
    assert "make demo" in SCREEN and "make test" in SCREEN and "](docs/explain.png)" in SCREEN
    assert not re.search(r"^\|", README, re.MULTILINE), "tables live in docs/"


def test_its_first_lines_run():
    (code,) = re.findall(r"``python\n(.*?)``", SCREEN, re.DOTALL)
    assert len(code.splitlines()) == 5
    scope = {}
    exec(code, scope)
    assert all(found.values.shape[0] == 1 for found in scope["maps"].values()) and scope["maps"]
    x = scope["mx"].nd.ones((1, 64, 4, 4))
    for block, arguments in ((scope["gate"], [x]), (scope["fuse"], [x, x])):
        block.initialize()
        assert block(*arguments).shape == x.shape


def test_the_commands_that_take_a_run_are_named():
    takers = set()
    for name in cli.COMMANDS:
        parser = Parser(description="")
        importlib.import_module(f"gluon_attn.commands.{name}").add_arguments(parser)
        takers |= {name for action in parser._actions if "--run" in action.option_strings}
    page = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"`--run DIR` of (.*?), and `gluon_attn.load", page, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", said)) == takers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"``.*?``", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(other), f"{page.name}: {target}"
