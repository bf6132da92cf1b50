"""What trained weights are worth on a small task: a folder of pictures, with Tiny ImageNet's weights and from scratch.

    python -m benchmarks.photographs_finetune --pictures DIR --threads 2      # writes results/photographs_finetune.csv
    python -m benchmarks.photographs_finetune --pictures DIR --only resnet18    # the others' rows stay

`--pictures` has train/<class>/* and val/<class>/*, such as the ants and bees of PyTorch's tutorial on transfer learning
(hymenoptera_data: 244 and 153 photographs). Every network, with the weights of its first seed, is trained by the recipe
`finetune` with each of SETTINGS and seed; a fifth of the training pictures chooses the epoch, and val, seen once, is
what is reported. Scratch gets the recipe as it is, and one of its own: a small rate is right only for weights that are
good already.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks.common import ROOT, options, show, write
from benchmarks.photographs import asked

SEEDS = 3
SCRATCH = {"pretrained": "", "new_head": False, "head_lr": 1.0}
SETTINGS = {
    "from tiny-imagenet": {},
    "from scratch, same recipe": SCRATCH,
    "from scratch, own recipe": {**SCRATCH, "lr": 1e-3, "epochs": 90, "patience": 0},
}


def main(argv=None):
    args = options(__doc__, argv, pictures="", only="", output=str(ROOT / "runs" / "photographs_finetune"))
    groups, _ = asked(args.only)
    rows = [show(row_of(label, runs[0][0], name, args)) for label, runs in groups.items() for name in SETTINGS]
    if rows:
        write("photographs_finetune", rows, args, unique=("network", "setting") if args.only else ())
    return rows


def row_of(label, entry, setting, args):
    found = [run(label, entry, setting, seed, args) for seed in range(SEEDS)]
    accuracies = [100 * metrics["test_accuracy_of_best"] for metrics in found]
    low, high = (100 * end for end in found[0]["test_accuracy_of_best_interval"])
    return {
        "network": label,
        "setting": setting,
        "top1": f"{statistics.mean(accuracies):.1f}",
        "top1_std": f"{statistics.stdev(accuracies):.1f}",
        "each": " ".join(f"{accuracy:.1f}" for accuracy in accuracies),
        "interval_of_first": f"{low:.1f} to {high:.1f}",
        "seconds": f"{statistics.mean(metrics['seconds'] for metrics in found):.0f}",
    }


def run(label, entry, setting, seed, args):
    """metrics.json of one training, which is not repeated where it has ended before."""
    from gluon_attn.recipe.recipe import Recipe
    from gluon_attn.train import fit

    network, name = (words.replace(" ", "_").replace(",", "") for words in (label, setting))
    folder = Path(args.output) / network / f"{name}-{seed}"
    values = {
        "model": entry.model,
        "pretrained": entry.tag,
        "arch": dict(entry.arch),
        "image_size": entry.preprocessing["input_size"],
        "data_root": args.pictures,
        "seed": seed,
        "output": str(folder),
        "resume": "auto",
    }
    recipe = Recipe.load("finetune", **{**values, **SETTINGS[setting]})
    metrics = folder / "metrics.json"
    if not metrics.is_file() or "finished" not in json.loads(metrics.read_text(encoding="utf-8")):
        fit(recipe, progress=False)
    return json.loads(metrics.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
