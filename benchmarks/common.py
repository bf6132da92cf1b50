"""What the benchmarks share: their options, set before MXNet is imported, and how a table is written."""

from __future__ import annotations

import argparse
import csv
import fnmatch
import glob
import os
import platform
import re
import sys
from pathlib import Path

from gluon_attn import threads
from gluon_attn.errors import unknown
from gluon_attn.files import write_csv
from gluon_attn.matrix_units import cpu_flags

ROOT = Path(__file__).resolve().parent.parent
INSTRUCTIONS = ("amx_tile", "avx512_bf16", "avx512_vnni", "avx512f", "avx2")  # the widest first
RESULTS, DOCS = ROOT / "results", ROOT / "docs"


def options(description, argv=None, **defaults):
    """Parsed --rounds, --clock, --threads (and the keywords given), with the threads already in force."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    values = {"rounds": 5, "clock": "wall", "threads": 0, **defaults}
    for name, value in values.items():
        kind = {"action": "store_true"} if value is False else {"type": type(value), "default": value}
        parser.add_argument(f"--{name.replace('_', '-')}", **kind)
    args = parser.parse_args(argv)
    threads.take(args.threads)
    return args


def chosen(only, known, what):
    """The names that `--only NAME,PATTERN*` asks for, in the order of `known`; all of them where it is empty."""
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]
    found = {pattern: fnmatch.filter(known, pattern) for pattern in patterns}
    for pattern, names in found.items():
        if not names:
            remedy = "--only takes names of these, by comma, or patterns such as 'cifar_*'."
            raise SystemExit(str(unknown(what, pattern, known, remedy=remedy)))
    asked = set().union(*found.values()) if found else set(known)
    return [name for name in known if name in asked]


def find_torch():
    """Let `import torch` find that of the environment which GLUON_ATTN_TORCH names, behind all that is in this one."""
    if os.environ.get("GLUON_ATTN_TORCH"):
        sys.path += glob.glob(os.path.join(os.environ["GLUON_ATTN_TORCH"], "lib", "python3.*", "site-packages"))


def add_torch():
    """The module torch, of this environment or of the other; None without one."""
    find_torch()
    import gluon_attn  # noqa: F401  (before torch)

    try:
        import torch
    except ImportError:
        return None
    return torch


def write(name, rows, args, unique=()):
    """results/NAME.csv, every row with the CPU, the clock, the cores and the machine it was measured on.

    What the file holds of another number of MXNet's cores stays, so that one command for each fills one table; with
    `unique`, so does what has other values there, in the columns of the new rows.
    """
    asked = str(args.threads or "default")
    machine = {"clock": args.clock, "threads": asked, "cores_of_mxnet": threads.taken(), "cores": os.cpu_count()}
    rows = [{**row, **processor(), **machine, "machine": platform.machine()} for row in rows]
    path = RESULTS / f"{name}.csv"
    measured = {_place(row, unique) for row in rows}
    known = [row for row in read(path) if row.keys() == rows[0].keys() or unique]
    others = [
        {column: row.get(column, "") for column in rows[0]} for row in known if _place(row, unique) not in measured
    ]
    write_csv(path, sorted([*rows, *others], key=cores_of_mxnet), list(rows[0]))


def cores_of_mxnet(row):
    """A number; as many as now in a row of the time before it was written."""
    return int(row.get("cores_of_mxnet") or threads.taken())


def _place(row, keys):
    return (cores_of_mxnet(row), *(str(row.get(key)) for key in keys))


def processor():
    """The CPU's model and the widest of its instructions, {'cpu', 'isa'}; '' where they are not known."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {"cpu": platform.processor() or platform.machine(), "isa": ""}
    model, flags = re.search(r"model name\s*: (.*)", text), cpu_flags() or ()
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "isa": next((isa for isa in INSTRUCTIONS if isa in flags), ""),
    }


def processor_of(row):
    """The CPU that a row of a table was measured on, as words; '' where the row is from before they were written."""
    return ", ".join(filter(None, (row.get("cpu"), row.get("isa"))))


def read(path):
    """The rows of a CSV file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def show(row):
    """Print a row as soon as it is known."""
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row
