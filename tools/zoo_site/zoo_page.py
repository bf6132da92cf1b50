"""The zoo as one page: a table to sort and filter, and every network as a point beside it."""

from __future__ import annotations

import math
from html import escape

from gluon_attn import weights
from gluon_attn.catalogue.names import SPECS
from tools.zoo_site.block_picture import slots_of
from tools.zoo_site.cards import total

# column: whether it sorts as numbers
COLUMNS = {
    "name": False,
    "attention": False,
    "slot": False,
    "backbone": False,
    "parameters (M)": True,
    "MACs (G)": True,
    "data set": False,
    "weights": False,
    "top-1 error (%)": True,
}
WIDTH, PLOT_HEIGHT, LEFT, BOTTOM = 640, 360, 56, 44
COLOURS = {"": "#888", "gate": "#2166ac", "fuse": "#e08214", "stage": "#1b7837", "head": "#b2182b"}
OTHER = "#762a83"  # replaced convolutions and blocks


def page(costs: dict) -> str:
    """Markdown around raw HTML. costs : {name: {stage: [parameters, MACs]}} of every network on the page."""
    rows = [row_of(name, *total(stages)) for name, stages in costs.items()]
    words = [
        "---",
        "hide-toc: true",
        "---",
        "# The zoo",
        "",
        "Every network by name, `[cifar_][attention_]backbone`. A click on a heading sorts; the fields filter table "
        "and plot; a name or a point leads to the network's card. Costs are of one image of the data set's size; the "
        "error is that of the network's first weights, as published or measured.",
        "",
        "```{raw} html",
        *_controls(rows),
        scatter(rows),
        *_table(rows),
        "```",
        "",
    ]
    return "\n".join(words)


def row_of(name: str, parameters: int, macs: int) -> dict:
    spec, entries = SPECS[name], weights.entries(name)
    errors = [entry.top1_error for entry in entries if entry.usual_labels and entry.top1_error is not None]
    values = (
        name,
        spec.attention or "none",
        " + ".join(slots_of(spec)) or "",
        spec.backbone,
        f"{parameters / 1e6:.4g}",
        f"{macs / 1e9:.4g}",
        spec.dataset,
        ", ".join(entry.tag for entry in entries),
        f"{errors[0]:.2f}" if errors else "",
    )
    return dict(zip(COLUMNS, values))


def _controls(rows):
    yield '<form class="zoo-filter" onsubmit="return false">'
    yield '<input id="zoo-words" type="search" placeholder="words: aff resnet50 openaff" aria-label="words of a name">'
    for column in ("attention", "slot", "backbone", "data set"):
        choices = sorted({row[column] for row in rows if row[column]})
        options = "".join(f"<option>{escape(choice)}</option>" for choice in choices)
        first = f'<option value="">any {column}</option>'
        yield f'<select data-column="{column}" aria-label="{column}">{first}{options}</select>'
    yield '<label><input id="zoo-weights" type="checkbox"> with weights</label>'
    yield '<output id="zoo-count"></output></form>'


def _table(rows):
    numbers = [' class="number"' if number else "" for number in COLUMNS.values()]
    heads = "".join(f'<th{kind}><button type="button">{column}</button></th>' for column, kind in zip(COLUMNS, numbers))
    yield f'<div class="zoo-scroll"><table id="zoo"><thead><tr>{heads}</tr></thead><tbody>'
    for row in rows:
        first, *rest = (escape(value) for value in row.values())
        cells = "".join(f"<td{kind}>{value}</td>" for value, kind in zip(rest, numbers[1:]))
        yield f'<tr data-name="{first}"><td><a href="networks/{first}.html">{first}</a></td>{cells}</tr>'
    yield "</tbody></table></div>"


def scatter(rows: list) -> str:
    """Parameters against MACs, both on logarithmic axes; a point links to its card."""
    across, up = ([float(row[key]) for row in rows] for key in ("MACs (G)", "parameters (M)"))
    x_of, x_ticks = _axis(across, LEFT, WIDTH - 12)
    y_of, y_ticks = _axis(up, PLOT_HEIGHT - BOTTOM, 12)
    marks = [f'<path d="M{LEFT} 8 V{PLOT_HEIGHT - BOTTOM} H{WIDTH - 8}" class="axis"/>']
    marks += [f'<text x="{x_of(v):.1f}" y="{PLOT_HEIGHT - BOTTOM + 16}" class="middle">{v:g}</text>' for v in x_ticks]
    marks += [f'<text x="{LEFT - 6}" y="{y_of(v) + 4:.1f}" class="end">{v:g}</text>' for v in y_ticks]
    marks.append(f'<text x="{WIDTH / 2}" y="{PLOT_HEIGHT - 8}" class="middle">MACs (G)</text>')
    marks.append(f'<text transform="translate(14 {PLOT_HEIGHT / 2}) rotate(-90)" class="middle">parameters (M)</text>')
    for row, x, y in zip(rows, across, up):
        slot = row["slot"].split(" + ")[0]
        name = escape(row["name"])
        words = escape(f"{row['name']}: {row['parameters (M)']} M parameters, {row['MACs (G)']} G MACs")
        marks.append(
            f'<a href="networks/{name}.html" data-name="{name}"><circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4.5" '
            f'fill="{COLOURS.get(slot, OTHER)}"><title>{words}</title></circle></a>'
        )
    kinds = [*((slot or "no attention", colour) for slot, colour in COLOURS.items()), ("conv, block", OTHER)]
    legend = "".join(f'<span><i style="background:{colour}"></i>{words}</span>' for words, colour in kinds)
    return (
        f'<figure class="zoo-plot"><svg id="zoo-plot" viewBox="0 0 {WIDTH} {PLOT_HEIGHT}" role="img" '
        f'aria-label="parameters against MACs">{"".join(marks)}</svg><figcaption>{legend}</figcaption></figure>'
    )


def _axis(values, start, end):
    """(value -> place, values to write) of a logarithmic axis."""
    low, high = math.log10(min(values) * 0.8), math.log10(max(values) * 1.25)
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [factor * 10.0**decade for decade in decades for factor in (1, 3)]

    def place(value):
        return start + (math.log10(value) - low) / (high - low) * (end - start)

    return place, [tick for tick in ticks if low <= math.log10(tick) <= high]
