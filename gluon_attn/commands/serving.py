"""`--file` and `--engine` of predict, evaluate and benchmark: a deployed network, which needs no MXNet to run.

The file's card says what flags say of a network with weights, so those are refused beside it.
"""

from __future__ import annotations

from pathlib import Path

from gluon_attn.commands.loading import find_weights, open_dataset
from gluon_attn.deploy.run.engines import ENGINES, SUFFIXES, not_exported
from gluon_attn.errors import GluonAttnError

# Flags that a file answers, with the values that they have when nobody gave them.
_ANSWERED = dict(
    model=None, pretrained="true", variant=None, arch="", classes=None, root=None, image_size=None, classes_file=None
)
_OF_MXNET = dict(devices="", dtype="float32", workers=0, reader="gluon")
_LOW = ", ".join(name for name, engine in ENGINES.items() if "bfloat16" in engine.precisions)
PRECISIONS = f"float32, bfloat16 ({_LOW}) or int8, which a file must be (default: the file's)"


def add_arguments(parser):
    group = parser.add_argument_group("deployed networks")
    group.add_argument("--file", metavar="FILE", help="a file of `gluon-attn export`, in place of --model")
    group.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(ENGINES)} (default: the first that is there and reads the file)",
    )
    group.add_argument("--precision", default="", metavar="P", help=PRECISIONS)
    group.add_argument("--threads", type=int, default=0, metavar="N", help="of the engine (default: one a core)")
    group.add_argument("--cache", metavar="DIR", help="where openvino keeps what it compiled")


def asked(args):
    """Whether a deployed network is meant; flags that contradict each other raise."""
    if not args.file:
        if args.model is None:
            raise GluonAttnError("Which network? Give --model NAME, or --file FILE of `gluon-attn export`.")
        if not args.engine and (args.precision or args.threads or args.cache):
            raise GluonAttnError("--precision, --threads and --cache are for --file, or for --model with --engine.")
    if args.file and args.run:
        raise GluonAttnError(f"--file {args.file} and --run {args.run} are two networks: give one of them.")
    if not (args.file or args.engine):
        return False
    wrong = [f"--{name.replace('_', '-')}" for name in _given(args, _OF_MXNET)]
    if wrong:
        raise GluonAttnError(f"{', '.join(wrong)} is for networks in MXNet, not beside --file or --engine.")
    wrong = [f"--{name.replace('_', '-')}" for name in _given(args, _ANSWERED)] if args.file else []
    if wrong:
        raise GluonAttnError(f"{args.file} says this itself: leave out {', '.join(wrong)}.")
    return True


def _given(args, defaults):
    return [name for name, value in defaults.items() if getattr(args, name, value) != value]


def demand_exported(path):
    """Refuse what no export is called: a name would be looked up in the zoo."""
    if not path.endswith(SUFFIXES):
        raise not_exported(f"--file {path}")


def open_predictor(args):
    """(the Predictor that the flags mean, the Origin of its weights)."""
    from gluon_attn.deploy.run.predictor import Predictor
    from gluon_attn.weights.origin import Origin

    common = dict(engine=args.engine, threads=args.threads, batch_size=args.batch_size)
    if args.precision:
        common["precision"] = args.precision
    if args.cache:
        common["cache"] = args.cache
    if args.file:
        demand_exported(args.file)
        predictor = Predictor(args.file, **common)
        return predictor, Origin(predictor.card.model, path=args.file, card=predictor.card)
    origin = find_weights(args)  # as without an engine: --dataset chooses among several
    return Predictor(args.model, origin.path or origin.tag, **_network(args), **common), origin


def _network(args):
    from gluon_attn.recipe.recipe import Recipe

    if args.image_size or getattr(args, "classes_file", None):
        raise GluonAttnError(
            "--image-size and --classes-file with --engine: export the network first, then give --file."
        )
    given = {"variant": args.variant, "classes": args.classes, "root": args.root}
    given = {key: value for key, value in given.items() if value is not None}
    return {**given, **Recipe.of({"arch": args.arch}).arch}


def predictions(args, paths, on_bad=None):
    """Prediction of every picture file, as `gluon_attn.predict.predict` gives them."""
    from gluon_attn.predict import Prediction, batches

    if args.dataset or args.data_root:
        raise GluonAttnError("--dataset and --data-root name classes, which a deployed network knows: leave them out.")
    predictor, _ = open_predictor(args)
    for batch, images in batches(paths, predictor.transform, args.batch_size, on_bad):
        for path, classes in zip(batch, predictor.named(predictor.run(images), args.top)):
            yield Prediction(path, classes)


def evaluated(args):
    """The row of `gluon-attn evaluate`, or the plan of a dry run as text."""
    from tqdm import tqdm

    from gluon_attn.deploy.run.score import score
    from gluon_attn.weights.labels import check_classes

    predictor, origin = open_predictor(args)
    card, dataset = predictor.card, open_dataset(args, origin)
    check_classes(card, dataset)
    name, engine, split = args.file or args.model, predictor.describe(), dataset.split or args.split
    weights = Path(args.file).name if args.file else origin.tag or args.pretrained
    if args.dry_run:
        return (
            f"model     {name}: {card.model}, {len(card.classes)} classes\n"
            f"weights   {weights}\n"
            f"data      {args.dataset}: {len(dataset)} images of split {split!r}{in_plan(dataset)}\n"
            f"prepare   {card.preparation}\nrun       {engine}, {args.batch_size} images at once"
        )
    say_division(dataset)
    with tqdm(total=len(dataset), unit="img", disable=None) as bar:
        result = score(predictor, dataset, bar.update)
    return dict(
        model=card.model,
        pretrained=weights,
        dataset=args.dataset,
        split=split,
        images=result["images"],
        **measured(result),
        published_top1_error="",
        published_top5_error="",
        images_per_second=f"{result['images_per_second']:.1f}",
        input_size=card.input_size,
        dtype=predictor.precision,
        devices=engine,
        mxnet="",
    )


def say_division(dataset):
    """Which of a folder's pictures are asked about, where that is not told by the folder."""
    if dataset.division:
        print(dataset.division)


def in_plan(dataset):
    """The same at the end of a line."""
    return f"; {dataset.division}" if dataset.division else ""


def measured(result):
    """The columns of what was found; top5_error is empty where there are five classes or fewer."""
    low, high = (f"{100 - 100 * end:.2f}" for end in reversed(result["top1_interval"]))
    return dict(
        top1_error=f"{100 - 100 * result['top1']:.2f}",
        top1_error_interval=f"{low}-{high}",
        top5_error=f"{100 - 100 * result['top5']:.2f}" if "top5" in result else "",
    )
