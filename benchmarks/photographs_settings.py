"""How the recipe for photographs was chosen: settings at equal cost, on training images that were held out.

    python -m benchmarks.photographs_settings --data-root $TINY --threads 2    # results/photographs_settings.csv
    python -m benchmarks.photographs_settings --data-root $TINY --only "recipe,stride 4"    # the others' rows stay

Every setting trains the plain network on `per_class` images of each class for as many epochs as make it cost what the
others do, and is judged on 50 other training images of each class. Finished runs are not repeated, and an interrupted
one goes on where it stopped.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.common import ROOT, chosen, options, show, write

PER_CLASS, HELD_OUT = 150, 50
STRIDE_4 = {"stem": "imagenet", "stem_widths": [32], "widths": [32, 64, 128, 256]}  # the plain half-width ResNet-18
# name: (changes of the recipe tiny_imagenet, epochs). A picture of 32 costs a third of one of 64, one of 48 half.
SETTINGS = {
    "recipe": ({}, 10),
    "stride 4": ({"arch": STRIDE_4, "progressive": {0: 64}}, 9),
    "stride 4 growing": ({"arch": STRIDE_4, "progressive": {0: 48, 8: 64}}, 11),
    "64 always": ({"progressive": {0: 64}}, 5),
    "lr 0.1": ({"lr": 0.1}, 10),
    "lr 0.4": ({"lr": 0.4}, 10),
    "smoothing 0": ({"label_smoothing": 0.0}, 10),
    "ema": ({"ema": 0.999}, 10),
    "last gamma 0": ({"last_gamma": True}, 10),
    "batch 64": ({"batch_size": 64, "lr": 0.1}, 10),
}


def main(argv=None):
    args = options(__doc__, argv, data_root="", only="", output=str(ROOT / "runs" / "photographs_settings"))
    rows = [show(row_of(name, args)) for name in chosen(args.only, list(SETTINGS), "setting")]
    write("photographs_settings", rows, args, unique=("setting",) if args.only else ())
    return rows


def row_of(name, args, **more):
    from gluon_attn.recipe.recipe import Recipe
    from gluon_attn.train import fit

    changes, epochs = SETTINGS[name]
    folder = Path(args.output) / name.replace(" ", "_")
    recipe = Recipe.load(
        "tiny_imagenet",
        **{
            "epochs": epochs,
            "validation": HELD_OUT,
            "dataset_options": {"per_class": PER_CLASS},
            "eval_every": epochs,
            **changes,
            "data_root": args.data_root,
            "output": str(folder),
            "resume": "auto",
            **more,
        },
    )
    if not (folder / "metrics.json").is_file():
        fit(recipe, progress=False)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    shown = " ".join(f"{key}={value}" for key, value in changes.items())
    return {
        "setting": name,
        "changes": shown or "-",
        "epochs": metrics["epochs"],
        "seconds": f"{metrics['seconds']:.0f}",
        "top1": f"{100 * metrics['last_accuracy']:.2f}",
    }


if __name__ == "__main__":
    main()
