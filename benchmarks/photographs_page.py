"""docs/attention_on_photographs.md with its plots, out of the tables that `benchmarks.photographs*` write.

python -m benchmarks.photographs_page
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scipy.stats import t as student

from benchmarks import photographs_plots
from benchmarks.common import DOCS, RESULTS, read
from benchmarks.photographs import DATASET, PLAIN
from gluon_attn.files import write_text

PAGE, ACCURACY, MAPS = "attention_on_photographs.md", "photographs_accuracy.png", "photographs_maps.png"
ACCURACY_PLOT = f"![accuracy of each network, a point a run, with the time of a training step]({ACCURACY})"
MAPS_PLOT = f"![pointing game and energy of each network's maps, beside the centre of the picture]({MAPS})"
NOTHING = "Nothing is stored yet: the command beside this part writes it."

TOP = """# Attention on photographs

{plots}Networks of one recipe (`tiny_imagenet`: {recipe}) on Tiny ImageNet:
200 classes, 100,000 training and 10,000 validation photographs of 64x64 with a box each (Stanford CS231n). Accuracies
are those of the last epoch on the official validation images, which had no part in any choice. Written by
`python -m benchmarks.photographs_page`.

## Does attention pay?

{verdict}

{table}

Deviations are over seeds; minutes are those of the log, of a machine that had other work beside; times are ratios to
the plain network in one run of `python -m benchmarks.photographs --threads 1`; int8, calibrated on 200 training images,
and bfloat16, OpenVINO's where the CPU has it and elsewhere by rounding, are of the first run (`python -m
benchmarks.int8_accuracy --data-root $TINY`; [speed.md](speed.md) has the images lost and gained).

## Do attentions look at the object?

{maps_verdict}

{maps}

On {images} photographs, for the true class, in percent; behind each the gap to the plain network's map of the same
kind, photograph by photograph, with its standard error; where the plain network itself has a gap, it was trained again
from another seed, and that gap is what training alone makes. *centre* is one map for all: the middle of the picture.
Deletion and sanity (rank correlation with the map of shuffled weights) are good when low.
`python -m benchmarks.photographs_maps --data-root $TINY --threads 1`.

## Does an inverse gate suppress what is not the object?

{gates_verdict}

{gates}

*outside*: share of the quarter of the picture where a gate keeps least that lies outside of the box; by *chance* that
is the box's own complement. *aim*: how much more of what is taken away lies outside than of the activation that was
there; a gate without aim has 0.

## Does it carry over?

{carried}{finetune}

Top-1 in percent on photographs that had no part in anything, mean and deviation over three seeds, with the 95 %
interval of the first: ants and bees, 244 photographs to train on (`python -m benchmarks.photographs_finetune --pictures
DIR`). Scratch has the same recipe, and one of its own with ten times the rate and three times the epochs. Seconds are
those of the logs, of a machine that had other work beside.

## What was tried

Settings of the recipe for the plain network, at equal cost, judged on held-out training images (`python -m
benchmarks.photographs_settings --data-root $TINY`), on 150 of the 500 training images of each class.
{tried}

{settings}
"""


def main(argv=None):
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(argv)
    table, maps, gates = (read(RESULTS / f"photographs{part}.csv") for part in ("", "_maps", "_gates"))
    settings, finetune = (read(RESULTS / f"photographs_{part}.csv") for part in ("settings", "finetune"))
    table = with_low_precision(table, read(RESULTS / "int8_accuracy.csv"))
    write_page(DOCS, table, maps, gates, settings, finetune)


def with_low_precision(table, measured):
    """The rows of the table with the top-1 in int8 and bfloat16 of the weights of each one's first run."""
    found = {(row["network"], row["pretrained"]): row for row in measured if row["dataset"] == DATASET}
    keys = ("int8_top1", "bfloat16_top1")
    rows = (found.get((row["model"], row["tag"]), {}) for row in table)
    return [{**row, **{key: of.get(key, "") for key in keys}} for row, of in zip(table, rows)]


def write_page(folder, table, maps, gates, settings, finetune):
    """The page and its two plots in `folder`, of the rows of the tables as text."""
    folder = Path(folder)
    for rows in (table, maps, gates, finetune):  # which come as they were measured
        rows.sort(key=lambda row: (row["network"].split()[0] != PLAIN, row["network"]))
    text = TOP.format(
        plots="".join(f"{image}\n\n" for image, rows in ((ACCURACY_PLOT, table), (MAPS_PLOT, maps)) if rows),
        recipe=recipe_in_words(),
        verdict=verdict(table),
        table=markdown(TABLE, table),
        maps_verdict=maps_verdict(maps),
        maps=markdown(MAP_TABLE, maps),
        images=maps[0]["images"] if maps else "1,000",
        gates_verdict=gates_verdict(gates),
        gates=markdown(GATE_TABLE, gates),
        carried=carried(finetune),
        finetune=markdown(FINETUNE, finetune),
        tried=tried(settings),
        settings=markdown(SETTINGS, settings),
    )
    write_text(folder / PAGE, text)
    if table:
        photographs_plots.accuracy(table, folder / ACCURACY)
    if maps:
        photographs_plots.maps(maps, folder / MAPS)
    return folder / PAGE


def recipe_in_words():
    from gluon_attn.recipe.recipe import Recipe

    recipe = Recipe.load("tiny_imagenet")
    sizes = ", ".join(f"{size} from epoch {int(start) + 1}" for start, size in recipe.progressive.items())
    return f"{recipe.epochs} epochs, image sizes {sizes}"


def _percent(key):
    return lambda row: f"{100 * float(row[key]):.1f}" if row.get(key) else "-"


def _with_gap(key, factor=100, digits=1):
    def cell(row):
        gap = ""
        if row[f"{key}_over_plain"] and row["network"] != PLAIN:
            numbers = (factor * float(row[f"{key}_over_plain{end}"]) for end in ("", "_error"))
            gap = " ({:+.{d}f} ± {:.{d}f})".format(*numbers, d=digits)
        return f"{factor * float(row[key]):.{digits}f}{gap}"

    return cell


def _plain(key):
    return lambda row: row.get(key) or "-"


def _accuracy(row):
    return row["top1"] + (f" ± {row['top1_std']}" if row["top1_std"] else "")


TABLE = (
    ("network", _plain("network")),
    ("runs", _plain("seeds")),
    ("top-1 %", _accuracy),
    ("top-5 %", _plain("top5")),
    ("parameters", lambda row: f"{int(row['parameters']):,}"),
    ("M MACs", lambda row: f"{int(row['macs']) / 1e6:.1f}"),
    ("minutes to train", _plain("minutes")),
    ("time of training", _plain("training_time_ratio")),
    ("of inference", _plain("inference_time_ratio")),
    ("int8 top-1 %", _plain("int8_top1")),
    ("bfloat16", _plain("bfloat16_top1")),
    ("MB stored", lambda row: f"{int(row['stored_bytes']) / 1e6:.1f}"),
)
MAP_TABLE = (
    ("network", _plain("network")),
    ("map", _plain("method")),
    ("pointing", _with_gap("pointing")),
    ("energy in the box", _with_gap("energy")),
    ("deletion", _with_gap("deletion")),
    ("insertion", _with_gap("insertion")),
    ("sanity", lambda row: f"{float(row['similarity']):.2f}"),
)
GATE_TABLE = (
    ("network", _plain("network")),
    ("stage", _plain("stage")),
    ("outside %", _percent("outside")),
    ("chance %", _percent("chance")),
    ("aim, points", lambda row: _gap(row, "removed_over_present")),
)
FINETUNE = (
    ("network", _plain("network")),
    ("weights", _plain("setting")),
    ("top-1 %", _accuracy),
    ("each", _plain("each")),
    ("95 % interval", _plain("interval_of_first")),
    ("seconds", _plain("seconds")),
)
SETTINGS = tuple((key.replace("_", " "), _plain(key)) for key in ("setting", "changes", "epochs", "seconds", "top1"))


def _gap(row, key):
    return f"{100 * float(row[key]):+.2f} ± {100 * float(row[key + '_error']):.2f}"


def markdown(columns, rows):
    if not rows:
        return NOTHING
    lines = [
        [head for head, _ in columns],
        ["---"] * len(columns),
        *[[cell(row) for _, cell in columns] for row in rows],
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(table):
    """Each network beside the plain one: a gap is one that Student's t, of the deviation over seeds, tells from 0."""
    plain = next((row for row in table if row["network"] == PLAIN), None)
    others = [row for row in table if row is not plain and not _other_epochs(row, plain)]
    if plain is None or not others:
        return "" if table else NOTHING
    alike = [plain, *others]
    again = sum(int(row["seeds"]) - 1 for row in alike)
    if not again:
        return "One run a network: the noise between seeds is not known yet, so no gap can be read."
    squares = sum((int(row["seeds"]) - 1) * float(row["top1_std"] or 0) ** 2 for row in alike)
    noise, sure = (squares / again) ** 0.5, float(student.ppf(0.975, again))
    words = {1: [], 0: [], -1: []}
    for row in others:
        gap = float(row["top1"]) - float(plain["top1"])
        least = sure * noise * sum(1 / int(of["seeds"]) for of in (row, plain)) ** 0.5
        words[(gap > least) - (gap < -least)].append(f"`{row['network']}` ({gap:+.2f})")
    said = {1: "better than the plain network", 0: "not told apart from it", -1: "worse"}
    parts = [f"{', '.join(found)}: {said[sign]}" for sign, found in words.items() if found]
    return (
        f"The deviation between seeds is {noise:.2f} points, with {again} degree{'s' * (again > 1)} of freedom: by "
        f"Student's t a gap between two single runs counts from {sure * noise * 2**0.5:.1f} points on (95 %). "
        f"{'; '.join(parts)}.{other_epochs(table, plain)}"
    )


def other_epochs(table, plain):
    """What more epochs of the same recipe bring, or fewer, which is no gap between networks: a sentence a row."""
    return "".join(
        f" Trained {'longer' if int(row['epochs']) > int(plain['epochs']) else 'shorter'} by the same recipe, "
        f"`{row['model']}` reaches {row['top1']} % after {row['epochs']} epochs ({plain['epochs']} elsewhere)."
        for row in table
        if _other_epochs(row, plain)
    )


def _other_epochs(row, plain):
    return plain is not None and row.get("epochs") != plain.get("epochs")


def maps_verdict(maps):
    """Which maps point better than the centre of the picture, and than the plain network's."""
    if not maps:
        return NOTHING
    centre = next(row for row in maps if row["method"] == "centre")
    share = 100 * float(centre["pointing"])
    parts = [
        f"The centre of the picture lies in the box in {share:.1f} % of the photographs (clearly: by more than twice "
        "the standard error of the gap)."
    ]
    own = [row for row in maps if row["method"] != "centre"]
    compared = {"centre": own, "plain": [row for row in own if row["network"] != PLAIN]}
    for baseline, said in (("centre", "than the centre"), ("plain", "than the plain network's map")):
        for sign, word in ((1, "better"), (-1, "worse")):
            found = [row for row in compared[baseline] if _clear(row, f"pointing_over_{baseline}") == sign]
            names = ", ".join(f"`{row['network']}` {row['method']}" for row in found) or "none"
            parts.append(f"Clearly {word} {said}: {names}.")
    return " ".join(parts)


def gates_verdict(gates):
    if not gates:
        return NOTHING
    names = list(dict.fromkeys(row["network"] for row in gates))
    parts = []
    for name in names:
        rows = [row for row in gates if row["network"] == name]
        clear = [row["stage"] for row in rows if _clear(row, "removed_over_present") > 0]
        parts.append(f"`{name}` in {'stage ' + ', '.join(clear) if clear else 'no stage'}")
    return f"More of what is taken away lies outside than of what was there: {'; '.join(parts)}."


def carried(finetune):
    """What trained weights bring to each network, beside the better of its recipes from scratch."""
    if not finetune:
        return ""
    parts = []
    for name in dict.fromkeys(row["network"] for row in finetune):
        own, *scratch = (float(row["top1"]) for row in finetune if row["network"] == name)
        parts.append(f"`{name}` {own - max(scratch):+.1f}")
    return f"From Tiny ImageNet's weights, in points over the better recipe from scratch: {', '.join(parts)}.\n\n"


def tried(settings):
    """The best setting, beside the recipe that the networks were trained by."""
    own = next((float(row["top1"]) for row in settings if row["setting"] == "recipe"), None)
    if own is None:
        return ""
    best = max(settings, key=lambda row: float(row["top1"]))
    if best["setting"] == "recipe":
        return "The recipe, by which the networks above were trained, is the best of them."
    gap = float(best["top1"]) - own
    return (
        f"The networks above were trained by `recipe`, which stood before this was measured: `{best['setting']}` is "
        f"better by {gap:.1f} points here. With all training images it was not tried."
    )


def _clear(row, key):
    """1 or -1 where the gap is more than twice its standard error, else 0."""
    if not row.get(key):
        return 0
    gap, error = float(row[key]), float(row[f"{key}_error"])
    return (gap > 2 * error) - (gap < -2 * error)


if __name__ == "__main__":
    main()
