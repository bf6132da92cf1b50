"""`python -m tests.deploy.run.every_name [PATTERN ...]`: every network of the zoo in both engines, into results/.

`--inference` runs the whole networks, in inference and float32; by default those with one block a stage run in
training, too, in both precisions: networks that are the same then, as ResNets of other depths are, run once.
Names whose row is there are left out, so that it can be run in pieces; `--again` runs them again. Every run ends with
the table in docs/leaving_mxnet.md; `--page` writes that alone.
GLUON_ATTN_TORCH names the environment whose torch is taken, as for the tests.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import statistics
import time

from tests.deploy.run import conftest  # noqa: F401  (before torch)

import mxnet as mx  # isort: skip
import torch

import gluon_attn
from benchmarks.common import DOCS, RESULTS, read
from gluon_attn.deploy.run.symbol_json import read_graph
from gluon_attn.files import write_csv, write_text
from tests.deploy.run import agreement, networks
from tests.helpers import build

PAGE, BEGIN, END = DOCS / "leaving_mxnet.md", "<!-- every_name -->\n", "<!-- end -->\n"
SMALL = "one block a stage"
KINDS = ("eval", "train", "gradient", "statistics", "after")
COLUMNS = ["name", "form", "graph", "equals", "seconds"]
COLUMNS += ["inference"] + [f"float64_{kind}" for kind in KINDS]
COLUMNS += [f"{engine}_{kind}" for kind in KINDS for engine in ("torch", "mxnet")]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args(words)
    if not args.page:
        run(args)
    write_page(read(RESULTS / "torch_equality.csv"))


def run(args):
    torch.set_num_threads(1)
    path, form = RESULTS / "torch_equality.csv", "whole" if args.inference else SMALL
    for name in gluon_attn.list_models():
        rows = {(row["name"], row["form"]): row for row in read(path)}
        known = (name, form) in rows and not args.again
        if known or not any(fnmatch.fnmatch(name, pattern) for pattern in args.patterns):
            continue
        start = time.time()
        found = inference(name) if args.inference else training(name, rows)
        row = {"name": name, "form": form, "seconds": f"{time.time() - start:.0f}", **found}
        print("  ".join(f"{key} {value}" for key, value in row.items() if value), flush=True)
        rows[name, form] = {column: row.get(column, "") for column in COLUMNS}
        write_csv(path, [rows[key] for key in sorted(rows, key=lambda key: (key[1], key[0]))], COLUMNS)


def inference(name):
    x = networks.pictures(2, networks.size_of(name))
    return {"inference": f"{agreement.in_inference(build(name), x):.1e}"}


def training(name, rows):
    """The errors of a network's small form, or the name of the network that it is."""
    net = networks.small_network(name)
    graph = _digest(net)
    same = [row for (_, form), row in rows.items() if form == SMALL and row["graph"] == graph and row["name"] != name]
    if same:
        return {"graph": graph, "equals": same[0]["equals"] or same[0]["name"]}
    found = agreement.in_training(*networks.filled(net, networks.small_size(name)))
    return {"graph": graph, **{key: f"{value:.1e}" for key, value in found.items()}}


WHAT = {
    "eval": "outputs in inference",
    "train": "outputs in training",
    "gradient": "gradients",
    "statistics": "running statistics after a step",
    "after": "parameters after five steps",
}


def write_page(rows):
    """The table of errors: of the network in the middle, and of the worst."""
    measured = [row for row in rows if row["form"] == SMALL and not row["equals"]]
    same, whole = sum(bool(row["equals"]) for row in rows), [row for row in rows if row["form"] != SMALL]
    lines = ["| | the engines apart, float64 | PyTorch's float32 from float64 | MXNet's |", "| --- | --- | --- | --- |"]
    for kind, what in WHAT.items():
        cells = [_spread(measured, f"{engine}_{kind}") for engine in ("float64", "torch", "mxnet")]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    lines.append(
        f"\n{len(measured)} networks with one block a stage, which {same} other names have, too (of "
        f"{len(gluon_attn.list_models())}); each cell has the median and the worst, relative to the largest number. "
        f"Between the engines, inference in float32 differs by {_spread(measured, 'inference')}"
        + (f"; in {len(whole)} whole networks by {_spread(whole, 'inference')}." if whole else ".")
    )
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    write_text(PAGE, text[:begin] + "\n".join(lines) + "\n" + text[end:])


def _spread(rows, column):
    values = [float(row[column]) for row in rows if row[column]]
    return f"{statistics.median(values):.0e}, {max(values):.0e}" if values else "not measured"


def _digest(net):
    """Of what the network computes, whatever its parts are called."""
    graph = read_graph(net(mx.sym.Variable("x")).tojson())
    parts = [(node.operator, sorted(node.attributes.items()), node.inputs) for node in graph.nodes]
    shapes = [parameter.shape for parameter in net.collect_params().values()]
    return hashlib.sha256(repr((parts, shapes)).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
