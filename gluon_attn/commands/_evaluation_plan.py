"""`gluon-attn evaluate --dry-run`: what would be evaluated on what, and what is missing for it; nothing is fetched."""

from __future__ import annotations

from pathlib import Path

from gluon_attn.catalogue import datasets
from gluon_attn.commands.loading import build_network, find_weights, fits_data, open_dataset
from gluon_attn.commands.serving import in_plan
from gluon_attn.errors import GluonAttnError
from gluon_attn.weights.find import outlook
from gluon_attn.weights.labels import check_classes
from gluon_attn.weights.origin import Origin, is_path


def plan(args):
    """The plan as text. Mistakes in the flags raise; missing weights, data and devices are reported in it."""
    from gluon_attn.complexity import count_parameters

    record = datasets.find(args.dataset)
    origin, weights = _weights(args)
    entry = origin.entry
    dataset, images = _data(args, origin)
    net, card = build_network(args, origin, dataset, record.classes)
    if dataset is not None:
        check_classes(card, dataset)
    if origin.path is not None:
        origin.load(net)  # they fit the network, or the run would say so
    lines = [
        f"model     {args.model}: {len(card.classes)} classes, {count_parameters(net):,} parameters",
        f"weights   {weights}",
        f"data      {images}",
        f"prepare   {card.preparation}",
        f"run       {args.dtype} on {_devices(args)}, {args.batch_size} images at once, reader {args.reader}; "
        f"a row in {args.results}",
        *_published(args, entry),
    ]
    return "\n".join(lines)


def _weights(args):
    """(Origin, where the file is or comes from)."""
    if is_path(args.pretrained) and not Path(args.pretrained).is_file():
        return Origin(args.model.lower()), f"MISSING: there is no file {args.pretrained}"
    origin = find_weights(args)
    entry = origin.entry
    if origin.path is not None:
        known = f"which is {entry.tag!r} of {entry.model}" if entry else "not a published file"
        return origin, f"{origin.path}, {known}"
    there, sentence = outlook(entry, args.root)
    return origin, f"{entry.tag}: {sentence}" if there else f"MISSING: {sentence}"


def _data(args, origin):
    """(data set or None, one line)."""
    try:
        dataset = open_dataset(args, origin)
    except (GluonAttnError, OSError) as error:
        return None, f"MISSING: {error}"
    split = dataset.split or args.split
    images = f"{args.dataset}: {len(dataset)} images of split {split!r}, {len(dataset.classes)} classes"
    return dataset, images + in_plan(dataset)


def _devices(args):
    from gluon_attn.devices import parse_devices

    try:
        return ", ".join(map(str, parse_devices(args.devices)))
    except GluonAttnError as error:
        return f"{args.devices} (MISSING: {error})"


def _published(args, entry):
    """The figure to compare with, where there is one."""
    if entry is not None and entry.top1_error is not None and fits_data(args, entry):
        top5 = "" if entry.top5_error is None else f", top-5 error {entry.top5_error:.2f} %"
        yield f"published top-1 error {entry.top1_error:.2f} %{top5}" + (f" ({entry.note})" if entry.note else "")
