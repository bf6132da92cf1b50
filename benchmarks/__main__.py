"""Every speed benchmark, one process each: a quarter of an hour when all is quiet.

    python -m benchmarks [NAME ...] [--threads N]

MXNet runs as it comes, with half of the cores; --threads N gives it N (training_speed and deploy_speed keep both).
"""

from __future__ import annotations

import subprocess
import sys

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
    at = arguments.index("--threads") if "--threads" in arguments else len(arguments)
    names, options = arguments[:at], arguments[at:]
    failed = []
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *options]).returncode:
            failed.append(name)
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
