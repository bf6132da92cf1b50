"""`gluon-attn explain`: what networks look at, as one picture, as an HTML page, or as a table of scores."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, replace

from gluon_attn.commands.loading import (
    BadPictures,
    add_network_arguments,
    add_running_arguments,
    data_of_run,
    demand_model,
    find_weights,
    load_network,
    open_dataset,
    take_run,
)
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.parser import number


def add_arguments(parser):
    add_network_arguments(parser)
    add_running_arguments(parser)
    parser.description += (
        " Several networks stand below each other: --model A,B --pretrained a.params,b.params. Methods: gradcam, "
        "gradcam_pp, scorecam, occlusion, attention (the mechanism's own map of places)."
    )
    parser.add_argument("--image", nargs="+", metavar="FILE|FOLDER", help="pictures to explain, or folders of them")
    parser.add_argument(
        "--dataset", metavar="NAME", help="class names and normalisation; its test images, if no --image"
    )
    parser.add_argument("--data-root", metavar="DIR", help="folder of that data set")
    parser.add_argument("--dataset-options", default="", metavar="K=V,...", help="options of the data set: coarse=true")
    parser.add_argument(
        "--indices", type=_indices_of, metavar="I,...", help="which test images (default: of each class in turn)"
    )
    parser.add_argument(
        "--count", type=number(least=1), metavar="N", help="how many of them (default: 6; for --score 100)"
    )
    parser.add_argument("--classes-file", metavar="FILE", help="the classes' names, one a line")
    parser.add_argument("--method", default="gradcam", metavar="M,...", help="default: %(default)s")
    parser.add_argument(
        "--stage", metavar="S", help="stage of the CAM methods: stage3, or -2 (default: the last with places)"
    )
    parser.add_argument(
        "--target",
        metavar="CLASS",
        help="class to explain, by its number from 0 or its name; a word that is both is the number (default: the "
        "predicted one)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the picture; with --score the table as CSV")
    parser.add_argument("--html", metavar="FILE", help="a page with all pictures, to filter and hover")
    parser.add_argument("--score", action="store_true", help="measure the maps on a data set that has boxes (clutter)")


def _indices_of(word):
    return [number(least=0)(index) for index in word.split(",")]


@dataclass(frozen=True)
class Candidate:
    """A network of the comparison, and the card that says what it sees of a picture and what its classes are."""

    label: str
    net: object
    card: object
    device: object


def run(args):
    runs = take_run(args, several=True)
    if not args.image:
        data_of_run(args)
    _check(args)
    flags = _flags_of_each(args, runs or _networks(args))
    first = next(iter(flags.values()))
    dataset = open_dataset(first, find_weights(first)) if args.dataset else None
    candidates = [_candidate(label, own, dataset) for label, own in flags.items()]
    _check_classes(candidates, dataset)
    methods = args.method.split(",")
    if args.score:
        return _score(args, candidates, methods, dataset)
    names = list(candidates[0].card.classes)
    args.target = _class_of(args.target, names)
    bad = BadPictures()
    subjects = _subjects(args, names, dataset, bad)
    if subjects:
        _write(args, candidates, methods, subjects, names)
    return bad.status(len(subjects) + len(bad))


def _write(args, candidates, methods, subjects, names):
    rows = {candidate.label: _views(candidate, subjects, methods, args) for candidate in candidates}
    if args.output:
        from gluon_attn.explain.pictures import draw

        draw(rows, args.output, names, _known_labels(subjects), args.target)
        print(f"picture: {args.output}")
    if args.html:
        from gluon_attn.explain.report import write

        write(rows, args.html, subjects, names, args.target)
        print(f"page: {args.html}")


def _check(args):
    if not (args.image or args.dataset):
        raise GluonAttnError("Nothing to explain: give --image FILE ..., or --dataset NAME for its test images.")
    if not (args.output or args.html or args.score):
        raise GluonAttnError("Nowhere to write: give -o FILE.png, --html FILE.html or --score.")
    if args.output and args.html and os.path.realpath(args.output) == os.path.realpath(args.html):
        raise GluonAttnError(f"-o and --html both name {args.output}: give the page another name.")
    if args.score and args.image:
        raise GluonAttnError("--score needs boxes, which picture files do not have: leave out --image.")
    for flags, why in _unused(args):
        given = [f"--{flag.replace('_', '-')}" for flag in flags if getattr(args, flag) not in (None, "")]
        if given:
            raise GluonAttnError(f"{why}: leave out {' and '.join(given)}.")


def _unused(args):
    """(flags that would say nothing, why): whoever gives one of them means something else than what would be done."""
    from gluon_attn.explain.methods import STAGED, method_named

    methods = args.method.split(",")
    for method in methods:
        method_named(method)
    if args.image:
        yield ("indices", "count"), "All pictures of --image are explained"
    if args.indices:
        yield ("count",), "--indices says which images, and so how many"
    if not args.dataset:
        yield ("data_root", "dataset_options"), "No --dataset is named"
    if args.score:
        yield ("html",), "--score writes a table (-o FILE.csv) and no page"
        yield ("target",), "--score explains the true class of every image"
    if not set(methods) & set(STAGED):
        yield ("stage",), f"Only {', '.join(STAGED)} look at a stage, not --method {args.method}"
    if set(methods) == {"attention"}:
        yield ("target",), "The mechanism's own map knows no class (--method attention)"


def _networks(args):
    """[(model, weights)] of --model and --pretrained."""
    demand_model(args)
    models, weights = args.model.split(","), args.pretrained.split(",")
    if len(weights) == 1:
        weights *= len(models)
    if len(models) == 1:
        models *= len(weights)
    if len(models) != len(weights):
        raise GluonAttnError(
            f"--model names {len(models)} networks and --pretrained {len(weights)} weights: one for all, or one each."
        )
    return list(zip(models, weights))


def _flags_of_each(args, networks):
    """{label: the flags of one network}."""
    alike = len({model for model, _ in networks}) < len(networks)
    labels = [f"{model} {weight}" if alike else model for model, weight in networks]
    each = [{**vars(args), "model": model, "pretrained": weight} for model, weight in networks]
    return {label: argparse.Namespace(**own) for label, own in zip(labels, each)}


def _candidate(label, args, dataset):
    loaded = load_network(args, dataset)
    return Candidate(label, loaded.net, loaded.card, loaded.devices[0])


def _check_classes(candidates, dataset):
    """One list of names stands for all: the networks' classes are the same, in the same order, and the data set's."""
    from gluon_attn.weights.labels import check_alike, check_classes

    check_alike({candidate.label: candidate.card for candidate in candidates})
    if dataset is not None:
        for candidate in candidates:
            check_classes(candidate.card, dataset)


def _subjects(args, names, dataset, on_bad):
    from gluon_attn.explain.subjects import from_dataset, from_files
    from gluon_attn.predict import find_pictures

    if args.image:
        return from_files(find_pictures(args.image), names, on_bad)
    return from_dataset(dataset, _indices(args, dataset, 6))


def _indices(args, dataset, count):
    from gluon_attn.explain.subjects import of_each_class

    if args.indices:
        return args.indices
    if args.score:
        return range(min(args.count or count, len(dataset)))
    return of_each_class(dataset.labels, args.count or count)


def _class_of(word, names):
    """The number that --target means; one that is no class is left to whoever looks."""
    number = int(word) if re.fullmatch("-?[0-9]{1,18}", word or "") else None
    if word is None or (number is not None and (0 <= number < len(names) or word not in names)):
        return number
    if word not in names:
        raise unknown("class in --target", word, names, remedy="A number from 0 names one, too.")
    if names.count(word) > 1:
        numbers = [str(place) for place, name in enumerate(names) if name == word]
        raise GluonAttnError(f"--target {word} is the name of the classes {' and '.join(numbers)}: give the number.")
    return names.index(word)


def _views(candidate, subjects, methods, args):
    from gluon_attn.explain.methods import look

    card = candidate.card
    views = look(
        candidate.net,
        (subject.image for subject in subjects),
        card.transform(),
        card.mean,
        card.std,
        methods=methods,
        ctx=candidate.device,
        batch_size=args.batch_size,
        target=args.target,
        stage=_stage(args),
    )
    return [replace(view, box=subject.box_seen(card)) for view, subject in zip(views, subjects)]


def _stage(args):
    return int(args.stage) if args.stage and args.stage.lstrip("-").isdigit() else args.stage


def _known_labels(subjects):
    """Their classes; None where not all are known."""
    labels = [subject.label for subject in subjects]
    return None if None in labels else labels


def _score(args, candidates, methods, dataset):
    from gluon_attn.explain.table import markdown, measure, write_csv

    if dataset is None or not hasattr(dataset, "box"):
        raise GluonAttnError(f"--score needs the boxes of the objects, and {args.dataset} has none: --dataset clutter.")
    rows = []
    for candidate in candidates:
        rows += measure(candidate, dataset, _indices(args, dataset, 100), methods, args.batch_size, _stage(args))
    print(markdown(rows))
    if args.output:
        write_csv(rows, args.output)
        print(f"table: {args.output}")
    return 0
