"""Which attention helps a CIFAR ResNet-20 that has seen few digits? Twelve forms, several seeds, one command.

    python -m benchmarks.attention_study               # writes results/attention_study.csv, docs/attention_study.md
    python -m benchmarks.attention_study --seeds 1 --only se,aff      # the others' rows stay
    python -m benchmarks.attention_study --choose 2,3,4 --seeds 3     # how the recipe's per_class was chosen

The setting (recipe digits_few: few training images of each class, no validation images) is hard enough to leave room
between the forms; `--choose` trains the network without attention on so many images of each class and prints its
accuracy on 100 other training images of each. What is reported is the accuracy of the *last* epoch on the 400 test
images, so nothing is chosen on them. Runs that are finished are not repeated; an interrupted study goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from pathlib import Path

import gluon_attn
from benchmarks.common import ROOT, chosen, read
from gluon_attn import files
from gluon_attn.complexity import complexity
from gluon_attn.train import Recipe

HELD_OUT = 100  # training images of each class that --choose measures on
COLUMNS = ["attention", "model", "arch", "parameters", "macs", "seeds", "mean", "std", "train_loss", "accuracies"]

# label: (attention in the model's name, its arguments)
FORMS = {
    "none": ("", {}),
    "se": ("se", {}),
    "cbam": ("cbam", {}),
    "eca": ("eca", {}),
    "ms_cam": ("ms_cam", {}),
    "aff": ("aff", {}),
    "iaff": ("iaff", {}),
    "inv_se alpha 1": ("inv_se", {}),
    "inv_se alpha 0.8": ("inv_se", {"alpha": 0.8}),
    "inv_se alpha 0.5": ("inv_se", {"alpha": 0.5}),
    "inv_se reciprocal": ("inv_se", {"gating": "reciprocal"}),
    "inv_cbam": ("inv_cbam", {}),
}

WORDS = """
Inverse attention with alpha 1 (`1 - sigmoid`) is SE with its last layer negated: the same functions, and from a
symmetric start the same distribution of trainings. Whatever separates those two rows is noise, and a measure of how
much to read into the other gaps; `cbam` and `inv_cbam` are such a pair, too. Only alpha below 1 and the reciprocal are
other gates.

So few images do not pay for attention: no form is above the plain network by more than the two equal rows differ, and
most are below it. The gaps downwards of `se`, `cbam`, `ms_cam` and above all AFF and iAFF are larger than that noise;
iAFF has not always fitted the training images in these updates, as its loss says, the others have. Of the inverse
gates alpha 0.5 (between 0.5 and 1) loses nothing; the reciprocal (0.73 to 1) is within the noise of alpha 1.
One small network on a few dozen small images says nothing about ImageNet.
"""


def model_of(attention):
    return f"cifar_{attention}_resnet20" if attention else "cifar_resnet20"


def trained(label, seed, recipe, folder, **changes):
    """(accuracy in percent, training loss) of the last epoch; from the run's files where it is done."""
    from gluon_attn.train import fit

    attention, arch = FORMS[label]
    output = folder / label.replace(" ", "_") / f"seed-{seed}"
    changes.update(model=model_of(attention), arch=arch, seed=seed, output=str(output), resume="auto")
    if not (output / "metrics.json").is_file():
        fit(Recipe.load(recipe, **changes), progress=False)
    with open(output / "history.csv", newline="", encoding="utf-8") as stream:
        loss = float(list(csv.DictReader(stream))[-1]["train_loss"])
    return 100 * json.loads((output / "metrics.json").read_text())["last_accuracy"], loss


def choose(per_class, seeds, recipe, folder):
    """Mean accuracy without attention, on training images that were held out, for each number in `per_class`."""
    for count in per_class:
        harder = dict(validation=HELD_OUT, dataset_options={"per_class": count})
        runs = folder / f"per_class-{count}"
        accuracies = [trained("none", seed, recipe, runs, **harder)[0] for seed in range(seeds)]
        mean, std = spread(accuracies)
        print(f"per_class={count}: {mean} +- {std} on {HELD_OUT} other training images of each class", flush=True)


def spread(accuracies):
    """(mean, standard deviation), as text."""
    deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else 0
    return f"{statistics.mean(accuracies):.2f}", f"{deviation:.2f}"


def row_of(label, seeds, recipe, folder):
    attention, arch = FORMS[label]
    accuracies, losses = zip(*(trained(label, seed, recipe, folder) for seed in range(seeds)))
    mean, std = spread(accuracies)
    cost = complexity(gluon_attn.get_model(model_of(attention), classes=10, **arch), 32)
    return dict(
        attention=label,
        model=model_of(attention),
        arch=",".join(f"{key}={value}" for key, value in arch.items()),
        parameters=cost.parameters,
        macs=cost.macs,
        seeds=seeds,
        mean=mean,
        std=std,
        train_loss=f"{statistics.mean(losses):.3f}",
        accuracies=" ".join(f"{value:.2f}" for value in accuracies),
    )


def markdown(rows, recipe):
    lines = [
        "# Attention on few digits",
        "",
        f"Written by `python -m benchmarks.attention_study` (recipe `{recipe}`, CIFAR ResNet-20): test accuracy in "
        "percent, and training loss, of the last epoch. With label smoothing a perfect fit has a loss of 0.50.",
        "",
        "| attention | parameters | MACs (M) | runs | accuracy | standard deviation | training loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['attention']} | {int(row['parameters']):,} | {int(row['macs']) / 1e6:.2f} | {row['seeds']} "
            f"| {row['mean']} | {row['std']} | {row['train_loss']} |"
        )
    return "\n".join(lines) + "\n" + WORDS


def main(argv=None):
    parser = argparse.ArgumentParser(description="Compare attentions on few digits.")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each form (default: 5)")
    parser.add_argument("--recipe", default="digits_few", help="recipe of the runs (default: digits_few)")
    parser.add_argument("--only", default="", help="forms, by comma (default: all); the others' rows stay")
    parser.add_argument("--output", default=str(ROOT / "runs" / "attention_study"), help="folder of the runs")
    parser.add_argument("--results", default=str(ROOT), help="folder that gets results/ and docs/")
    parser.add_argument("--choose", help="only measure settings: numbers of training images of each class, by comma")
    args = parser.parse_args(argv)
    if args.choose:
        return choose(map(int, args.choose.split(",")), args.seeds, args.recipe, Path(args.output))
    results = Path(args.results)
    rows = {row["attention"]: row for row in read(results / "results" / "attention_study.csv")}
    for label in chosen(args.only, list(FORMS), "attention"):
        rows[label] = row_of(label, args.seeds, args.recipe, Path(args.output))
        print("{attention:<18} {mean} +- {std}   ({accuracies})".format(**rows[label]), flush=True)
    rows = [rows[label] for label in FORMS if label in rows]
    files.write_csv(results / "results" / "attention_study.csv", rows, COLUMNS)
    (results / "docs").mkdir(exist_ok=True)
    files.write_text(results / "docs" / "attention_study.md", markdown(rows, args.recipe))


if __name__ == "__main__":
    main()
