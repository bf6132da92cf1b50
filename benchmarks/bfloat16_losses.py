"""Where trainings end in bfloat16, beside float32: the last epoch's loss and accuracy of several seeds of each.

    python -m benchmarks.bfloat16_losses               # writes results/bfloat16_losses.csv: hours on one core
    python -m benchmarks.bfloat16_losses --only digits --seeds 1      # the others' rows stay

A process for each run, since AMP cannot be switched off again. Runs that are finished are not repeated; an interrupted
one goes on where it stopped. Differences: t is that of Welch (the difference of the two means in its standard errors).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from scipy.stats import ttest_ind

from benchmarks.common import ROOT, chosen, options, read, show, write

NETWORKS = {"digits": "cifar_aff_resnet20", "clutter": "cifar_resnet20"}  # by recipe
TYPES = ("float32", "bfloat16")


def main(argv=None):
    args = options(__doc__, argv, seeds=5, only="", amx="auto", output=str(ROOT / "runs" / "bfloat16_losses"))
    rows = [show(row_of(recipe, args)) for recipe in chosen(args.only, list(NETWORKS), "recipe")]
    write("bfloat16_losses", rows, args, unique=("recipe", "amx"))


def row_of(recipe, args):
    """One row; a seed's two runs follow each other."""
    runs = {dtype: [] for dtype in TYPES}
    for seed in range(args.seeds):
        for dtype in TYPES:
            runs[dtype].append(trained(recipe, dtype, seed, args))
    row = {"recipe": recipe, "network": NETWORKS[recipe], "seeds": args.seeds, "amx": args.amx}
    losses = {dtype: [loss for loss, _ in ends] for dtype, ends in runs.items()}
    for dtype, ends in runs.items():
        row[f"{dtype}_loss"] = f"{statistics.mean(losses[dtype]):.4f}"
        row[f"{dtype}_least"], row[f"{dtype}_most"] = (f"{end(losses[dtype]):.4f}" for end in (min, max))
        row[f"{dtype}_top1"] = f"{100 * statistics.mean(top1 for _, top1 in ends):.2f}"
    between = ttest_ind(losses["bfloat16"], losses["float32"], equal_var=False).statistic if args.seeds > 1 else ""
    row["t"] = between and f"{between:.2f}"
    within = sum(min(losses["float32"]) <= loss <= max(losses["float32"]) for loss in losses["bfloat16"])
    return {**row, "within": within}


def trained(recipe, dtype, seed, args):
    """(training loss, accuracy) of the last epoch; from the run's files where it is done."""
    output = Path(args.output) / recipe / f"{dtype}-{seed}"
    if not (output / "metrics.json").is_file():
        command = [sys.executable, "-W", "ignore", str(ROOT / "train_cifar.py"), "--recipe", recipe]
        command += ["--model", NETWORKS[recipe], "--dtype", dtype, "--amx", args.amx, "--seed", str(seed)]
        command += ["--output", str(output), "--resume", "auto"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    accuracy = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["last_accuracy"]
    return float(read(output / "history.csv")[-1]["train_loss"]), accuracy


if __name__ == "__main__":
    main()
