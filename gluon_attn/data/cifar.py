"""CIFAR-10 and CIFAR-100 from their *binary* archives: nothing is unpickled.

A record is one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes of pixels, planes red, green, blue.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.dataset import ArrayDataset
from gluon_attn.errors import DataError
from gluon_attn.files import md5

SIZE = 32


@dataclass(frozen=True)
class Archive:
    """Which files an archive has: `files` = {split: ((file, records), ...)}; where it comes from, its record says."""

    name: str
    folder: str
    label_bytes: int
    files: dict

    @property
    def filename(self):
        return DATASETS[self.name].url.rsplit("/", 1)[1]

    @property
    def md5(self):
        return DATASETS[self.name].md5

    @property
    def record(self):
        return self.label_bytes + 3 * SIZE * SIZE

    def source(self):
        return f"{self.filename} from {DATASETS[self.name].url} (md5 {self.md5})"


CIFAR10 = Archive(
    name="cifar10",
    folder="cifar-10-batches-bin",
    label_bytes=1,
    files={
        "train": tuple((f"data_batch_{number}.bin", 10000) for number in range(1, 6)),
        "test": (("test_batch.bin", 10000),),
    },
)
CIFAR100 = Archive(
    name="cifar100",
    folder="cifar-100-binary",
    label_bytes=2,
    files={"train": (("train.bin", 50000),), "test": (("test.bin", 10000),)},
)


def cifar10(split, root=None):
    """CIFAR-10. `root`: the archive, its extracted folder, or the folder that holds either."""
    return _dataset(CIFAR10, DATASETS["cifar10"], split, root, label=0)


def cifar100(split, root=None, coarse=False):
    """CIFAR-100 with its 100 fine classes, or its 20 super-classes with `coarse=True`."""
    facts = DATASETS["cifar100-coarse" if coarse else "cifar100"]
    return _dataset(CIFAR100, facts, split, root, label=0 if coarse else 1)


def _dataset(archive, facts, split, root, label):
    labels, images = _load(archive, split, root)
    return ArrayDataset(facts.name, images, labels[:, label], facts.class_names, facts.mean, facts.std)


def _load(archive, split, root):
    """(labels (N, label_bytes), images (N, 32, 32, 3))."""
    read = _reader(archive, root)
    parts = []
    for filename, records in archive.files[split]:
        content = read(filename)
        expected = records * archive.record
        if len(content) != expected:
            raise DataError(
                f"{filename} of {archive.name} is damaged: {len(content)} bytes instead of {expected} "
                f"({records} records of {archive.record}). Extract it again, or fetch {archive.source()}."
            )
        parts.append(np.frombuffer(content, np.uint8).reshape(records, archive.record))
    records = np.concatenate(parts)
    planes = records[:, archive.label_bytes :].reshape(-1, 3, SIZE, SIZE)
    return records[:, : archive.label_bytes], np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _reader(archive, root):
    """A function from a file's name to its content, out of a folder or out of the archive itself."""
    if root is None:
        raise DataError(f"{archive.name} needs its folder: give root (--data-root), with {archive.source()} in it.")
    root = Path(root).expanduser()
    if root.is_file():
        return _archive_reader(archive, root)
    first = archive.files["test"][0][0]
    for folder in (root, root / archive.folder):
        if (folder / first).is_file():
            return _folder_reader(archive, folder)
    if (root / archive.filename).is_file():
        return _archive_reader(archive, root / archive.filename)
    raise DataError(
        f"{archive.name} is not in {root}: neither {first}, nor {archive.folder}/{first}, nor {archive.filename}. "
        f"Put there {archive.source()}."
    )


def _folder_reader(archive, folder):
    def read(filename):
        path = folder / filename
        if not path.is_file():
            raise DataError(f"{filename} of {archive.name} is missing in {folder}. It is part of {archive.source()}.")
        return path.read_bytes()

    return read


def _archive_reader(archive, path):
    found = md5(path)
    if found != archive.md5:
        raise DataError(f"{path} is damaged or another file: its md5 is {found}. Fetch {archive.source()}.")
    files = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile():
                files[Path(member.name).name] = tar.extractfile(member).read()

    def read(filename):
        if filename not in files:
            raise DataError(f"{filename} is missing in {path}. Fetch {archive.source()}.")
        return files[filename]

    return read
