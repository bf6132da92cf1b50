"""What train_segmentation.py does: methods trained side by side on digits canvases, and the table of their scores."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import unknown
from gluon_attn.files import write_csv, write_text
from gluon_attn.parser import Parser, exit_status, number

DOCUMENT = """# Segmentation: digits on a canvas

{train_images} training canvases of {image_size}x{image_size} pixels, {epochs} epochs, `{model}` with {blocks},
seed {seed}. Pixel accuracy and mean IoU over background and ten digits, by GluonCV's metric, on canvases made of
digits that training never saw. Written by `OMP_NUM_THREADS=1 {command}`: on one core, the same bits in every run.

| method | parameters | pixel accuracy | mIoU |
| --- | ---: | ---: | ---: |
{table}

`dilated` is `danet` without its two attentions; `fcn` adds what `aff_fcn` fuses. One run each: differences of a point
are noise. The masks of six test canvases:

![image, true mask, and the mask of each method](segmentation.png)
"""
LINE = "| {method} | {parameters:,} | {pixel_accuracy:.4f} | {miou:.4f} |"
DILATED = ("dilated", "danet")  # these take an output stride, the others a width of their skip connections
SHOWN = 6  # test canvases in the picture


def main(argv=None):
    """Parse, train; the exit status: 0, or 2 with one sentence for a user's mistake."""
    return exit_status("train_segmentation.py", lambda: _train(_parse(argv)))


@mxnet_explained()
def _train(args):
    from gluon_attn import zoo
    from gluon_attn.tasks.segmentation.model import METHODS

    args.methods = [method.strip() for method in args.methods.split(",")]
    for method in args.methods:
        if method not in METHODS:
            raise unknown("segmentation method", method, METHODS)
    zoo.find(args.model)
    if args.dry_run:
        methods = ",".join(args.methods)
        print(f"model {args.model}, {methods}; {args.train_images} digits canvases; writes {args.output}")
    else:
        run(args)


def _parse(argv):
    parser = Parser(
        prog="train_segmentation.py",
        description="Train segmentation networks on digits canvases, side by side: "
        "python train_segmentation.py --output runs/segmentation",
    )
    parser.add_argument("--methods", default="dilated,danet,fcn,aff_fcn", help="of gluon_attn.tasks.segmentation.model")
    parser.add_argument("--model", default="cifar_resnet20", help="backbone, a name of `gluon-attn list`")
    parser.add_argument(
        "--layers", type=number(least=0), nargs="+", default=[1, 1, 1], help="blocks of its stages; 0: its own number"
    )
    parser.add_argument("--output-stride", type=number(least=1), default=2, help="of the dilated backbones")
    parser.add_argument("--width", type=number(least=1), default=32, help="channels of the skip connections of an FCN")
    parser.add_argument("--image-size", type=number(least=1), default=48, help="side of the canvas")
    parser.add_argument("--train-images", type=number(least=1), default=1000)
    parser.add_argument("--test-images", type=number(least=1), default=300)
    parser.add_argument("--epochs", type=number(least=1), default=10)
    parser.add_argument("--batch-size", type=number(least=1), default=8)
    parser.add_argument("--lr", type=number(float, above=0), default=0.1)
    parser.add_argument("--seed", type=number(least=0), default=0)
    parser.add_argument("--output", default="runs/segmentation", help="folder of the run")
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained")
    args = parser.parse_args(argv)
    args.words = sys.argv[1:] if argv is None else list(argv)
    return args


def run(args):
    """A folder a method (metrics.json, history.csv, last.params), and segmentation.csv, .md and .png of them all."""
    from gluon_attn import data
    from gluon_attn.tasks.segmentation import fit as segmentation

    splits = {}
    for split, count in (("train", args.train_images), ("test", args.test_images)):
        dataset = data.get_dataset("digits-canvas", split=split, count=count, size=args.image_size)
        splits[split] = segmentation.arrays(dataset)
    rows, predictions = [], []
    for method in args.methods:
        net, row = _train_one(args, method, splits, len(dataset.classes))
        rows.append(row)
        predictions.append(segmentation.predict(net, splits["test"][0][:SHOWN]).asnumpy().argmax(1))
    _write_table(args, rows)
    shown = [dataset[i][0] for i in range(min(SHOWN, len(dataset)))], splits["test"][1][:SHOWN]
    segmentation.draw(Path(args.output) / "segmentation.png", *shown, predictions, args.methods, dataset.classes)


def _train_one(args, method, splits, classes):
    """(network, row of the table) of one method."""
    from gluon_attn.complexity import count_parameters
    from gluon_attn.tasks.segmentation import fit as segmentation

    start = time.time()
    options = dict(epochs=args.epochs, batch_size=args.batch_size, lr=args.lr, seed=args.seed)
    print(f"{method}: {count_parameters(_network(args, method, classes)):,} parameters", flush=True)
    net, history = segmentation.fit(
        lambda: _network(args, method, classes), splits["train"], splits["test"], classes, **options
    )
    metrics = {"method": method, "model": args.model, "dataset": "digits-canvas", "seed": args.seed}
    metrics.update(
        layers=" ".join(map(str, args.layers)),
        output_stride=args.output_stride if method in DILATED else "",
        image_size=args.image_size,
        train_images=args.train_images,
        epochs=args.epochs,
        parameters=count_parameters(net),
    )
    metrics.update({key: round(history[-1][key], 4) for key in ("pixel_accuracy", "miou")})
    metrics["seconds"] = round(time.time() - start, 1)
    segmentation.write_run(Path(args.output) / method, net, history, metrics)
    return net, metrics


def _network(args, method, classes):
    """Initialised from the seed, the same at every call."""
    import mxnet as mx

    from gluon_attn.tasks.segmentation.model import create

    mx.random.seed(args.seed)
    arch = {"output_stride": args.output_stride} if method in DILATED else {}
    if any(args.layers):
        arch["layers"] = tuple(args.layers)
    head = {} if method in DILATED else {"width": args.width}
    net = create(method, args.model, classes, outputs="all", head=head, **arch)
    net.initialize(mx.init.MSRAPrelu())
    net.hybridize(static_alloc=True)
    return net


def _write_table(args, rows):
    folder = Path(args.output)
    write_csv(folder / "segmentation.csv", rows)
    said = dict(
        table="\n".join(LINE.format(**row) for row in rows),
        command=shlex.join(["python", "train_segmentation.py", *map(str, args.words)]),
        blocks=f"{rows[0]['layers']} blocks a stage" if any(args.layers) else "its own blocks",
    )
    write_text(folder / "segmentation.md", DOCUMENT.format(**said, **rows[0]))
