"""What attention brings on photographs: accuracy, size and time of the networks in params/tiny-imagenet.

    python -m benchmarks.photographs --threads 2      # writes results/photographs.csv
    python -m benchmarks.photographs --threads 2 --only cbam_resnet18     # the others' rows stay

One row a network and its keywords, over its seeds (the tags that were stored): top-1 and top-5 of the last epoch on
the official validation images, as the logs have them. Speeds are measured here, in turns with the plain network
(`--rounds 0`: not at all); int8 and bfloat16 accuracies are those of benchmarks.int8_accuracy.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path

from benchmarks.common import chosen, options, show, write

DATASET = "tiny-imagenet"
STORED = "params/*/tiny-imagenet"
NAME = "photographs"
PLAIN = "resnet18"
BATCH = 64


def main(argv=None):
    args = options(__doc__, argv, only="", rounds=5)
    groups, beside = asked(args.only)
    speeds = measured_speeds(beside, args) if args.rounds and groups else {}
    rows = []
    for key, runs in groups.items():
        rows.append(show({**row_of(key, runs), **speeds.get(key, dict.fromkeys(SPEEDS, ""))}))
    if rows:
        write(NAME, rows, args, unique=("network",) if args.only else ())
    return rows


def asked(only):
    """What `--only NAME,NAME` asks for, grouped: the networks to report, and those with the plain one beside."""
    groups = grouped(stored())
    names = chosen(only, list(dict.fromkeys(runs[0][0].model for runs in groups.values())), f"network in {STORED}")
    wanted = {label: runs for label, runs in groups.items() if runs[0][0].model in names}
    return wanted, {label: runs for label, runs in groups.items() if label in wanted or label == PLAIN}


def stored():
    """Every run stored of DATASET, as (entry of the table of weights, its metrics.json), in the order of the zoo."""
    from gluon_attn import weights, zoo

    found = []
    for name in zoo.list_models():
        for entry in weights.entries(name):
            if entry.path and entry.dataset == DATASET:
                metrics = json.loads((Path(entry.path).parent / "metrics.json").read_text(encoding="utf-8"))
                found.append((entry, metrics))
    return found


def grouped(runs):
    """{label: [(entry, metrics), ...]}: runs that differ in the seed alone stand together; the plain network first.

    Who was trained for other epochs than most stands alone: 'resnet18 epochs=30'.
    """
    groups = defaultdict(list)
    usual = statistics.mode(metrics["epochs"] for _, metrics in runs) if runs else 0
    for entry, metrics in runs:
        other = "" if metrics["epochs"] == usual else f" epochs={metrics['epochs']}"
        groups[label_of(entry) + other].append((entry, metrics))
    ordered = sorted(groups, key=lambda label: (label != PLAIN, label))
    return {label: sorted(groups[label], key=lambda run: run[1]["seed"]) for label in ordered}


def label_of(entry):
    """The name, with the keywords that are about its attention: 'inv_se_resnet18 alpha=0.5'."""
    own = {key: value for key, value in entry.arch.items() if key in ("alpha", "gating", "reduction")}
    usual = network_keywords(entry.model)
    own = {key: value for key, value in own.items() if usual.get(key) != value}
    return " ".join([entry.model, *(f"{key}={value}" for key, value in sorted(own.items()))])


def network_keywords(model):
    from gluon_attn import zoo

    return zoo.find(model).arch


def build(entry):
    """The stored network, uninitialised."""
    from gluon_attn import zoo

    return zoo.get_model(entry.model, variant=entry.tag, classes=entry.classes)


def row_of(label, runs):
    """What the logs say, and what counting says."""
    from gluon_attn.complexity import complexity

    entry = runs[0][0]
    cost = complexity(build(entry), entry.preprocessing["input_size"])
    top1 = [100 - run.top1_error for run, _ in runs]
    top5 = [100 - run.top5_error for run, _ in runs]
    return {
        "network": label,
        "model": entry.model,
        "tag": entry.tag,
        "seeds": len(runs),
        "top1": f"{statistics.mean(top1):.2f}",
        "top1_std": f"{statistics.stdev(top1):.2f}" if len(top1) > 1 else "",
        "top5": f"{statistics.mean(top5):.2f}",
        "each": " ".join(f"{value:.2f}" for value in top1),
        "epochs": runs[0][1]["epochs"],
        "parameters": cost.parameters,
        "macs": cost.macs,
        "stored_bytes": Path(entry.path).stat().st_size,
        "minutes": f"{statistics.mean(metrics['seconds'] for _, metrics in runs) / 60:.0f}",
        "training_threads": " ".join(sorted({str(metrics["threads"]) for _, metrics in runs})),
    }


SPEEDS = ("training_images_per_second", "training_time_ratio", "inference_images_per_second", "inference_time_ratio")


def measured_speeds(groups, args):
    """{label: images a second, and time as a ratio to the plain network's, of training and of inference}."""
    from gluon_attn.cost import jobs
    from gluon_attn.cost.timing import interleaved

    rows = {label: {} for label in groups}
    for mode, make in (("training", jobs.training_step), ("inference", jobs.inference)):
        steps = {}
        for label, runs in groups.items():
            entry = runs[0][0]
            steps[label] = make(build(entry), BATCH, entry.preprocessing["input_size"])
        times = interleaved(steps, args.rounds, 1, args.clock)
        for label, timing in times.items():
            ratio = f"{1 / timing.faster_than(times[PLAIN]):.2f}" if PLAIN in times else ""
            rows[label][f"{mode}_images_per_second"] = f"{BATCH / timing.median:.1f}"
            rows[label][f"{mode}_time_ratio"] = ratio
    return rows


if __name__ == "__main__":
    main()
