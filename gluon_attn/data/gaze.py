"""The normalised MPIIFaceGaze files (Zhang et al., arXiv 1611.08860): 448x448 faces and where they look.

One MATLAB v7.3 file (HDF5) a person, p00.mat to p14.mat, 3,000 faces each: `Data/data` and `Data/label`. A label
has 16 numbers: gaze (pitch, yaw) and head pose (pitch, yaw) in radians, then twelve landmark coordinates.

The authors say that a face, as MATLAB reads it, must have its channels swapped [3 2 1], be flipped horizontally and
turned by 90 degrees. Flip and turn together are a transposition, and HDF5 keeps MATLAB's axes in reverse order: so
`Data/data` read here is already upright, (N, 3, H, W), and only its channels are reversed (blue first).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data.dataset import BadImage, Dataset
from gluon_attn.errors import DataError, unknown

PEOPLE = tuple(f"p{number:02}" for number in range(15))
SOURCE = "the normalised data of https://www.perceptualui.org/research/datasets/MPIIFaceGaze/ (p00.mat to p14.mat)"


class GazeDataset(Dataset):
    """`ds[i]` is (uint8 (448, 448, 3) RGB face, float32 (pitch, yaw) in radians). `labels` is (N, 2).

    `head_poses` (N, 2) likewise; `people` says which persons, `person_of` (N,) whose face is which.
    """

    mean, std = DATASETS["mpiifacegaze"].mean, DATASETS["mpiifacegaze"].std
    classes = ("pitch", "yaw")

    def __init__(self, folder, people):
        self.name, self.people = "mpiifacegaze", tuple(people)
        self._files = _OpenFiles({person: Path(folder) / f"{person}.mat" for person in people})
        labels = [self._files.labels(person) for person in people]
        self.labels, self.head_poses = (
            np.concatenate([part[:, columns] for part in labels]).astype(np.float32)
            for columns in (slice(0, 2), slice(2, 4))
        )
        self.person_of = np.repeat(people, [len(part) for part in labels])
        self._first = np.concatenate([[0], np.cumsum([len(part) for part in labels])])
        self.image_size = self._files.side(people[0])

    def __getitem__(self, index):
        index = range(len(self))[index]
        person = int(np.searchsorted(self._first, index, side="right")) - 1
        planes = self._files.image(self.people[person], index - self._first[person])
        return np.ascontiguousarray(planes[::-1].transpose(1, 2, 0)), self.labels[index]


def mpiifacegaze(split, root=None, person="p00"):
    """Leave one person out: 'test' is `person`'s faces, 'train' everybody else's that `root` holds."""
    if person not in PEOPLE:
        raise unknown("person", person, PEOPLE, error=DataError)
    present = people_in(root)
    if person not in present:
        raise DataError(f"{person}.mat is missing in {root}: fetch {SOURCE}.")
    people = [person] if split == "test" else [other for other in present if other != person]
    if not people:
        raise DataError(f"{root} holds {person}.mat alone: leaving one person out needs at least one more.")
    return GazeDataset(Path(root).expanduser(), people)


def leave_one_person_out(root):
    """Yield (person, training set, test set) for every person whose file is in `root`."""
    for person in people_in(root):
        yield person, mpiifacegaze("train", root, person), mpiifacegaze("test", root, person)


def people_in(root):
    """The persons whose files `root` holds."""
    if root is None:
        raise DataError(f"mpiifacegaze needs its folder: give root (--data-root), with {SOURCE}.")
    folder = Path(root).expanduser()
    found = [person for person in PEOPLE if (folder / f"{person}.mat").is_file()]
    if not found:
        raise DataError(f"{folder} holds none of p00.mat to p14.mat: fetch {SOURCE}.")
    return found


class _OpenFiles:
    """The people's HDF5 files, opened when needed and again in every process: HDF5 does not survive a fork."""

    def __init__(self, paths):
        self.paths, self._open, self._process = paths, {}, None

    def labels(self, person):
        labels, images = self._read(person, "Data/label"), self._read(person, "Data/data")
        if labels.ndim != 2 or labels.shape[1] < 4 or images.ndim != 4 or images.shape[1] != 3:
            raise DataError(
                f"{self.paths[person]} is no normalised MPIIFaceGaze file: Data/data is {images.shape} instead of "
                f"(N, 3, H, W), or Data/label {labels.shape} instead of (N, 16)."
            )
        if len(labels) != len(images):
            raise DataError(f"{self.paths[person]} is damaged: {len(images)} faces but {len(labels)} labels.")
        first = images[:1]
        if (first <= 1).all() and (first % 1).any():  # not one that is black
            raise DataError(f"{self.paths[person]} has faces of values up to {first.max()}, not up to 255.")
        found = labels[()]
        if not np.isfinite(found).all():
            raise DataError(f"{self.paths[person]} is damaged: it has labels that are no finite numbers.")
        return found

    def image(self, person, number):
        """(3, H, W) uint8, blue first."""
        try:
            return self._read(person, "Data/data")[number].astype(np.uint8)
        except OSError as error:
            raise BadImage(f"{self.paths[person]}, face {number}", str(error)) from error

    def side(self, person):
        return self._read(person, "Data/data").shape[-1]

    def _read(self, person, key):
        if self._process != os.getpid():
            self._open, self._process = {}, os.getpid()
        if person not in self._open:
            self._open[person] = _open_hdf5(self.paths[person])
        file = self._open[person]
        if key not in file:
            raise DataError(f"{self.paths[person]} has no {key}: it is no normalised MPIIFaceGaze file.")
        return file[key]


def _open_hdf5(path):
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            "Reading MPIIFaceGaze needs h5py: pip install 'gluon-attn[gaze]', or pip install h5py."
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} is no readable HDF5 file ({error}): fetch {SOURCE} again.") from error
