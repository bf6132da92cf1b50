"""The two plots of docs/attention_on_photographs.md, of the rows that stand there as tables."""

from __future__ import annotations

from benchmarks.photographs import PLAIN
from gluon_attn.accuracy import wilson
from gluon_attn.figures import new_figure, save_figure

IMAGES = 10000  # of the official validation set


def accuracy(table, path):
    """A point a run, with Wilson's interval of what is measured on 10,000 images; the networks by their mean."""
    figure = new_figure(7, 0.4 * len(table) + 1.2)
    axes = figure.subplots()
    rows = sorted(table, key=lambda row: float(row["top1"]))
    for place, row in enumerate(rows):
        values = [float(value) for value in row["each"].split()]
        ends = [[100 * end for end in wilson(round(value * IMAGES / 100), IMAGES)] for value in values]
        widths = [
            [value - low for value, (low, _) in zip(values, ends)],
            [high - v for v, (_, high) in zip(values, ends)],
        ]
        color = "#c44e52" if row["network"] == PLAIN else "#4c72b0"
        axes.errorbar(values, [place] * len(values), xerr=widths, fmt="o", color=color, elinewidth=0.8, capsize=2)
    plain = next((float(row["top1"]) for row in rows if row["network"] == PLAIN), None)
    if plain is not None:
        axes.axvline(plain, color="#c44e52", linewidth=0.8)
    ratios = [f"  ({row['training_time_ratio']} x)" if row.get("training_time_ratio") else "" for row in rows]
    axes.set_yticks(range(len(rows)), [row["network"] + r for row, r in zip(rows, ratios)], parse_math=False)
    axes.set_xlabel("top-1, %, with its 95 % interval (x: the time of a training step)")
    save_figure(figure, path, dpi=120)


def maps(rows, path):
    """Pointing game and energy, a group of bars a network; the centre of the picture as a line."""
    names = list(dict.fromkeys(row["network"] for row in rows))
    methods = [m for m in dict.fromkeys(row["method"] for row in rows) if m != "centre"]
    figure = new_figure(9, 0.55 * len(names) + 1.2)
    for axes, measure in zip(figure.subplots(1, 2, sharey=True), ("pointing", "energy")):
        for offset, method in enumerate(methods):
            found = [
                (names.index(row["network"]), 100 * float(row[measure])) for row in rows if row["method"] == method
            ]
            places = [place + 0.25 * (offset - 1) for place, _ in found]
            axes.barh(places, [value for _, value in found], height=0.22, label=method)
        centre = next(100 * float(row[measure]) for row in rows if row["method"] == "centre")
        axes.axvline(centre, color="black", linewidth=0.8, linestyle="--", label="centre of the picture")
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.set_xlabel({"pointing": "pointing game, %", "energy": "energy in the box, %"}[measure])
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    save_figure(figure, path, dpi=120)
