"""What train_segmentation.py does: methods trained side by side on digits canvases, and the table of their scores."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import GluonAttnError, unknown
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
    from gluon_attn.tasks.segmentation.model import METHODS

    args.methods = [method.strip() for method in args.methods.split(",")]
    for method in args.methods:
        if method not in METHODS:
            raise unknown("segmentation method", method, METHODS)
    if args.dry_run:
        print(plan(args))
    else:
        run(args)


def _parse(argv):
    parser = Parser(
        prog="train_segmentation.py",
        description="Train segmentation networks on digits canvases, side by side: "
        "python train_segmentation.py --output runs/segmentation",
    )
    add, count, from_0 = parser.add_option, number(least=1), number(least=0)
    add("--methods", "dilated,danet,fcn,aff_fcn", "of gluon_attn.tasks.segmentation.model")
    add("--model", "cifar_resnet20", "backbone, a name of `gluon-attn list`")
    add("--layers", [1, 1, 1], "blocks of its stages; 0: its own number", type=from_0, nargs="+", metavar="N")
    add("--output-stride", 2, "of the dilated backbones", type=count, metavar="N")
    add("--width", 32, "channels of the skip connections of an FCN", type=count, metavar="N")
    add("--image-size", 48, "side of the canvas", type=count, metavar="N")
    add("--train-images", 1000, "canvases that are trained on", type=count, metavar="N")
    add("--test-images", 300, "canvases that are tested on", type=count, metavar="N")
    add("--epochs", 10, "passes over the training images", type=count, metavar="N")
    add("--batch-size", 8, "images an update", type=count, metavar="N")
    add("--lr", 0.1, "learning rate, which falls to 0 on a cosine", type=number(float, above=0), metavar="X")
    add("--seed", 0, "of the initial weights and of the order of the images", type=from_0, metavar="N")
    add("--output", "runs/segmentation", "folder of the run", metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="build everything, print the plan, train nothing")
    args = parser.parse_args(argv)
    args.words = sys.argv[1:] if argv is None else list(argv)
    return args


def plan(args):
    """The plan as text; what `run` would refuse is refused here, and a folder that is taken is reported."""
    from gluon_attn.complexity import complexity
    from gluon_attn.tasks.segmentation import fit as segmentation

    datasets, nets = _inputs(args)
    lines = []
    for method, net in nets.items():
        cost = complexity(net, args.image_size)
        lines.append(
            f"model     {args.model}, {method}: {cost.parameters:,} parameters, {cost.macs / 1e6:,.1f} M MACs at "
            f"{args.image_size}x{args.image_size}"
        )
    updates = segmentation.updates_an_epoch(args.train_images, args.batch_size)
    train, test = datasets.values()
    lines += [
        f"data      {train.name}: {len(train)} training images, {len(test)} of split 'test'",
        f"schedule  {args.epochs} epochs of {updates} updates of {args.batch_size}; learning rate {args.lr:g}, cosine",
        f"run       seed {args.seed}, into {args.output}",
    ]
    try:
        _refuse_another_run(args)
    except GluonAttnError as error:
        lines.append(f"output    TAKEN: {error}")
    return "\n".join(lines)


def run(args):
    """A folder a method (metrics.json, history.csv, last.params), and segmentation.csv, .md and .png of them all."""
    from gluon_attn.tasks.segmentation import fit as segmentation

    _refuse_another_run(args)
    datasets, nets = _inputs(args)
    dataset = datasets["test"]
    splits = {split: segmentation.arrays(images) for split, images in datasets.items()}
    rows, predictions = [], []
    for method, untrained in nets.items():
        net, row = _train_one(args, method, untrained, splits, len(dataset.classes))
        rows.append(row)
        predictions.append(segmentation.predict(net, splits["test"][0][:SHOWN]).asnumpy().argmax(1))
    _write_table(args, rows)
    shown = [dataset[i][0] for i in range(min(SHOWN, len(dataset)))], splits["test"][1][:SHOWN]
    segmentation.draw(Path(args.output) / "segmentation.png", *shown, predictions, list(nets), dataset.classes)


def _refuse_another_run(args):
    """GluonAttnError where the folder holds a run, of these methods or of others: their table would be replaced."""
    from gluon_attn.tasks.segmentation.model import METHODS
    from gluon_attn.train.folder import refuse_another_run

    folder = Path(args.output)
    for place in (folder, *(folder / method for method in METHODS)):
        refuse_another_run(place, resume="")


def _inputs(args):
    """({split: data set}, {method: untrained network}), or the sentence why one of them cannot be trained."""
    from gluon_attn import data
    from gluon_attn.complexity import check_size
    from gluon_attn.tasks.segmentation import fit as segmentation

    counts = {"train": args.train_images, "test": args.test_images}
    segmentation.updates_an_epoch(args.train_images, args.batch_size)
    datasets = {
        split: data.get_dataset("digits-canvas", split=split, count=count, size=args.image_size)
        for split, count in counts.items()
    }
    nets = {method: _network(args, method, len(datasets["test"].classes)) for method in args.methods}
    for net in nets.values():
        check_size(net, args.image_size)
    return datasets, nets


def _train_one(args, method, untrained, splits, classes):
    """(network, row of the table) of one method."""
    from gluon_attn.complexity import count_parameters
    from gluon_attn.tasks.segmentation import fit as segmentation

    start = time.time()
    options = dict(epochs=args.epochs, batch_size=args.batch_size, lr=args.lr, seed=args.seed)
    print(f"{method}: {count_parameters(untrained):,} parameters", flush=True)
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
    net = create(method, args.model, classes, outputs="all", head=head, input_size=args.image_size, **arch)
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
