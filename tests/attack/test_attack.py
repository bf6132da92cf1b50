"""The attack itself: its limits catch what they are for, a smaller one finds nothing, and the page of it is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gluon_attn.errors import GluonAttnError
from tests.attack import limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def raising(error):
    def action():
        raise error

    return action


def forever():
    while True:
        pass


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (lambda: None, limits.LOADED),
        (raising(GluonAttnError("This is wrong.")), limits.REFUSED),
        (raising(GluonAttnError("This is wrong.\nAnd this.")), "not one sentence"),
        (raising(KeyError("x")), "KeyError"),
        (raising(MemoryError()), "MemoryError"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (os.abort, "crash"),
        (lambda: os._exit(3), "crash"),
        (lambda: np.ones(200 << 17).sum(), "memory"),
        (lambda: np.ones(1 << 40), "MemoryError"),
        (forever, "time"),
    ],
)
def test_each_outcome_is_told(action, outcome, monkeypatch):
    if action is forever:  # a loaded machine needs its time for the others
        monkeypatch.setattr(limits, "SECONDS", 1)
    base = limits.run(lambda: None)[2]
    found, _, _ = limits.run(action, base + (100 << 20))
    assert found == outcome or (outcome == "MemoryError" and "MemoryError" in found)


def test_a_reader_that_breaks_is_found():
    pytest.importorskip("hypothesis")
    from tests.attack.attack import Target, attack

    def read(folder):
        if (folder / "a").read_bytes()[:4] != b"good":
            raise ZeroDivisionError

    target = Target("a", lambda folder: (folder / "a").write_bytes(b"good" * 10), read)
    found = attack(target, 12)
    assert found.outcomes["ZeroDivisionError"] == len(found.others) > 0
    assert sum(found.outcomes.values()) == 12 and found.others[0][2][:4] != b"good"


@pytest.mark.slow
def test_a_smaller_attack_finds_no_third_outcome(tmp_path):
    """With mutations of its own: the seed is not that of the page."""
    pytest.importorskip("hypothesis")
    command = [sys.executable, "-m", "tests.attack", "--cases", "320", "--seed", "1", "--keep", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_the_table_of_a_whole_attack_without_a_third_outcome():
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| \d+ \|$", PAGE, re.MULTILINE)
    assert sum(int(tries) for _, tries, *_ in rows) >= 2000
    for kind, tries, loaded, refused, third in rows:
        assert int(third) == 0 and int(loaded) + int(refused) == int(tries), kind


def test_the_tests_that_the_page_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 15
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test
