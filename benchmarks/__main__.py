"""Every speed benchmark, one process each (`python -m benchmarks [NAME ...]`): under 15 minutes when all is quiet."""

from __future__ import annotations

import os
import subprocess
import sys

# What MXNet is compared in is measured as it comes, and once more with every core (see gluon_attn/threads.py).
ALL_CORES = ("--threads", str(os.cpu_count()))
BENCHMARKS = {
    "import_time": [()],
    "training_speed": [(), ALL_CORES],
    "deploy_speed": [(), ALL_CORES],
    "bfloat16": [()],
    "int8_accuracy": [()],
    "attention_cost": [()],
    "explain_cost": [()],
    "growth": [()],
    "input_pipeline": [()],
    "speed_page": [()],
}


def main(names):
    failed = []
    for name in names or BENCHMARKS:
        for options in BENCHMARKS[name]:
            print(f"== {name} {' '.join(options)}", flush=True)
            if subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *options]).returncode:
                failed.append(name)
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
