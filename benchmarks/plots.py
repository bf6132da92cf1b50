"""The plots of the documentation, drawn from what is in results/: nothing is measured.

python -m benchmarks.plots      # writes docs/accuracy.png, docs/attention_cost.png and docs/growth.png
"""

from __future__ import annotations

from benchmarks.common import DOCS, RESULTS, read
from gluon_attn.figures import new_figure, save_figure

BLUE, ORANGE, GREY = "#2166ac", "#e08214", "#777777"
# axis of results/growth.csv: the title of its column, and the name of its axis
GROWTH = {
    "batch": ("A larger batch, 64 x 64 pixels", "images a batch"),
    "size": ("Larger images, 2 a batch", "side of an image, pixels"),
    "devices": ("More devices on the same cores", "devices, cpu:0 and on"),
    "workers": ("More workers that read digits", "worker processes (0: none)"),
}
SHARED = (
    "Why devices lose here: cpu:0, cpu:1, ...\n"
    "are names for the same {cores} cores. A second\n"
    "one brings no arithmetic; it brings half\n"
    "batches, which cost more an image (left),\n"
    "and gradients to add up.\n\n"
    "Workers gain until the cores are busy."
)


def main():
    accuracy(rows_of("aff_table"), DOCS / "accuracy.png")
    attention_cost(rows_of("attention_cost"), DOCS / "attention_cost.png")
    growth(rows_of("growth"), DOCS / "growth.png")


def rows_of(name):
    """Rows of results/NAME.csv: those of MXNet's first number of cores, where it was measured with several."""
    rows = read(RESULTS / f"{name}.csv")
    return [row for row in rows if row.get("cores_of_mxnet") == rows[0].get("cores_of_mxnet")]


def accuracy(rows, path):
    """Top-1 error against MACs: a point a network, its area the parameters."""
    points = {}
    for row in rows:
        if row["top1_error"]:
            points.setdefault(row["model"], row)
    figure = new_figure(9, 5.2)
    axes = figure.subplots()
    places = [(float(row["macs_billions"]), float(row["top1_error"])) for row in points.values()]
    fusions = ["aff_" in name for name in points]
    areas = [6 * float(row["parameters_millions"]) for row in points.values()]
    axes.scatter(*zip(*places), s=areas, c=[ORANGE if fusion else BLUE for fusion in fusions], alpha=0.75, linewidths=0)
    heights = spread([y for _, y in places], [x for x, _ in places], gap=0.17, near=1.6)
    for name, (x, y), height in zip(points, places, heights):
        line = dict(arrowstyle="-", color=GREY, linewidth=0.5) if abs(height - y) > 0.05 else None
        crowded = any(0.1 < other - x < 0.6 and abs(level - y) < 0.25 for other, level in places)
        side, start = ("right", x - 0.13) if crowded else ("left", x + 0.13)
        axes.annotate(name, (x, y), (start, height), fontsize=8, ha=side, va="center", arrowprops=line)
    axes.set(xlim=(3.8, 10), xlabel="MACs of one 224 x 224 image, billions", ylabel="top-1 error on ImageNet, percent")
    axes.set_title("Error against cost: below and left is better; the area is the number of parameters", fontsize=10)
    axes.grid(alpha=0.25)
    save_figure(figure, path, dpi=120)


def spread(values, beside, gap, near):
    """`values` moved apart until those whose `beside` are near each other keep a gap; in their order.

    >>> spread([1.0, 1.1, 1.05], beside=[4, 4, 9], gap=0.5, near=1)
    [1.0, 1.5, 1.05]
    """
    moved = {}
    for index in sorted(range(len(values)), key=values.__getitem__):
        taken = [moved[other] for other in moved if abs(beside[other] - beside[index]) < near]
        moved[index] = max([values[index], *(height + gap for height in taken)])
    return [moved[index] for index in range(len(values))]


def attention_cost(rows, path):
    """What each attention costs in time, as bars, a panel a backbone; the MACs are marks."""
    groups = {}
    for row in rows:
        plain = row["plain"].rstrip("d")  # of AFF and iAFF the ResNet-D
        label = row["network"].replace(plain.replace("cifar_", ""), "").replace("cifar_", "").strip("_")
        groups.setdefault(plain, {}).setdefault(label or "(none)", {})[row["mode"]] = row
    figure = new_figure(11, 6.4)
    for axes, (plain, networks) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items()):
        networks = dict(sorted(networks.items(), key=lambda item: -float(item[1]["training"]["time_ratio"])))
        for offset, mode, shade in ((-0.2, "training", BLUE), (0.2, "inference", ORANGE)):
            ratios = [float(of[mode]["time_ratio"]) for of in networks.values()]
            axes.barh([i + offset for i in range(len(ratios))], ratios, 0.38, color=shade, label=f"time of {mode}")
        macs = [float(of["training"]["macs_ratio"]) for of in networks.values()]
        axes.plot(macs, range(len(macs)), "D", color="black", markersize=4, label="MACs", zorder=3)
        axes.axvline(1, color=GREY, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(networks)), labels=list(networks), fontsize=9)
        axes.invert_yaxis()
        axes.set(xlabel="times the plain network", xlim=(0, None))
        axes.set_title(plain, fontsize=10)
        axes.legend(fontsize=8, loc="lower right")
    save_figure(figure, path, dpi=120)


def growth(rows, path):
    """Images a second above memory, a column for each thing that grows; from the rows of results/growth.csv."""
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure = new_figure(3.5 * len(axes), 6)
    figure.suptitle(f"Training aff_resnet18 on {rows[0]['cores']} cores of a CPU, and reading its data", fontsize=12)
    grid = figure.subplots(2, len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        title, label = GROWTH[axis]
        for panel, key, unit in zip(grid[:, column], ("images_per_second", "memory_mib"), ("images/s", "memory, MiB")):
            points = [(float(row["value"]), float(row[key])) for row in rows if row["axis"] == axis and row[key] != ""]
            if not points:
                panel.set_axis_off()
                continue
            panel.plot(*zip(*points), marker="o", color=BLUE, clip_on=False)
            panel.set(xlabel=label, ylabel=unit, ylim=(0, 1.08 * max(value for _, value in points)))
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.25)
        grid[0, column].set_title(title, fontsize=10)
    if "devices" in axes:
        words = SHARED.format(cores=rows[0]["cores"])
        grid[1, axes.index("devices")].text(0, 0.95, words, fontsize=10, va="top", linespacing=1.4, in_layout=False)
    save_figure(figure, path, dpi=120)


if __name__ == "__main__":
    main()
