"""`gluon-attn info NAME ...`: what a network costs and expects, and its weights; several stand side by side."""

from __future__ import annotations

import json


def add_arguments(parser):
    parser.add_argument("models", nargs="+", metavar="NAME", help="names of `gluon-attn list`; several: side by side")
    parser.add_argument("--json", action="store_true", help="for programs: an object, or a list of them for several")


def run(args):
    from gluon_attn import zoo

    found = [zoo.model_info(name) for name in args.models]
    if args.json:
        objects = [info.as_dict() for info in found]
        print(json.dumps(objects if len(objects) > 1 else objects[0], indent=2))
    elif len(found) > 1:
        print("\n".join(_side_by_side(found)))
    else:
        print("\n".join(_alone(found[0])))


def _alone(info):
    from gluon_attn.commands.list import weights_table

    yield str(info)
    for line in _stages(info):
        yield f"    {line}"
    if not info.weights:
        yield "  weights     none known"
        return
    yield "  weights"
    for line in weights_table([info.name]):
        yield f"    {line}"
    for entry in info.weights:
        for text in filter(None, (entry.url, entry.note, _form(entry))):
            yield f"    {entry.tag}: {text}"


def _form(entry):
    """What network these weights are of, where it is not the one whose costs were shown."""
    given = ", ".join(f"{key}={value}" for key, value in (entry.arch or {}).items())
    return given and f"of a network built with {given}; the costs above are of one without"


def _stages(info):
    """What each stage adds, for one image; memory as in complexity.Complexity."""
    yield f"{'':8} {'parameters':>10} {'MACs':>9} {'activations':>11} {'training':>9} {'peak':>9}"
    for name, cost in info.stages.items():
        yield (
            f"{name:8} {cost.parameters / 1e6:8.3f} M {cost.macs / 1e9:7.3f} G {cost.activations / 1e6:9.3f} M "
            f"{cost.training_bytes / 2**20:5.1f} MiB {cost.peak_bytes / 2**20:5.1f} MiB"
        )


def _side_by_side(found):
    """A column a network, and behind the second and further ones the factor to the first."""
    rows = [("", *(info.name for info in found))]
    rows.append(("paper", *(info.paper for info in found)))
    rows.append(("parameters", *_compared([info.parameters / 1e6 for info in found], "M")))
    rows.append(("MACs", *_compared([info.macs / 1e9 for info in found], "G")))
    rows.append(("input", *(f"{info.input_size} x {info.input_size}" for info in found)))
    stages = list(dict.fromkeys(stage for info in found for stage in info.stages))
    for kind, scale, unit in (("parameters", 1e6, "M"), ("macs", 1e9, "G")):
        for stage in stages:
            values = [getattr(info.stages[stage], kind) / scale if stage in info.stages else None for info in found]
            rows.append((f"  {stage} {'MACs' if kind == 'macs' else kind}", *_compared(values, unit)))
    rows.append(("weights", *(", ".join(_tag(entry) for entry in info.weights) or "none known" for info in found)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    yield from ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
    if any(_form(entry) for info in found for entry in info.weights):
        yield "* of a network built otherwise than the one whose costs stand here: see `gluon-attn info NAME` of each"


def _compared(values, unit):
    first = values[0]
    for number, value in enumerate(values):
        factor = f" ({value / first:.2f}x)" if number and value is not None and first else ""
        yield "-" if value is None else f"{value:.3f} {unit}{factor}"


def _tag(entry):
    error = "" if entry.top1_error is None else f" {entry.top1_error:.2f} %"
    return f"{entry.tag}{error}{' *' if _form(entry) else ''}"
