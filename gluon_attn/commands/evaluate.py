"""`gluon-attn evaluate`: accuracy of stored or published weights, with the published error beside it.

Images of a data set are read as the published pipelines read them: no turn by their EXIF tag, no ground below alpha.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from gluon_attn.commands import serving
from gluon_attn.commands.loading import (
    add_network_arguments,
    add_running_arguments,
    data_of_run,
    find_weights,
    fits_data,
    load_network,
    open_dataset,
    take_run,
)
from gluon_attn.errors import GluonAttnError
from gluon_attn.files import append_text, open_already, write_csv

COLUMNS = [
    "model",
    "pretrained",
    "dataset",
    "split",
    "images",
    "top1_error",
    "top5_error",
    "published_top1_error",
    "published_top5_error",
    "images_per_second",
    "input_size",
    "dtype",
    "devices",
    "mxnet",
    "top1_error_interval",
]


def add_arguments(parser):
    add_network_arguments(parser)
    add_running_arguments(parser)
    serving.add_arguments(parser)
    parser.add_argument("--dataset", help="digits, cifar10, cifar100, imagenet-folder, imagenet-rec, ...")
    parser.add_argument("--data-root", metavar="DIR", help="folder of the data set")
    parser.add_argument("--dataset-options", default="", metavar="K=V,...", help="options of the data set: coarse=true")
    parser.add_argument("--split", default="test", metavar="S", help="test, validation or train (default: test)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read images (default: 0)")
    parser.add_argument(
        "--reader",
        choices=("gluon", "native"),
        default="gluon",
        help="native: MXNet's ImageRecordIter, as the published errors were measured (imagenet-rec only)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be evaluated and what is missing; fetch nothing"
    )
    parser.add_argument(
        "--results", default="runs/evaluations.csv", metavar="FILE", help="append a row here (default: %(default)s)"
    )


def run(args):
    take_run(args)
    data_of_run(args)
    if not args.dataset:
        raise GluonAttnError(
            "On which images? Give --dataset NAME, or --run DIR, which knows its own (`gluon-attn evaluate --help`)."
        )
    _table(Path(args.results))  # or a sentence before the work
    if serving.asked(args):
        return _keep(args, serving.evaluated(args))
    if args.dry_run:
        from gluon_attn.commands._evaluation_plan import plan

        print(plan(args))
        return 0
    import mxnet as mx
    from tqdm import tqdm

    from gluon_attn.data.dataset import without_a_choice
    from gluon_attn.evaluate import evaluate
    from gluon_attn.weights.labels import check_classes

    dataset = open_dataset(args, find_weights(args))
    loaded = load_network(args, dataset)
    check_classes(loaded.card, dataset)
    serving.say_division(dataset)
    loader = _loader(args, dataset, loaded.card)
    with tqdm(total=len(dataset), unit="img", disable=None) as bar, without_a_choice():
        result = evaluate(loaded.net, loader, loaded.devices, dtype=args.dtype, progress=bar.update)
    row = dict(
        _row(args, loaded.entry, dataset, result),
        input_size=loaded.card.input_size,
        devices=" ".join(str(device) for device in loaded.devices),
        mxnet=mx.__version__,
    )
    return _keep(args, row)


def _keep(args, row):
    """Print it, and add it to --results; a plan, which is text, is printed alone."""
    if isinstance(row, str):
        print(row)
        return 0
    print(summary(row), flush=True)  # first: whatever becomes of the file, the answer is there
    append(Path(args.results), row)
    return 0


def _loader(args, dataset, card):
    from gluon_attn import data

    if args.reader == "gluon":
        return data.Loader(dataset, args.batch_size, card.transform(), train=False, workers=args.workers)
    from gluon_attn.data.native import NativeLoader

    steps = dict(image_size=card.input_size, resize=card.resize, mean=card.mean, std=card.std)
    return NativeLoader(dataset, args.batch_size, train=False, workers=args.workers, **steps)


def _row(args, entry, dataset, result):
    return dict(
        model=args.model,
        pretrained=args.pretrained if entry is None else entry.tag,
        dataset=args.dataset,
        split=dataset.split or args.split,
        images=result["images"],
        **serving.measured(result),
        published_top1_error=_published(args, entry, "top1_error"),
        published_top5_error=_published(args, entry, "top5_error"),
        images_per_second=f"{result['images_per_second']:.1f}",
        dtype=args.dtype,
    )


def _published(args, entry, key):
    """The error beside the measured one: of the same weights, on the same data set, and of its test images."""
    error = getattr(entry, key) if entry and args.split in ("test", "val") and fits_data(args, entry) else None
    return "" if error is None else f"{error:.2f}"


def append(path, row):
    """Add a row to the table `path`, which begins with the names of its columns (an older table gets the new ones)."""
    columns, rows, whole = _table(path)
    if columns == COLUMNS:
        line = io.StringIO(newline="")
        csv.DictWriter(line, COLUMNS, lineterminator="\n").writerow(row)
        append_text(path, line.getvalue() if whole else f"\n{line.getvalue()}")
    else:
        write_csv(path, [{key: known.get(key, "") for key in COLUMNS} for known in (*rows, row)], COLUMNS)


def _table(path):
    """(columns, rows, whether the last line has its end) of a table of evaluations, which another file is not."""
    if path.is_dir():
        raise GluonAttnError(f"--results {path} is a folder: name a file in it.")
    if open_already(path) is not None or path.is_fifo():
        raise GluonAttnError(f"--results {path} is no file that keeps a table: leave it out, and the row is printed.")
    place = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(place, os.W_OK):
        raise GluonAttnError(f"--results {path} cannot be written: give a file where you may write.")
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
        table = csv.DictReader(io.StringIO(text, newline=""))
        columns, rows = table.fieldnames or [], list(table)
    except (UnicodeDecodeError, csv.Error):
        columns, rows = [None], []
    if not set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns) or any(None in row for row in rows):
        raise GluonAttnError(
            f"--results {path} is no table of evaluations, so nothing is added to it: give another file, or one whose "
            f"columns are {', '.join(COLUMNS)}."
        )
    return columns, rows, text.endswith("\n")


def summary(row):
    split, top1 = row["split"], float(row["top1_error"])
    published = f" (published: {row['published_top1_error']} %)" if row["published_top1_error"] else ""
    top5 = f"top-5 error {row['top5_error']} %, " if row["top5_error"] else ""
    low, high = (100 - float(end) for end in reversed(row["top1_error_interval"].split("-")))
    return (
        f"{row['model']} on {row['images']} images of {row['dataset']}: "
        f"{split} accuracy {100 - top1:.2f} % (95 % interval {low:.2f} to {high:.2f} %), "
        f"top-1 error {row['top1_error']} %{published}, {top5}{row['images_per_second']} images/s"
    )
