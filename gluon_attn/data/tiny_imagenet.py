"""Tiny ImageNet (Stanford CS231n): 200 classes of ImageNet at 64x64, every object with its box.

The official layout, which this reads as it is, from the folder or out of the zip::

    wnids.txt                      the 200 WordNet ids; labels are their places once sorted
    words.txt                      id, tab, synonyms (of all of WordNet)
    train/<id>/images/*.JPEG       500 a class, and train/<id>/<id>_boxes.txt: file, x0, y0, x1, y1
    val/images/*.JPEG              50 a class, and val/val_annotations.txt: file, id, x0, y0, x1, y1
    test/images/*.JPEG             without labels: not read

The official validation images are the split 'test'. Boxes in the files include their last pixels; ours do not.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.imagenet import EncodedDataset, RecordDataset
from gluon_attn.data.images import Encoded
from gluon_attn.data.limits import read_content
from gluon_attn.errors import DataError
from gluon_attn.files import md5

NAME = "tiny-imagenet"
FOLDER = "tiny-imagenet-200"
SIZE = 64
RECORDS = {"train": "train.rec", "test": "val.rec"}
VAL_TABLE = "val/val_annotations.txt"
BOXES = "{}-boxes.npy"  # beside a .rec file: int16 (N, 4)


class TinyImageNet(EncodedDataset):
    """`box(i)` is the object's box (x0, y0, x1, y1) in pixels, the ends excluded; `ids` are the WordNet ids."""

    def __init__(self, split, tree):
        super().__init__(NAME, SIZE)
        record = DATASETS[NAME]
        self.mean, self.std, self.tree = record.mean, record.std, tree
        self.ids = sorted(" ".join(_lines(tree, "wnids.txt")).split())
        self.classes = _names(tree, self.ids)
        rows = list((_train_rows if split == "train" else _val_rows)(tree, self.ids))
        if not rows:
            raise DataError(f"{tree.where(split)} lists no images. {_remedy()}")
        self.members = [path for path, _, _ in rows]
        self.labels = np.array([label for _, label, _ in rows], np.int32)
        self.boxes = np.array([box for _, _, box in rows], np.int16) + np.array([0, 0, 1, 1], np.int16)

    @property
    def paths(self):
        """Where every image lies."""
        return [self.tree.where(member) for member in self.members]

    def sample(self, index):
        member = self.members[index]
        return Encoded(self.tree.read(member), member), int(self.labels[index])

    def box(self, index):
        return tuple(self.boxes[index].tolist())


class TinyImageNetRecords(RecordDataset):
    """The same out of `gluon-attn pack`'s files: the same images in the same order, with their boxes."""

    def __init__(self, split, root):
        path = root / RECORDS[split]
        super().__init__(path, path.with_suffix(".idx"), SIZE)
        record = DATASETS[NAME]
        self.name, self.mean, self.std = NAME, record.mean, record.std
        boxes = root / BOXES.format(path.stem)
        if not boxes.is_file():
            raise DataError(f"{boxes} is missing: `gluon-attn pack` writes it beside {path.name}.")
        self.boxes = np.load(boxes, allow_pickle=False)

    def box(self, index):
        return tuple(self.boxes[self._records.keys[index]].tolist())


def tiny_imagenet(split, root=None):
    """`root`: the official folder or zip, the folder that holds either, or what `gluon-attn pack` made of it."""
    if root is None:
        raise DataError(f"{NAME} needs its folder: give root (--data-root). {_remedy()}")
    root = Path(root).expanduser()
    if (root / RECORDS[split]).is_file():
        return TinyImageNetRecords(split, root)
    return TinyImageNet(split, _tree(root))


def official_folder(root):
    """The official folder that is `root`, or lies in it; None where neither is."""
    for folder in (Path(root), Path(root) / FOLDER):
        if (folder / "wnids.txt").is_file() and (folder / VAL_TABLE).is_file():
            return folder
    return None


def _tree(root):
    archive = DATASETS[NAME].url.rsplit("/", 1)[1]
    folder = official_folder(root)
    if folder is not None:
        return FolderTree(folder)
    for path in (root, root / archive):
        if path.is_file():
            return ZipTree(path)
    raise DataError(
        f"{NAME} is not in {root}: neither wnids.txt with {VAL_TABLE}, nor {FOLDER}, nor {archive}. {_remedy()}"
    )


def _remedy():
    record = DATASETS[NAME]
    return f"`gluon-attn data {NAME} --output DIR` fetches it from {record.url} (md5 {record.md5})."


class FolderTree:
    """The files of the official folder; paths are relative to it, with '/'."""

    def __init__(self, folder):
        self.folder = folder

    def read(self, path):
        return read_content(self.where(path))

    def where(self, path):
        return os.path.join(self.folder, path)

    def has(self, path):
        return (self.folder / path).is_file()


class ZipTree:
    """The same out of the zip, which is verified first; nothing is extracted."""

    def __init__(self, path):
        self.path, expected = path, DATASETS[NAME].md5
        found = md5(path)
        if found != expected:
            raise DataError(f"{path} is damaged or another file: its md5 is {found}, not {expected}. {_remedy()}")
        self._opened = {}

    @property
    def archive(self):
        """Opened once a process: forked loader workers would share one position in the file."""
        if os.getpid() not in self._opened:
            self._opened = {os.getpid(): zipfile.ZipFile(self.path)}
        return self._opened[os.getpid()]

    def read(self, path):
        return self.archive.read(f"{FOLDER}/{path}")

    def where(self, path):
        return f"{self.path}/{FOLDER}/{path}"

    def has(self, path):
        return f"{FOLDER}/{path}" in self.archive.NameToInfo


def _lines(tree, path):
    if not tree.has(path):
        raise DataError(f"{tree.where(path)} is missing: the data set is not whole. {_remedy()}")
    return tree.read(path).decode("utf-8").splitlines()


def _names(tree, ids):
    """The first synonym of every id."""
    words = dict(line.split("\t", 1) for line in _lines(tree, "words.txt") if "\t" in line)
    return [words[key].partition(",")[0].strip() if key in words else key for key in ids]


def _train_rows(tree, ids):
    """(path, label, box) of every training image, by class, in the order of the class's own list."""
    for label, key in enumerate(ids):
        for name, *box in _table(tree, f"train/{key}/{key}_boxes.txt", columns=5):
            yield f"train/{key}/images/{name}", label, box


def _val_rows(tree, ids):
    """(path, label, box) of every validation image."""
    label_of = {key: label for label, key in enumerate(ids)}
    for name, key, *box in _table(tree, VAL_TABLE, columns=6):
        if key not in label_of:
            raise DataError(f"{tree.where(VAL_TABLE)} has the id {key}, which is not in wnids.txt.")
        yield f"val/images/{name}", label_of[key], box


def _table(tree, path, columns):
    """The rows of a table of words and, in its last four columns, whole numbers."""
    for number, line in enumerate(_lines(tree, path), start=1):
        row = line.split()
        if len(row) != columns or not all(word.isdigit() for word in row[-4:]):
            raise DataError(f"{tree.where(path)}, line {number}: {line!r} is not a file with its box. {_remedy()}")
        yield [*row[:-4], *map(int, row[-4:])]
