"""`python -m gluon_attn.commands.store runs/X ...`: keep finished runs as params/<dataset>/<model>/<tag>/.

The folder holds weights.params, card.json, train.log, history.csv, metrics.json and command.txt, and appears whole or
not at all. metrics.json gets a `weights` part (hash, error, classes), which is what `get_model` finds it by; folders of
this machine are left out of the texts.

The errors kept are those of the test images. Where training chose the best epoch on other images (--validation) it
showed them to best.params alone: those of last.params are then measured here.

With --float16 the file is half as large: weights are rounded, running statistics are not. The errors kept are then
those of the rounded weights, measured on the test images; where the top-1 error differs from that before by more than
0.1 points, the run is not stored.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from gluon_attn.catalogue import datasets
from gluon_attn.errors import WeightsError
from gluon_attn.parser import Parser, exit_status
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.weights.card import NAME, Card
from gluon_attn.weights.files import read_arrays, read_file
from gluon_attn.weights.table import STORED
from gluon_attn.weights.verify import digest

COPIED = ("train.log", "history.csv")
NEEDED = ("model", "dataset", "recipe", "command", "best_epoch", "last_accuracy")  # of metrics.json
TOLERANCE = 0.1  # points of top-1 error that rounding to float16 may move


def store(run, params="params", tag=None, which="last", float16=False):
    """Copy the finished run in folder `run` below `params` and return its folder there.

    which : 'last' (the default: no image of the test set had a part in choosing it) or 'best'
    tag : by default the name of the data set
    float16 : round the weights
    """
    run = Path(run)
    metrics = _metrics(run)
    card = _card(run, metrics)
    tag = _checked(tag or card.dataset)
    described, content = _described(run, metrics, which, card, read_file(run / f"{which}.params"), float16)
    target = _target(metrics, params, tag)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{tag}.", dir=target.parent) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        (whole / STORED).write_bytes(content)
        card.but(source=tag).write(whole)
        text = json.dumps({**metrics, "command": _command(metrics), "weights": described}, indent=2)
        texts = {name: _text(run, name) for name in COPIED}
        texts.update({"command.txt": _command(metrics) + "\n", "metrics.json": text + "\n"})
        for name, text in texts.items():
            (whole / name).write_text(_anywhere(text, metrics["recipe"]), encoding="utf-8")
        if target.exists():
            os.replace(target, Path(temporary) / "before")
        os.replace(whole, target)
    return target


def _target(metrics, params, tag):
    return Path(params) / metrics["dataset"] / metrics["model"] / tag


def _checked(tag):
    """The tag, one that `pretrained=` can name: no path, no word of its own."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", tag) or tag.lower() in ("true", "false"):
        raise WeightsError(f"--tag {tag!r} cannot be asked for: give letters, digits, - and _, not true or false.")
    return tag


def _refuse_one_place(runs, params, tag):
    """Of two runs that go to one folder the second would replace the first."""
    places = {}
    for run in runs:
        metrics = _metrics(Path(run))
        place = _target(metrics, params, tag or metrics["dataset"])
        if place in places:
            raise WeightsError(
                f"{places[place]} and {run} both go to {place}: store them one by one, each by its --tag."
            )
        places[place] = run


def _metrics(run):
    text = _text(run, "metrics.json")
    try:
        metrics = dict(json.loads(text))
    except (ValueError, TypeError) as problem:
        raise WeightsError(f"{run} is no finished run: its metrics.json cannot be read ({problem}).") from None
    missing = [key for key in NEEDED if key not in metrics]
    if missing:
        raise WeightsError(f"{run} is no run of `gluon-attn train`: its metrics.json does not say {missing[0]!r}.")
    if "finished" not in metrics:
        raise WeightsError(
            f"{run} was stopped after {metrics.get('epochs_done')} of {metrics.get('epochs')} epochs: go on with it "
            "(--resume auto), and store it when it is finished."
        )
    return metrics


def _text(run, name):
    try:
        return (run / name).read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise WeightsError(f"{run} is no finished run ({problem}): it must hold a {name}.") from None


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
    """(the `weights` part of metrics.json, the bytes to keep), loaded into the network that they claim to be for."""
    from gluon_attn import zoo
    from gluon_attn.weights.load import load_arrays

    net = zoo.get_model(card.model, classes=len(card.classes), **card.arch)

    def load(content):
        load_arrays(net, read_arrays(content, path), path)

    path = run / f"{which}.params"
    load(content)
    errors = _told(run, metrics, which) or _measured(net, metrics, card)
    extra = {}
    if float16:
        content = rounded(content)
        load(content)
        extra = dict(precision="float16", float32_top1_error=errors["top1_error"])
        errors = _unmoved(path, errors, _measured(net, metrics, card))
    described = dict(file=path.name, sha256=digest("sha256", content), **errors, classes=len(card.classes), **extra)
    return described, content


def _told(run, metrics, which):
    """The errors on the test images that training measured; None where it did not show them to these weights."""
    if "test_accuracy_of_best" in metrics:  # another split chose
        best = which == "best"
        return _errors(metrics["test_accuracy_of_best"], metrics.get("test_top5_of_best")) if best else None
    rows = list(csv.DictReader(io.StringIO(_text(run, "history.csv"))))
    row = rows[-1 if which == "last" else metrics["best_epoch"] - 1]
    return _errors(metrics[f"{which}_accuracy"], row.get("top5"))


def _errors(top1, top5):
    """In percent, from shares; five classes or fewer have no top-5."""
    shares = dict(top1_error=top1, top5_error=top5)
    return {name: None if share in (None, "") else round(100 - 100 * float(share), 4) for name, share in shares.items()}


def _measured(net, metrics, card):
    """The errors on the test images, read as training reads them."""
    from gluon_attn.evaluate import evaluate
    from gluon_attn.train.inputs import evaluation_loader

    net.hybridize(static_alloc=True)
    found = evaluate(net, evaluation_loader(Recipe.of(metrics["recipe"]), _test_images(metrics), card))
    return _errors(found["top1"], found.get("top5"))


def _unmoved(path, before, after):
    """`after`, where rounding has left the top-1 error what it was."""
    if abs(after["top1_error"] - before["top1_error"]) > TOLERANCE:
        raise WeightsError(
            f"{path.name} rounded to float16 has a top-1 error of {after['top1_error']} %, before it was "
            f"{before['top1_error']} %: store it without --float16."
        )
    return after


def _card(run, metrics):
    """The card that the run wrote; of a run from before there were cards, what its recipe says."""
    if (run / NAME).is_file():
        return Card.read(run)
    from gluon_attn import zoo

    recipe, dataset = Recipe.of(metrics["recipe"]), _test_images(metrics)
    facts = datasets.find(recipe.dataset, recipe.dataset_options)
    size = recipe.image_size or dataset.image_size
    prepared = dict(facts.preparation, mean=dataset.mean, std=dataset.std, input_size=size, dataset=facts.name)
    prepared["crop_pct"] = datasets.centre_share(recipe.crop or facts.crop)
    spec = zoo.find(recipe.model)
    net = zoo.get_model(spec.name, variant=recipe.variant or None, **recipe.arch)
    return Card.of(spec.name, prepared, dataset.classes, arch=zoo.own_arch(net, spec))


def _test_images(metrics):
    """Those of the run: of a folder that nobody has divided, what it held out."""
    from gluon_attn.train.inputs import open_datasets

    _, chosen, test, _ = open_datasets(Recipe.of(metrics["recipe"]))
    return chosen if test is None else test


def _command(metrics):
    """The command line without this machine's folders, from the beginning of the run: no --resume."""
    program, *words = shlex.split(metrics["command"]) or [""]
    name = Path(program).name
    program = "gluon-attn" if name in ("cli.py", "__main__.py") else f"python {name}" if name.endswith(".py") else name
    resumed = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    resumed.add_argument("--resume", nargs="?")
    _, words = resumed.parse_known_args(words)
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

    def work():
        args = parser.parse_args(argv)
        _refuse_one_place(args.runs, args.params, args.tag)
        for run in args.runs:
            print(store(run, args.params, args.tag, args.which, args.float16))

    return exit_status("store", work)


if __name__ == "__main__":
    sys.exit(main())
