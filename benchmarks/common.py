"""What the benchmarks share: their options, set before MXNet is imported, and how a table is written."""

from __future__ import annotations

import argparse
import csv
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "results"


def options(description, argv=None, **defaults):
    """Parsed --rounds, --clock, --threads (and the keywords given), with the threads already in force."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    values = {"rounds": 5, "clock": "wall", "threads": 0, **defaults}
    for name, value in values.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args(argv)
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
    return args


def write(name, rows, args):
    """results/NAME.csv, every row with the clock, the threads and the machine it was measured on."""
    machine = {"clock": args.clock, "threads": args.threads or os.cpu_count(), "machine": platform.machine()}
    rows = [{**row, **machine} for row in rows]
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def show(row):
    """Print a row as soon as it is known."""
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row
