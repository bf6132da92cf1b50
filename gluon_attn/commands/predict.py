"""`gluon-attn predict`: the five most probable classes of picture files and folders."""

from __future__ import annotations

import csv
import json
import math
import sys

from gluon_attn.commands import serving
from gluon_attn.commands.loading import (
    BadPictures,
    add_network_arguments,
    add_running_arguments,
    load_network,
    named_dataset,
    take_run,
)
from gluon_attn.parser import number

CSV_COLUMNS = ("path", "rank", "class", "probability")


def _text(predictions, stream):
    for prediction in predictions:
        found = ", ".join(f"{name} {100 * p:.1f} %" for name, p in prediction.classes)
        print(f"{prediction.path}: {found}", file=stream, flush=True)


def _csv(predictions, stream):
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for prediction in predictions:
        for rank, (name, probability) in enumerate(prediction.classes, start=1):
            writer.writerow((prediction.path, rank, name, f"{probability:.6g}"))
        stream.flush()


def _json(predictions, stream):
    found = [dict(path=str(p.path), classes=[_entry(*each) for each in p.classes]) for p in predictions]
    print(json.dumps(found, indent=2, allow_nan=False), file=stream)


def _entry(name, probability):
    """`null` for what is no number, which JSON does not have."""
    return {"class": name, "probability": probability if math.isfinite(probability) else None}


_WRITERS = {"text": _text, "csv": _csv, "json": _json}


def add_arguments(parser):
    add_network_arguments(parser)
    add_running_arguments(parser)
    serving.add_arguments(parser)
    parser.add_argument("pictures", nargs="+", metavar="FILE|FOLDER", help="pictures, or folders of them")
    parser.add_argument(
        "--dataset", metavar="NAME", help="whose class names and normalisation these are, where the weights do not say"
    )
    parser.add_argument("--data-root", metavar="DIR", help="folder of that data set")
    parser.add_argument("--classes-file", metavar="FILE", help="the classes' names, one a line")
    parser.add_argument("--top", type=number(least=1), default=5, metavar="N", help="classes a picture (default: 5)")
    parser.add_argument(
        "--format",
        choices=tuple(_WRITERS),
        default="text",
        help=f"of the answer: csv has the columns {', '.join(CSV_COLUMNS)}, json a list of objects (default: text)",
    )
    parser.add_argument("--picture", metavar="PNG", help="write one picture that shows the images and their classes")


def run(args):
    from gluon_attn.predict import draw, find_pictures

    take_run(args)
    paths = find_pictures(args.pictures)
    predictions, bad = [], BadPictures()
    predicted = serving.predictions if serving.asked(args) else _in_mxnet

    def answered():
        for prediction in predicted(args, paths, bad):
            predictions.append(prediction)
            yield prediction

    _WRITERS[args.format](answered(), sys.stdout)
    if args.picture and predictions:
        draw(predictions, args.picture)
        print(f"picture: {args.picture}", file=sys.stdout if args.format == "text" else sys.stderr)
    return bad.status(len(paths))


def _in_mxnet(args, paths, on_bad):
    from gluon_attn.predict import predict

    loaded = load_network(args, named_dataset(args))
    options = dict(device=loaded.devices[0], batch_size=args.batch_size, top=args.top, dtype=args.dtype)
    return predict(loaded.net, paths, loaded.card.transform(), loaded.card.classes, on_bad=on_bad, **options)
