"""ImageNet-like sets: a folder of classes, or a RecordIO file. Images stay encoded until a transform needs them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.dataset import Dataset
from gluon_attn.data.images import Encoded, pixels
from gluon_attn.data.limits import read_content
from gluon_attn.errors import DataError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
FOLDERS = {"train": "train", "test": "val"}
CLASSES_FILE = "classes.txt"  # beside a .rec file: the names of its classes, one a line, in the order of the labels


class EncodedDataset(Dataset):
    """Pictures in files: subclasses answer ``sample``."""

    def __init__(self, name, image_size):
        self.name, self.image_size = name, image_size
        self.mean, self.std = DATASETS[name].mean, DATASETS[name].std

    def __getitem__(self, index):
        image, label = self.sample(index)
        return pixels(image), label


class FolderDataset(EncodedDataset):
    """``folder/<class>/<image>``; class i is the i-th of ``classes``."""

    def __init__(self, folder, classes, image_size=224):
        super().__init__("imagenet-folder", image_size)
        self.classes = list(classes)
        self.paths, labels = [], []
        for label, name in enumerate(classes):
            files = _images_in(folder / name) if (folder / name).is_dir() else []
            self.paths += files
            labels += [label] * len(files)
        self.labels = np.array(labels, np.int32)
        if not self.paths:
            raise DataError(f"No image in {folder}/<class>/: its files must end in {', '.join(SUFFIXES)}.")

    def sample(self, index):
        path = self.paths[index]
        return Encoded(read_content(path), path), int(self.labels[index])


class RecordDataset(EncodedDataset):
    """A ``.rec`` file with its ``.idx``, as MXNet's im2rec (``gluon-attn pack``) writes them."""

    def __init__(self, record, index, image_size=224):
        from mxnet.recordio import MXIndexedRecordIO

        super().__init__("imagenet-rec", image_size)
        self.record, self.index = Path(record), Path(index)
        for path in (self.record, self.index):
            if not path.is_file():
                raise DataError(
                    f"{path} is missing: a RecordIO set is a .rec file and its .idx, which `gluon-attn pack` makes "
                    "from a folder of images."
                )
        self._reader = MXIndexedRecordIO(str(self.index), str(self.record), "r")
        self._labels = None
        names = self.record.parent / CLASSES_FILE
        self.classes = (
            names.read_text(encoding="utf-8").split("\n")[:-1] if names.is_file() else self._numbered_classes()
        )

    def __len__(self):
        return len(self._reader.keys)

    @property
    def labels(self):
        """From the head of every record; read when first asked for."""
        if self._labels is None:
            with open(self.record, "rb") as file:
                self._labels = np.array([_label_at(file, self._reader.idx[key]) for key in self._reader.keys], np.int32)
        return self._labels

    def sample(self, index):
        from mxnet.recordio import unpack

        key = self._reader.keys[index]
        header, content = unpack(self._reader.read_idx(key))
        label = int(np.ravel(header.label)[0])
        return Encoded(content, f"{self.record}, record {key}"), label

    def _numbered_classes(self):
        return [str(label) for label in range(int(self.labels.max()) + 1)]


def imagenet_folder(split, root=None, image_size=224):
    """``root/train/<class>/*.JPEG`` and ``root/val/<class>/*.JPEG``; classes in alphabetical order."""
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
    """``root/train.rec``, ``train.idx``, ``val.rec``, ``val.idx``; or the four files by name."""
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


def _classes_in(folder):
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _images_in(folder):
    return sorted(entry.path for entry in os.scandir(folder) if entry.name.lower().endswith(SUFFIXES))


def _label_at(file, position):
    """The first label of the record at ``position``: RecordIO's 8 bytes (magic, length), then flag, label, two ids.

    ``flag`` is 0, or how many labels follow the head.
    """
    file.seek(position + 8)
    flag, label = struct.unpack("<If", file.read(8))
    if flag:
        file.seek(16, os.SEEK_CUR)
        (label,) = struct.unpack("<f", file.read(4))
    return label
