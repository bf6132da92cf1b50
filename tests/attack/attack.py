"""Mutations of one kind of file, each case in a process of its own, and the count of what became of them."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.attack import limits
from tests.attack.mutations import mutated


@dataclass(frozen=True)
class Target:
    """`make(folder)` writes whole files; `name` is the one that is mutated; `read(folder)` opens them.

    wrap : unpacks what has checksums (mutations.py), so that mutations reach what stands behind them
    share : of the cases, where 1 is usual; a case of training takes twenty times that of a picture
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], None]
    wrap: Optional[Callable] = None
    share: float = 1.0


@dataclass
class Found:
    """What became of the cases of one kind."""

    outcomes: Counter = field(default_factory=Counter)
    seconds: float = 0.0  # the longest
    memory: int = 0  # bytes, the most above that of the whole file
    others: list = field(default_factory=list)  # (outcome, detail, content)

    def row(self, kind):
        tries, loaded, refused = (
            sum(self.outcomes.values()),
            self.outcomes[limits.LOADED],
            self.outcomes[limits.REFUSED],
        )
        return f"| {kind} | {tries} | {loaded} | {refused} | {tries - loaded - refused} | {self.memory >> 20} |"


def attack(target, cases, number=0, show=None):
    """The Found of `cases` mutations of one kind of file, drawn from the seed `number`."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        folder = Path(folder)
        outcome, detail, _ = limits.run(lambda: target.make(folder))
        if outcome != limits.LOADED:
            raise AssertionError(f"{target.name} cannot be made: {outcome} {detail}")
        content = (folder / target.name).read_bytes()
        outcome, detail, base = limits.run(lambda: target.read(folder))
        if outcome != limits.LOADED:
            raise AssertionError(f"the whole {target.name} is not read: {outcome} {detail}")

        @seed(number)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(mutated(content, target.wrap))
        def case(changed):
            (folder / target.name).write_bytes(changed)
            begun = time.monotonic()
            outcome, detail, peak = limits.run(lambda: target.read(folder), base + limits.MEMORY)
            found.outcomes[outcome] += 1
            found.seconds = max(found.seconds, time.monotonic() - begun)
            found.memory = max(found.memory, peak - base)
            if outcome not in limits.PROMISED:
                found.others.append((outcome, detail, changed))
            if show:
                show()

        case()
    return found
