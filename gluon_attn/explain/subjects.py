"""The pictures that are explained, from files or from a data set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from gluon_attn.data.dataset import BadImage, without_a_choice
from gluon_attn.data.images import read_picture
from gluon_attn.data.resize import box_in_centre
from gluon_attn.errors import GluonAttnError


@dataclass(frozen=True)
class Subject:
    """One picture, read when it is needed, and its class number and box (x0, y0, x1, y1) where they are known.

    The box is in the picture's own pixels; `box_seen` has it in those of a network's input.
    """

    name: str
    read: Callable[[], np.ndarray]
    label: Optional[int] = None
    box: Optional[tuple] = None

    @property
    def image(self):
        """uint8 (H, W, 3)."""
        return self.read()

    def box_seen(self, card):
        """The box in what the network of that card sees; None where there is none, or the centre has nothing of it."""
        return self.box and box_in_centre(self.box, self.image.shape, card.resize, card.input_size)


def from_files(paths, names, on_bad=None):
    """The picture files; a folder that is called like a class says that its pictures are of that class.

    on_bad : called with the `BadImage` of a file that cannot be read, which is then left out; all are read for that
    """
    numbers = {name: number for number, name in enumerate(names)}
    subjects = []
    for path in map(Path, paths):
        # As in its absolute path, without a link being followed: inside a folder, `.` and `0.png` are of its class.
        folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
        subject = Subject(f"{folder}/{path.name}", partial(read_picture, path), numbers.get(folder))
        if on_bad is None or _readable(subject, on_bad):
            subjects.append(subject)
    return subjects


def _readable(subject, on_bad):
    try:
        return subject.image is not None
    except BadImage as bad:
        on_bad(bad)
        return False


def from_dataset(dataset, indices):
    """Images of a data set, by number."""
    subjects = []
    for index in indices:
        if not 0 <= index < len(dataset):
            raise GluonAttnError(f"{dataset.name} has no image {index}: choose 0 to {len(dataset) - 1}.")
        box = tuple(map(int, dataset.box(index))) if hasattr(dataset, "box") else None
        label = int(dataset.labels[index])
        subjects.append(Subject(f"{dataset.name} {index}", partial(_image, dataset, index), label, box))
    return subjects


def of_each_class(labels, count):
    """Indices of `count` images, at most one of a class before there is one of each: a set that is sorted by class
    shows all of them, too. With fewer images than classes the classes are spread evenly.

    >>> of_each_class([0, 0, 0, 1, 1, 2], 4)
    [0, 3, 5, 1]
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        return list(range(min(count, len(labels))))
    members = [np.flatnonzero(labels == label) for label in np.unique(labels[labels >= 0])]
    if count < len(members):
        members = [members[i] for i in np.linspace(0, len(members) - 1, count).round().astype(int)]
    rounds = range(max(map(len, members), default=0))
    return [int(of[i]) for i in rounds for of in members if i < len(of)][:count]


def _image(dataset, index):
    with without_a_choice():
        return dataset[index][0]
