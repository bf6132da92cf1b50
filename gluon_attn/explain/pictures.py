"""Maps over pictures, and one figure of several networks' views."""

from __future__ import annotations

import textwrap

import numpy as np

from gluon_attn.figures import new_figure, save_figure

COLOURS = (
    "inferno"  # perceptually uniform: equal steps of the map look like equal steps, in print and to the colour-blind
)
OPACITY = 0.7
LETTERS = 24  # that stand beside a line of the figure


def colour(heat, colours=COLOURS):
    """(H, W) in [0, 1] -> uint8 (H, W, 3)."""
    from matplotlib import colormaps

    return np.round(colormaps[colours](np.clip(heat, 0, 1))[..., :3] * 255).astype(np.uint8)


def overlay(image, heat, colours=COLOURS, opacity=OPACITY):
    """The map's colours over the picture's greys; uint8 (H, W, 3) and (H, W) in [0, 1] -> uint8 (H, W, 3)."""
    grey = image @ np.array([0.299, 0.587, 0.114])
    return np.round(opacity * colour(heat, colours) + (1 - opacity) * grey[..., None]).astype(np.uint8)


def draw(rows, path, names, labels=None, target=None):
    """Write one figure: the pictures in the first line, then a line for every network and method.

    rows : {network: [View, ...]}, the same pictures for every network
    names : names of the classes
    labels : true class of every picture, where they are known
    target : the class that was explained, where it is not the predicted one
    """
    lines = _lines(rows, names, target)
    columns = len(next(iter(rows.values())))
    figure = new_figure(1.5 * columns + 1.2, 1.62 * (len(lines) + 1))
    grid = figure.subplots(len(lines) + 1, columns, squeeze=False)
    first = next(iter(rows.values()))
    for column, view in enumerate(first):
        title = "" if labels is None else f"class {names[labels[column]]}"
        _cell(grid[0, column], view.image, title, "black")
        _frame(grid[0, column], view.box, "#2fbf71")
    grid[0, 0].set_ylabel("picture", fontsize=8)
    for row, (label, method, views) in zip(grid[1:], lines):
        for column, (axes, view) in enumerate(zip(row, views)):
            right = None if labels is None else view.predicted == labels[column]
            _view(axes, view, method, names, right)
            _frame(axes, None if view.maps[method] is None else view.box, "white")
        row[0].set_ylabel(label, fontsize=8, parse_math=False)
    _scale(figure, grid)
    save_figure(figure, path, dpi=120)


def _lines(rows, names=(), target=None):
    """[(label, method, views)]: what stands left of a line and what it shows; a line without any map is left out."""
    methods = list(next(iter(rows.values()))[0].maps)
    several = len(methods) > 1
    named = several or len(rows) == 1 or target is not None
    return [
        (_wrapped(network, *([asked(method, names, target)] if named else [])), method, views)
        for network, views in rows.items()
        for method in methods
        if not several or views[0].maps[method] is not None
    ]


def asked(method, names, target=None):
    """The method, and what class it was asked for, where that is not the predicted one."""
    return method if target is None or method == "attention" else f"{method} for {names[target]}"


def _wrapped(*texts):
    return "\n".join(textwrap.fill(text, LETTERS) for text in texts)


def _view(axes, view, method, names, right):
    title = f"{names[view.predicted]}  {100 * view.probabilities.max():.0f} %"
    shade = {None: "black", True: "#1a7f37", False: "#c0392b"}[right]
    heat = view.maps[method]
    if heat is None:
        _cell(axes, np.full_like(view.image, 235), title, shade)
        axes.text(0.5, 0.5, "no map of places", ha="center", va="center", fontsize=7, transform=axes.transAxes)
    else:
        _cell(axes, overlay(view.image, heat), title + ("" if right in (None, True) else "  (wrong)"), shade)


def _cell(axes, image, title, shade):
    axes.imshow(image, interpolation="nearest")
    axes.set_title(title, fontsize=8, color=shade, pad=2, parse_math=False)  # dollars in a name are no formula
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _frame(axes, box, shade):
    """The box of what should be looked at."""
    if box:
        from matplotlib.patches import Rectangle

        x0, y0, x1, y1 = box
        axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=shade, linewidth=1))


def _scale(figure, axes):
    from matplotlib.cm import ScalarMappable

    # Beside all lines, the pictures' too: the columns would not stand below each other otherwise.
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), ax=axes.ravel().tolist(), fraction=0.02, aspect=40, pad=0.01)
    bar.set_ticks([0.06, 0.94], labels=["not looked at", "looked at"], rotation=90, va="center", fontsize=7)
    bar.ax.tick_params(length=0)
