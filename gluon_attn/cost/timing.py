"""Speeds as ratios: everything to be compared runs in turns, in one process, so that noise meets all of it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

# 'wall' is what a user waits; 'cpu' counts the work of this process alone, for machines that are shared. With more than
# one thread it also counts the threads that only wait, so measure it with one.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
PAUSE = 0.3  # OpenMP's threads spin for 0.2 s after their work, and would take the cores from the next job

TURN = 0.3  # a job's turn lasts as long at least: its first call meets sleeping threads and the last job's caches


@dataclass(frozen=True)
class Timing:
    """Seconds a call in every round of one job, in order: rounds of several jobs belong together."""

    seconds: tuple

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def spread(self):
        """Half the distance between the quartiles, relative to the median."""
        ordered = sorted(self.seconds)
        low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
        return (high - low) / 2 / self.median

    def faster_than(self, other):
        """Median of the ratios of the rounds: above 1 where this one is faster."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.seconds, other.seconds))


def interleaved(jobs, rounds=5, warm_up=2, clock="wall", pause=PAUSE, turn=TURN):
    """{name: Timing} of the jobs {name: callable that returns when its work is done}.

    A job that was warmed up and takes less than `turn` seconds is called several times in its turn.
    """
    now = CLOCKS[clock]
    calls = dict.fromkeys(jobs, 1)
    for name, job in jobs.items():
        for _ in range(warm_up):
            calls[name] = max(1, round(turn / _seconds(job, now)))
    seconds = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            time.sleep(pause)
            seconds[name].append(_seconds(job, now, calls[name]))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def _seconds(job, now, calls=1):
    """Of one call, on average."""
    start = now()
    for _ in range(calls):
        job()
    return max((now() - start) / calls, 1e-9)
