"""Every speed benchmark, one process each (`python -m benchmarks [NAME ...]`): under 15 minutes when all is quiet."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "import_time",
    "training_speed",
    "deploy_speed",
    "int8_accuracy",
    "attention_cost",
    "explain_cost",
    "growth",
    "input_pipeline",
)


def main(names):
    failed = []
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
