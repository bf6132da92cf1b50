"""`python -m gluon_attn.commands.store runs/X ...`: keep finished runs as params/<dataset>/<model>/<tag>/.

The folder holds weights.params, card.json, train.log, history.csv, metrics.json and command.txt, and appears whole or
not at all. metrics.json gets a `weights` part (hash, error, classes), which is what `get_model` finds it by; folders of
this machine are left out of the texts.

With --float16 the file is half as large: weights are rounded, running statistics are not. The errors kept are then
those of the rounded weights, measured on the test images; where they differ from training's by more than 0.1 points,
the run is not stored.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from gluon_attn.catalogue import datasets
from gluon_attn.errors import GluonAttnError, WeightsError
from gluon_attn.parser import Parser
from gluon_attn.weights.card import NAME, Card
from gluon_attn.weights.files import read_arrays, read_file
from gluon_attn.weights.table import STORED
from gluon_attn.weights.verify import digest

COPIED = ("train.log", "history.csv")
TOLERANCE = 0.1  # points of top-1 error that rounding to float16 may move


def store(run, params="params", tag=None, which="last", float16=False):
    """Copy the finished run in folder `run` below `params` and return its folder there.

    which : 'last' (the default: no image of the test set had a part in choosing it) or 'best'
    tag : by default the name of the data set
    float16 : round the weights
    """
    run = Path(run)
    metrics = _metrics(run)
    content = read_file(run / f"{which}.params")
    content = rounded(content) if float16 else content
    card = _card(run, metrics)
    described = _described(run, metrics, which, card, content, float16)
    tag = tag or card.dataset
    target = Path(params) / metrics["dataset"] / metrics["model"] / tag
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{tag}.", dir=target.parent) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        (whole / STORED).write_bytes(content)
        card.but(source=tag).write(whole)
        text = json.dumps({**metrics, "command": _command(metrics), "weights": described}, indent=2)
        texts = {name: (run / name).read_text(encoding="utf-8") for name in COPIED}
        texts.update({"command.txt": _command(metrics) + "\n", "metrics.json": text + "\n"})
        for name, text in texts.items():
            (whole / name).write_text(_anywhere(text, metrics["recipe"]), encoding="utf-8")
        if target.exists():
            os.replace(target, Path(temporary) / "before")
        os.replace(whole, target)
    return target


def _metrics(run):
    try:
        return json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise WeightsError(f"{run} is no finished run ({problem}): it must hold a metrics.json.") from None


def rounded(content):
    """A .params file's bytes with every array but the running statistics in float16."""
    import mxnet as mx

    arrays = {
        name: mx.nd.array(array, dtype=array.dtype if "running_" in name else "float16")
        for name, array in read_arrays(content).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STORED
        mx.nd.save(str(path), arrays)
        return path.read_bytes()


def _described(run, metrics, which, card, content, float16):
    """The `weights` part of metrics.json, after the file was loaded once into the network it claims to be for."""
    from gluon_attn import zoo
    from gluon_attn.weights.load import load_arrays

    path = run / f"{which}.params"
    net = zoo.get_model(card.model, classes=len(card.classes), **card.arch)
    load_arrays(net, read_arrays(content, path), path)
    described = dict(
        file=path.name,
        sha256=digest("sha256", content),
        top1_error=round(100 - 100 * metrics[f"{which}_accuracy"], 4),
        top5_error=_top5_error(run, metrics, which),
        classes=len(card.classes),
    )
    return {**described, **_measured(net, metrics, card, described)} if float16 else described


def _measured(net, metrics, card, described):
    """The errors of the rounded weights on the test images, beside those of training."""
    from gluon_attn.data import Loader
    from gluon_attn.evaluate import evaluate

    net.hybridize(static_alloc=True)
    loader = Loader(_test_images(metrics), 128, card.transform(), train=False)
    found = evaluate(net, loader)
    errors = {f"{key}_error": round(100 - 100 * found[key], 4) for key in ("top1", "top5")}
    if abs(errors["top1_error"] - described["top1_error"]) > TOLERANCE:
        raise WeightsError(
            f"{described['file']} rounded to float16 has a top-1 error of {errors['top1_error']} %, before it was "
            f"{described['top1_error']} %: store it without --float16."
        )
    return dict(errors, precision="float16", float32_top1_error=described["top1_error"])


def _card(run, metrics):
    """The card that the run wrote; of a run from before there were cards, what its recipe says."""
    if (run / NAME).is_file():
        return Card.read(run)
    from gluon_attn import zoo

    recipe, dataset = metrics["recipe"], _test_images(metrics)
    facts = datasets.find(metrics["dataset"], recipe["dataset_options"])
    size = recipe["image_size"] or dataset.image_size
    prepared = dict(facts.preparation, mean=dataset.mean, std=dataset.std, input_size=size, dataset=facts.name)
    prepared["crop_pct"] = datasets.centre_share(recipe.get("crop") or facts.crop)
    spec = zoo.find(metrics["model"])
    net = zoo.get_model(spec.name, variant=recipe.get("variant") or None, **recipe["arch"])
    return Card.of(spec.name, prepared, dataset.classes, arch=zoo.own_arch(net, spec))


def _test_images(metrics):
    from gluon_attn import data

    recipe = metrics["recipe"]
    return data.get_dataset(metrics["dataset"], "test", root=recipe["data_root"] or None, **recipe["dataset_options"])


def _top5_error(run, metrics, which):
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    row = rows[-1] if which == "last" else rows[metrics["best_epoch"]]
    return round(100 - 100 * float(row["top5"]), 4) if row.get("top5") else None


def _command(metrics):
    """The command line without this machine's folders, from the beginning of the run: no --resume."""
    program, _, rest = metrics["command"].partition(" ")
    name = Path(program).name
    program = "gluon-attn" if name in ("cli.py", "__main__.py") else f"python {name}" if name.endswith(".py") else name
    resumed = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    resumed.add_argument("--resume", nargs="?")
    _, words = resumed.parse_known_args(shlex.split(rest))
    return f"{program} {shlex.join(words)}".strip()


def _anywhere(text, recipe):
    """The text without this machine's folders: DATA for the data, runs/... for the run, of other files the name."""
    output = recipe.get("output", "")
    folders = {output: f"runs/{recipe.get('dataset')}/{Path(output).name}", recipe.get("data_root", ""): "DATA"}
    files = {value: Path(value).name for value in recipe.values() if isinstance(value, str) and value not in folders}
    for named in (folders, files):  # what lies in a folder keeps its place there
        for path in sorted(filter(os.path.isabs, named), key=len, reverse=True):
            text = _without(text, path.rstrip(os.sep), named[path])
    return text


def _without(text, path, name):
    """`name` for the whole path, not for what begins or ends so: /data is no part of runs/data or of /database."""
    return re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w-]|\.\w)", lambda _: name, text) if path else text


def main(argv=None):
    parser = Parser(prog="python -m gluon_attn.commands.store", description="Keep finished runs.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--params", default="params", metavar="DIR", help="where to keep them (default: params)")
    parser.add_argument("--tag", help="by default the name of the data set")
    parser.add_argument("--which", choices=("last", "best"), default="last", help="weights to keep (default: last)")
    parser.add_argument("--float16", action="store_true", help="round the weights, where that changes no accuracy")
    try:
        args = parser.parse_args(argv)
        for run in args.runs:
            print(store(run, args.params, args.tag, args.which, args.float16))
    except GluonAttnError as error:
        print(f"store: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
