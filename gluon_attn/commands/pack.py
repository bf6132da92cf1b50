"""`gluon-attn pack`: an image folder (train/<class>/*, val/<class>/*) into .rec and .idx files, by MXNet's im2rec."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gluon_attn.commands import _mxnet_tools as tools
from gluon_attn.errors import DataError, GluonAttnError

SPLITS = {"train": "train", "test": "val"}


def add_arguments(parser):
    parser.add_argument("folder", help="folder with train/<class>/*.JPEG and val/<class>/*.JPEG")
    parser.add_argument("--output", required=True, metavar="DIR", help="where train.rec, train.idx, val.rec, ... go")
    parser.add_argument(
        "--resize", type=int, default=0, metavar="N", help="shorter side of the stored images (default: as they are)"
    )
    parser.add_argument("--quality", type=int, default=95, metavar="N", help="of JPEGs that are resized (default: 95)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that read (default: 1)")


def run(args):
    _check(args)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    for split, name in SPLITS.items():
        dataset = _dataset(args.folder, split)
        prefix = output / name
        _check_readable(dataset, Path(args.folder), args.resize)
        _write_list(dataset, prefix.with_suffix(".lst"), Path(args.folder), shuffle=split == "train")
        _pack(prefix, args)
        print(f"{prefix}.rec: {len(dataset)} images of {len(dataset.classes)} classes")
    (output / "classes.txt").write_text("".join(f"{name}\n" for name in dataset.classes), encoding="utf-8")


def _check(args):
    if 0 < args.resize <= 224:
        raise GluonAttnError(
            f"--resize {args.resize} would store images at the size of a crop: MXNet's reader then corrupts them, and "
            "nothing is left to crop. Give 256 or more (480 is usual), or leave it out."
        )
    if not 1 <= args.quality <= 100:
        raise GluonAttnError(f"--quality {args.quality} is no JPEG quality: give 1 to 100.")


def _dataset(folder, split):
    from gluon_attn import data

    return data.get_dataset("imagenet-folder", split, root=folder)


def _write_list(dataset, path, folder, shuffle):
    """im2rec's list, with the numbers of the *training* folder's classes; its own would number each split anew."""
    from gluon_attn.data import random_state

    order = random_state(0, stream="order").permutation(len(dataset)) if shuffle else range(len(dataset))
    with open(path, "w", encoding="utf-8") as stream:
        for number, index in enumerate(order):
            name = Path(dataset.paths[index]).relative_to(folder)
            stream.write(f"{number}\t{int(dataset.labels[index])}\t{name}\n")


def _pack(prefix, args):
    how = ["--resize", args.resize, "--quality", args.quality] if args.resize else ["--pass-through"]
    # The list is rewritten in the order of the file where several processes read.
    line = tools.command("im2rec", prefix, args.folder, "--num-thread", args.workers, *how)
    finished = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if finished.returncode:
        raise GluonAttnError(f"im2rec failed on {prefix}.lst: {finished.stdout.strip().splitlines()[-1]}")


def _check_readable(dataset, folder, resize):
    """im2rec packs what is no picture, or ends with a traceback at it; so they are looked for first, by their heads."""
    bad = []
    for path in dataset.paths:
        try:
            _check_head(path, resize)
        except (DataError, OSError, SyntaxError):  # Pillow has the latter two for damaged files
            bad.append(str(Path(path).relative_to(folder)))
    if bad:
        raise GluonAttnError(
            f"{len(bad)} of the {len(dataset)} files are no pictures, or too large: {', '.join(bad[:5])}. "
            "Repair or remove them."
        )


def _check_head(path, resize):
    """The picture, and what im2rec makes of it: its shorter side ``resize``, its longer one whatever that gives."""
    from gluon_attn.data.images import open_picture
    from gluon_attn.data.limits import check_pixels

    with open(path, "rb") as stream:
        picture = open_picture(stream, str(path), Path(path).stat().st_size)
        scale = resize / min(picture.size) if resize else 1
        check_pixels(*(round(side * scale) for side in picture.size), str(path))
        picture.verify()
