"""What the commands that run a network with weights share: flags, the folder of a run, weights, and their card."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from typing import Optional

from gluon_attn.catalogue import datasets
from gluon_attn.errors import GluonAttnError
from gluon_attn.parser import number

# Flags that the folder of a run answers, with the values that they have when nobody gave them.
_ANSWERED = dict(model=None, pretrained="true", variant=None, arch="", classes=None, classes_file=None)


@dataclass(frozen=True)
class Loaded:
    """A network with its weights; `entry` is their row in the table, where they are known."""

    net: object
    entry: Optional[object]
    card: object
    devices: list

    @property
    def classes(self):
        return len(self.card.classes)


class BadPictures(list):
    """The files that could not be read: called with each (a BadImage), it says so at once."""

    def __call__(self, image):
        self.append(image)
        print(f"gluon-attn: Cannot read image {image.name}: {image.reason}.", file=sys.stderr, flush=True)

    def status(self, count):
        """The command's exit status: 1, with a last word on how many of the `count` pictures these are, or 0."""
        if self:
            print(f"gluon-attn: {len(self)} of {count} pictures could not be read.", file=sys.stderr)
        return 1 if self else 0


def add_network_arguments(parser):
    count = number(least=1)
    parser.add_argument("--run", metavar="DIR", help="folder of a training (or of stored weights): nothing else needed")
    parser.add_argument("--model", metavar="NAME", help="a name of `gluon-attn list`")
    parser.add_argument(
        "--pretrained",
        default="true",
        metavar="TAG|FILE",
        help="a tag of `gluon-attn info NAME`, or a file (default: true)",
    )
    parser.add_argument("--variant", metavar="TAG", help="the architecture that FILE was trained with")
    parser.add_argument("--arch", default="", metavar="K=V,...", help="keywords of the network, as in training")
    parser.add_argument("--classes", type=count, metavar="N", help="of the network; by default the weights' or data's")
    parser.add_argument("--root", metavar="DIR", help="folder of downloaded weights (default: $MXNET_HOME/models)")
    parser.add_argument("--image-size", type=count, metavar="N", help="side of the input (default: the weights')")


def add_running_arguments(parser):
    """Of commands that run the network on pictures."""
    parser.add_argument(
        "--batch-size", type=number(least=1), default=64, metavar="N", help="images at once (default: 64)"
    )
    parser.add_argument(
        "--devices", default="", metavar="D,...", help="cpu:0, gpu:0 or gpu:0,gpu:1 (default: all GPUs)"
    )
    parser.add_argument("--dtype", default="float32", metavar="float32|float16", help="arithmetic (default: float32)")


def take_run(args, several=False):
    """Let the folder of --run say which network and which weights; returns them, [(model, file)].

    several : whether more than one folder may stand there, with commas between them
    """
    if not args.run:
        return []
    given = [name for name, value in _ANSWERED.items() if getattr(args, name, value) != value]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise GluonAttnError(f"--run {args.run} says this itself: leave out {flags}.")
    from gluon_attn.weights.origin import of_run

    found = [of_run(folder) for folder in (_folders(args.run) if several else [args.run])]
    args.model, args.pretrained = found[0].model, found[0].path
    return [(origin.model, origin.path) for origin in found]


def _folders(text):
    """One folder, whatever is in its name, or several."""
    return [text] if os.path.isdir(os.path.expanduser(text)) else text.split(",")


def data_of_run(args):
    """Let --run say the data set, where --dataset does not."""
    if not args.run or args.dataset:
        return
    from gluon_attn.data.sources import own_splits
    from gluon_attn.recipe.recipe import Recipe, of_run

    recipe = of_run(_folders(args.run)[0]) or Recipe()
    args.dataset = recipe.dataset or None
    args.data_root = args.data_root or recipe.data_root or None
    # Of a folder that is not divided the weights say what is tested on (commands/_undivided.py).
    args.held_out = recipe.validation
    divided = args.dataset and own_splits(args.dataset, args.data_root)
    held_out = {"validation": recipe.validation} if recipe.validation and divided else {}
    args.dataset_options = {**recipe.dataset_options, **held_out, **_options(args)}


def load_network(args, dataset=None):
    """The network that the flags mean, loaded without compromise: a file for other classes is an error here."""
    from gluon_attn.complexity import check_size
    from gluon_attn.devices import parse_devices

    devices, dtype = parse_devices(args.devices), getattr(args, "dtype", "float32")
    if dtype not in ("float32", "float16"):
        raise GluonAttnError(f"--dtype {dtype} cannot be used here: float32, or float16 on a GPU.")
    if dtype == "float16" and any(device.device_type == "cpu" for device in devices):
        raise GluonAttnError("--dtype float16 needs --devices gpu:0: MXNet has no float16 convolution on a CPU.")
    origin = find_weights(args)
    net, card = build_network(args, origin, dataset)
    if origin.classes not in (None, len(card.classes)):
        raise GluonAttnError(
            f"These weights know {origin.classes} classes, not {len(card.classes)}: leave out --classes, or train a "
            "new head (gluon-attn train --pretrained)."
        )
    origin.load(net, root=args.root, ctx=devices)
    check_size(net, card.input_size)
    if dtype == "float16":
        net.cast("float16")
    net.hybridize(static_alloc=True)
    return Loaded(net, origin.entry, card, devices)


def build_network(args, origin, dataset=None, classes=None):
    """(the network without its weights, the card that says what it knows and how pictures are prepared for it).

    classes : how many there are where neither flags, card, table nor `dataset` say it; by default as many as the file
        has, as get_model builds it
    """
    from gluon_attn import zoo
    from gluon_attn.recipe.recipe import Recipe
    from gluon_attn.weights.card import Card

    spec = zoo.find(args.model)
    arch = {**origin.arch, **Recipe.of({"arch": args.arch}).arch}
    build = functools.partial(zoo.get_model, args.model, variant=args.variant or origin.tag, **arch)
    build = functools.partial(build, **origin.fitting(build, arch))
    said = args.classes or origin.classes or (len(dataset.classes) if dataset else classes)
    wanted = said or (origin.path and origin.classes_in_file(build)) or spec.classes
    net = build(classes=wanted)
    facts, names = preprocessing(args, origin, dataset), _names(args, wanted, origin, dataset)
    known = origin.card
    said = dict(source=known.source, notes=known.notes) if known else dict(source=origin.tag or "")
    return net, Card.of(spec.name, facts, names, arch=zoo.own_arch(net, spec), **said)


def _names(args, count, origin, dataset):
    """The classes' names: a file's, the weights', or the data set's."""
    from gluon_attn.predict import class_names

    known = origin.class_names(count, dataset.classes if dataset else ())
    return class_names(count, known, getattr(args, "classes_file", None))


def demand_model(args):
    if args.model is None:
        raise GluonAttnError("Which network? Give --model NAME, or --run DIR, the folder of a training.")


def find_weights(args):
    """The Origin that --pretrained means; a published file is known by its hash wherever it lies."""
    from gluon_attn import zoo
    from gluon_attn.weights.origin import Origin

    demand_model(args)
    origin = Origin.of(zoo.find(args.model).name, args.pretrained, _record(args))
    if not origin:
        raise GluonAttnError(f"--pretrained {args.pretrained}: without weights there is nothing to look at.")
    return origin


def _record(args):
    """The record of the data set that the flags name, or None."""
    name = getattr(args, "dataset", None)
    return datasets.find(name, _options(args)) if name else None


def _options(args):
    from gluon_attn.recipe.recipe import Recipe

    return Recipe.of({"dataset_options": getattr(args, "dataset_options", "")}).dataset_options


def preprocessing(args, origin, dataset=None):
    """{mean, std, input_size, crop_pct, interpolation}: the weights', else the data set's at the network's size."""
    from gluon_attn import zoo

    known = dict(zoo.find(args.model).preprocessing)
    if dataset is not None:
        known.update(mean=dataset.mean, std=dataset.std, crop_pct=_record(args).crop_pct)
    known.update(origin.preprocessing)
    if args.image_size:
        known["input_size"] = args.image_size
    return known


def named_dataset(args):
    """What --dataset names for its class names and normalisation, or None; weights that say theirs refuse another's."""
    from gluon_attn import data

    if not args.dataset:
        return None
    said = find_weights(args).preprocessing.get("dataset")
    if said is not None and not _record(args).known_to(said):
        own = f"were trained on {said}" if said else "have a card that says this itself"
        raise GluonAttnError(f"These weights {own}: leave out --dataset {args.dataset}.")
    return data.get_dataset(args.dataset, "test", root=args.data_root)


def open_dataset(args, origin=None, split="test"):
    """The data set that the flags mean, with the labels that the weights know; one of classes, or it is refused."""
    from gluon_attn import data
    from gluon_attn.commands import _undivided
    from gluon_attn.data.sources import own_splits

    options = _options(args)
    datasets.for_recipes(args.dataset, options)
    known = datasets.DATASETS.get(origin.preprocessing.get("dataset")) if origin else None
    if known is not None and known.of == args.dataset:
        options = {**known.options, **options}  # weights for CIFAR-100's super-classes are asked for those
    card = origin.card if origin else None
    if args.dataset == "folder" and card and card.dataset == "folder":
        options = {"names": list(card.classes), **options}  # a test half may lack some of the network's classes
    split = getattr(args, "split", split)
    if own_splits(args.dataset, args.data_root):
        dataset = data.get_dataset(args.dataset, split, root=args.data_root, **options)
    else:
        dataset = _undivided.open_folder(split, args.data_root, options, origin, getattr(args, "held_out", 0))
    if args.dataset == _undivided.FOLDER and split != "train":
        _undivided.warn_of_learnt(dataset, origin)
    return dataset


def fits_data(args, entry):
    """ImageNet's folders are called n01440764, ..., and its classes tench, ...; their order is the same."""
    return entry is not None and entry.fits(_record(args))
