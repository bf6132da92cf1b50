"""ImageNet-like sets: a folder of classes, or a RecordIO file. Images stay encoded until a transform needs them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.dataset import BadImage, Dataset
from gluon_attn.data.images import Encoded, pixels
from gluon_attn.data.limits import read_content
from gluon_attn.data.listing import SUFFIXES, pictures_in
from gluon_attn.data.records import Records
from gluon_attn.errors import DataError
from gluon_attn.files import read_text, sha256

FOLDERS = {"train": "train", "test": "val"}
CLASSES_FILE = "classes.txt"  # beside a .rec file: the names of its classes, one a line, in the order of the labels


class EncodedDataset(Dataset):
    """Pictures in files: subclasses answer `sample`."""

    def __init__(self, name, image_size):
        self.name, self.image_size = name, image_size
        self.mean, self.std = DATASETS[name].mean, DATASETS[name].std

    def __getitem__(self, index):
        image, label = self.sample(index)
        return pixels(image), label


class FolderDataset(EncodedDataset):
    """`folder/<class>/**/<image>`; class i is the i-th of `classes`."""

    def __init__(self, folder, classes, image_size=224):
        super().__init__("imagenet-folder", image_size)
        self.classes = list(classes)
        self.paths, labels = [], []
        for label, name in enumerate(classes):
            files = pictures_in(folder / name)
            self.paths += files
            labels += [label] * len(files)
        self.labels = np.array(labels, np.int32)
        if not self.paths:
            raise DataError(f"No image in {folder}/<class>/: its files must end in {', '.join(SUFFIXES)}.")

    def sample(self, index):
        path = self.paths[index]
        return Encoded(read_content(path), path), int(self.labels[index])


class RecordDataset(EncodedDataset):
    """A `.rec` file with its `.idx`, as MXNet's im2rec (`gluon-attn pack`) writes them."""

    def __init__(self, record, index, image_size=224):
        super().__init__("imagenet-rec", image_size)
        self.record, self.index = Path(record), Path(index)
        for path in (self.record, self.index):
            if not path.is_file():
                raise DataError(
                    f"{path} is missing: a RecordIO set is a .rec file and its .idx, which `gluon-attn pack` makes "
                    "from a folder of images."
                )
        named = _class_names(self.record.parent / CLASSES_FILE)
        self._records, self._labels = Records(self.record, self.index, len(named)), None
        self.classes = named or self._numbered_classes()

    def __len__(self):
        return len(self._records)

    @property
    def labels(self):
        """From the head of every record; read when first asked for. -1 where there is none: `sample` says why."""
        if self._labels is None:
            self._labels = np.array([self._label(number) for number in range(len(self))], np.int32)
        return self._labels

    def identity(self):
        """By its index, and how long it is: the labels of a large one take minutes to read."""
        return f"{sha256(self.index)} {self.record.stat().st_size}"

    def check_labels(self):
        """Each is compared with the number of names where it is read."""

    def _label(self, number):
        try:
            return self._records.label(number)
        except BadImage:
            return -1

    def sample(self, index):
        label, content = self._records[index]
        return Encoded(content, self._records.name(index)), label

    def _numbered_classes(self):
        count = int(self.labels.max()) + 1
        if not count:
            self._records.label(0)  # says what is wrong with it
        return [str(label) for label in range(count)]


def imagenet_folder(split, root=None, image_size=224):
    """`root/train/<class>/*.JPEG` and `root/val/<class>/*.JPEG`; classes in alphabetical order."""
    root = _existing(root, "imagenet-folder", "train/<class>/*.JPEG and val/<class>/*.JPEG")
    folder = root / FOLDERS[split]
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: imagenet-folder needs {FOLDERS[split]}/<class>/*.JPEG in {root}.")
    found = _classes_in(folder)
    if not found:
        raise DataError(f"{folder} has no folders: sort its images into one folder a class.")
    classes = _classes_in(root / "train") if (root / "train").is_dir() else found
    strange = sorted(set(found) - set(classes))
    if strange:
        raise DataError(
            f"{folder} has {len(strange)} class(es) that {root / 'train'} has not: {', '.join(strange[:5])}. "
            "Both need the same folder names."
        )
    return FolderDataset(folder, classes, image_size)


def imagenet_rec(split, root=None, image_size=224, rec_train=None, rec_train_idx=None, rec_val=None, rec_val_idx=None):
    """`root/train.rec`, `train.idx`, `val.rec`, `val.idx`; or the four files by name."""
    record, index = (rec_train, rec_train_idx) if split == "train" else (rec_val, rec_val_idx)
    if record is None:
        root = _existing(root, "imagenet-rec", "train.rec, train.idx, val.rec and val.idx")
        record = root / f"{FOLDERS[split]}.rec"
    record = Path(record).expanduser()
    return RecordDataset(record, Path(index).expanduser() if index else record.with_suffix(".idx"), image_size)


def _existing(root, name, content):
    if root is None:
        raise DataError(f"{name} needs its folder: give root (--data-root), a folder with {content}.")
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is no folder: {name} needs one with {content}.")
    return root


def _class_names(file):
    """The lines of a file that may be written by hand: its last one may lack its end, or blank ones follow it."""
    text = read_text(file, "the names of its classes, one a line").rstrip("\n") if file.is_file() else ""
    return text.split("\n") if text else []


def _classes_in(folder):
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
