"""`gluon-attn pack`: an image folder into .rec and .idx files, by MXNet's im2rec.

The folder has train/<class>/* and val/<class>/*, or is Tiny ImageNet's, whose boxes are then written beside the files.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from gluon_attn.commands import _mxnet_tools as tools
from gluon_attn.errors import DataError, GluonAttnError
from gluon_attn.files import filling, write_text
from gluon_attn.parser import number

SPLITS = {"train": "train", "test": "val"}


def add_arguments(parser):
    parser.add_argument(
        "folder", help="folder with train/<class>/*.JPEG and val/<class>/*.JPEG, or Tiny ImageNet's official one"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="where train.rec, train.idx, val.rec, ... go")
    parser.add_argument(
        "--resize",
        type=number(least=0),
        default=0,
        metavar="N",
        help="shorter side of the stored images (default: as they are)",
    )
    parser.add_argument("--quality", type=int, default=95, metavar="N", help="of JPEGs that are resized (default: 95)")
    parser.add_argument(
        "--workers", type=number(least=1), default=1, metavar="N", help="processes that read (default: 1)"
    )


def run(args):
    _check(args)
    kind, folder = _recognised(args.folder)
    datasets = {name: _dataset(kind, folder, split) for split, name in SPLITS.items()}
    for dataset in datasets.values():
        _check_readable(dataset, folder, args.resize)
    with filling(args.output) as output:
        for name, dataset in datasets.items():
            # ImageRecordIter shuffles a little at a time; Tiny ImageNet keeps its order: --validation then draws the
            # same.
            shuffle = name == SPLITS["train"] and not _has_boxes(dataset)
            _write_list(dataset, output / f"{name}.lst", folder, shuffle)
            if _has_boxes(dataset):
                _write_boxes(dataset, output, name)
        _pack(output, folder, args)
        for name, dataset in datasets.items():
            _check_all_packed(output / f"{name}.idx", len(dataset))
        write_text(output / "classes.txt", "".join(f"{name}\n" for name in dataset.classes))
    for name, dataset in datasets.items():
        print(f"{Path(args.output) / name}.rec: {len(dataset)} images of {len(dataset.classes)} classes")


def _check(args):
    if 0 < args.resize <= 224:
        raise GluonAttnError(
            f"--resize {args.resize} would store images at the size of a crop: MXNet's reader then corrupts them, and "
            "nothing is left to crop. Give 256 or more (480 is usual), or leave it out."
        )
    if not 1 <= args.quality <= 100:
        raise GluonAttnError(f"--quality {args.quality} is no JPEG quality: give 1 to 100.")


def _recognised(folder):
    """(name of the data set whose layout the folder has, the folder itself)."""
    from gluon_attn.data import tiny_imagenet

    official = tiny_imagenet.official_folder(folder)
    return ("imagenet-folder", Path(folder)) if official is None else (tiny_imagenet.NAME, official)


def _dataset(name, folder, split):
    from gluon_attn import data

    return data.get_dataset(name, split, root=folder)


def _has_boxes(dataset):
    return hasattr(dataset, "box")


def _write_boxes(dataset, output, name):
    import numpy as np

    from gluon_attn.data.tiny_imagenet import BOXES

    np.save(output / BOXES.format(name), dataset.boxes)


def _write_list(dataset, path, folder, shuffle):
    """im2rec's list, with the numbers of the *training* folder's classes; its own would number each split anew."""
    from gluon_attn.data import random_state

    order = random_state(0, stream="order").permutation(len(dataset)) if shuffle else range(len(dataset))
    paths = dataset.paths
    with open(path, "w", encoding="utf-8") as stream:
        for number, index in enumerate(order):
            name = Path(paths[index]).relative_to(folder)
            stream.write(f"{number}\t{int(dataset.labels[index])}\t{name}\n")


def _pack(lists, folder, args):
    """A .rec and an .idx for every list in the folder `lists`."""
    how = ["--resize", args.resize, "--quality", args.quality] if args.resize else ["--pass-through"]
    # The list is rewritten in the order of the file where several processes read.
    line = tools.command("im2rec", lists, folder, "--num-thread", args.workers, *how)
    finished = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if finished.returncode:
        last = (finished.stdout.strip() or "it says nothing").splitlines()[-1]
        begun = re.findall(r"Creating .rec file from .*?(\w+\.lst) in", finished.stdout) or ["its lists"]
        raise GluonAttnError(f"im2rec failed on {begun[-1]}: {last}. Nothing in {args.output} was changed.")


def _check_all_packed(index, wanted):
    with open(index, encoding="utf-8") as lines:
        packed = sum(1 for _ in lines)
    if packed != wanted:
        raise GluonAttnError(f"im2rec packed {packed} of {wanted} images into {index.stem}.rec: nothing was kept.")


def _check_readable(dataset, folder, resize):
    """im2rec packs what is no picture, or ends with a traceback at it; so they are looked for first, by their heads."""
    bad = []
    for path in dataset.paths:
        _check_name(path)
        try:
            _check_head(path, resize)
        except (DataError, OSError, SyntaxError):  # Pillow has the latter two for damaged files
            bad.append(str(Path(path).relative_to(folder)))
    if bad:
        what = "too large, or GIFs, which im2rec cannot resize" if resize else "or too large"
        raise GluonAttnError(
            f"{len(bad)} of the {len(dataset)} files are no pictures, {what}: {', '.join(bad[:5])}. "
            "Repair or remove them."
        )


def _check_name(path):
    """im2rec's list has a picture a line, its parts between tabs, in UTF-8."""
    name = os.fsencode(path)
    try:
        broken = any(sign in name.decode("utf-8") for sign in "\t\n\r")
    except UnicodeDecodeError:
        broken = True
    if broken:
        raise DataError(
            f"{path!r} has a tab, the end of a line, or no Unicode in its name: rename it, im2rec loses it."
        )


def _check_head(path, resize):
    """The picture, and what im2rec makes of it: its shorter side `resize`, its longer one whatever that gives."""
    from gluon_attn.data.images import open_picture
    from gluon_attn.data.limits import check_pixels

    with open(path, "rb") as stream:
        picture = open_picture(stream, str(path), Path(path).stat().st_size)
        scale = resize / min(picture.size) if resize else 1
        check_pixels(*(round(side * scale) for side in picture.size), str(path))
        picture.verify()
        if resize and picture.format == "GIF":
            raise DataError(f"{path} is a GIF, which OpenCV reads not: im2rec would leave it out.")
