"""What `evaluate` and `predict` (and any command that runs a stored network) share: flags, weights, preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from gluon_attn.catalogue import datasets
from gluon_attn.errors import GluonAttnError


@dataclass(frozen=True)
class Loaded:
    """A network with its weights; `entry` is their row in the table, where they are known."""

    net: object
    entry: Optional[object]
    classes: int
    devices: list


def add_network_arguments(parser):
    parser.add_argument("--model", metavar="NAME", help="a name of `gluon-attn list`")
    parser.add_argument(
        "--pretrained",
        default="true",
        metavar="TAG|FILE",
        help="a tag of `gluon-attn info NAME`, or a file (default: true)",
    )
    parser.add_argument("--variant", metavar="TAG", help="the architecture that FILE was trained with")
    parser.add_argument("--arch", default="", metavar="K=V,...", help="keywords of the network, as in training")
    parser.add_argument("--classes", type=int, metavar="N", help="of the network; by default those of weights or data")
    parser.add_argument("--root", metavar="DIR", help="folder of downloaded weights (default: $MXNET_HOME/models)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at once (default: 64)")
    parser.add_argument("--image-size", type=int, metavar="N", help="side of the square input, other than the weights'")
    parser.add_argument(
        "--devices", default="", metavar="D,...", help="cpu:0, gpu:0 or gpu:0,gpu:1 (default: all GPUs)"
    )
    parser.add_argument("--dtype", default="float32", metavar="float32|float16", help="arithmetic (default: float32)")


def load_network(args, classes=None):
    """The network that the flags mean, loaded without compromise: a file for other classes is an error here."""
    from gluon_attn import weights
    from gluon_attn.devices import parse_devices

    devices = parse_devices(args.devices)
    if args.dtype not in ("float32", "float16"):
        raise GluonAttnError(f"--dtype {args.dtype} cannot be used here: float32, or float16 on a GPU.")
    if args.dtype == "float16" and any(device.device_type == "cpu" for device in devices):
        raise GluonAttnError("--dtype float16 needs --devices gpu:0: MXNet has no float16 convolution on a CPU.")
    entry, path = find_weights(args)
    net, classes = build_network(args, entry, classes)
    if path is None:
        weights.load_pretrained(net, entry, root=args.root, ctx=devices)
    else:
        weights.load_weights(net, path, ctx=devices)
    if args.dtype == "float16":
        net.cast("float16")
    net.hybridize(static_alloc=True)
    return Loaded(net, entry, classes, devices)


def build_network(args, entry, classes=None):
    """(the network without its weights, its number of classes)."""
    from gluon_attn import zoo
    from gluon_attn.recipe.recipe import Recipe

    wanted = args.classes or (entry.classes if entry else classes)
    arch = Recipe.of({"arch": args.arch}).arch
    net = zoo.get_model(args.model, variant=_variant(args, entry), classes=wanted, **arch)
    return net, wanted or zoo.find(args.model).classes


def find_weights(args):
    """(entry or None, path or None) of --pretrained; a published file is known by its hash wherever it lies."""
    from gluon_attn import weights, zoo

    if args.model is None:
        raise GluonAttnError("Which network? Give --model NAME.")
    word = {"true": True}.get(args.pretrained.lower(), args.pretrained)
    if word is not True and zoo.is_path(word):
        return weights.identify(word), word
    return weights.choose(args.model, word), None


def _variant(args, entry):
    return args.variant if args.variant or entry is None else entry.tag


def preprocessing(args, entry, dataset=None):
    """{mean, std, input_size, crop_pct, interpolation}: the weights', else the data set's, else the model's."""
    from gluon_attn import zoo

    known = dict(zoo.find(args.model).preprocessing)
    if dataset is not None:
        known.update(mean=dataset.mean, std=dataset.std, input_size=dataset.image_size)
        known["crop_pct"] = datasets.find(args.dataset).crop_pct
    if entry is not None:
        known.update(entry.preprocessing)
    if args.image_size:
        known["input_size"] = args.image_size
    return known


def transform_for(preprocessing):
    from gluon_attn import data

    size = preprocessing["input_size"]
    return data.eval_transform(
        size,
        preprocessing["mean"],
        preprocessing["std"],
        resize=round(size / preprocessing["crop_pct"]),
        interpolation=preprocessing["interpolation"],
    )


def open_dataset(args, entry):
    """The data set that the flags mean, with the labels that the weights of `entry` know."""
    from gluon_attn import data
    from gluon_attn.recipe.recipe import Recipe

    options = Recipe.of({"dataset_options": args.dataset_options}).dataset_options
    known = datasets.DATASETS.get(entry.dataset) if entry else None
    if known is not None and known.of == args.dataset:
        options = {**known.options, **options}  # weights for CIFAR-100's super-classes are asked for those
    return data.get_dataset(args.dataset, args.split, root=args.data_root, **options)


def check_classes(args, entry, classes, dataset):
    """Whether the network's outputs are the data set's classes."""
    found = len(dataset.classes)
    # A .rec file without class names shows only the labels that occur in it.
    fits = found <= classes if args.dataset == "imagenet-rec" else found == classes
    if not fits:
        tag = f" ({entry.tag}, trained on {entry.dataset})" if entry else ""
        raise GluonAttnError(
            f"The network{tag} has {classes} classes and {args.dataset} has {found}: "
            "choose weights and data set that belong together."
        )
