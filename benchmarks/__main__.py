"""Every speed benchmark, one process each: about three quarters of an hour when all is quiet.

    python -m benchmarks [NAME ...] [--threads N]

MXNet runs as it comes, with half of the cores; --threads N gives it N (training_speed and deploy_speed keep both). What
begins at the first option is given to each of them as it stands. NAME is any file of this folder that has a `main`:
`python -m benchmarks.NAME --help` says what it writes.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

from gluon_attn.errors import unknown

NAMES = (
    "import_time",
    "training_speed",
    "deploy_speed",
    "bfloat16",
    "int8_accuracy",
    "attention_cost",
    "explain_cost",
    "growth",
    "input_pipeline",
    "speed_page",
)


def main(arguments):
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    options = arguments[len(names) :]
    if {"-h", "--help"} & set(options):
        described = dict(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        argparse.ArgumentParser(prog="python -m benchmarks", usage=argparse.SUPPRESS, **described).parse_args(["-h"])
    known = [path.stem for path in Path(__file__).parent.glob("[!_]*.py") if "def main(" in path.read_text("utf-8")]
    for name in names:
        if name not in known:
            return str(unknown("benchmark", name, known))
    failed = []
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *options]).returncode:
            failed.append(name)
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
