"""What a data set is: `len`, `ds[i] -> (uint8 HWC RGB image, label)` and a few facts about it."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import numbers
import reprlib
from typing import Iterable, Optional, Sequence, Tuple

import numpy as np

from gluon_attn.data.seeding import random_state
from gluon_attn.errors import DataError

_REMEDY = ", or choose on_bad_image='skip' (--on-bad-image skip)"


class BadImage(DataError):
    """An image that cannot be decoded; `name` says which.

    remedy : what can be done beside repairing or removing it; '' where whoever reads it has no such choice

    >>> print(BadImage("cat.jpg", "it is cut"))
    Cannot read image cat.jpg: it is cut. Repair or remove it, or choose on_bad_image='skip' (--on-bad-image skip).
    """

    def __init__(self, name: str, reason: str, remedy: str = _REMEDY):
        super().__init__(name, reason, remedy)
        self.name, self.reason, self.remedy = name, reason, remedy

    def __str__(self):
        return f"Cannot read image {self.name}: {self.reason}. Repair or remove it{self.remedy}."


@contextlib.contextmanager
def without_a_choice():
    """For who cannot leave a picture out, as a Loader can: no BadImage from within names that as a remedy."""
    try:
        yield
    except BadImage as bad:
        raise BadImage(bad.name, bad.reason, remedy="") from bad


class Dataset:
    """Labelled images. Subclasses set `labels` (N,) int32 and answer `__getitem__`.

    `name`, `classes` (names), `mean` and `std` (of RGB in 0..1), `image_size` (side that networks see),
    `division` (where a folder of pictures was divided: how), `split` (what the images are to the weights that they are
    opened for, where that is known), `marks` (of each image one by what it holds, see data/seen.py, where a folder has
    to be divided).

    >>> image, label = data.get_dataset("digits", "test")[0]
    >>> image.shape, image.dtype
    ((32, 32, 3), dtype('uint8'))
    """

    name: str
    classes: list
    mean: tuple
    std: tuple
    image_size: int
    labels: np.ndarray
    division: str = ""
    split: str = ""
    marks: Optional[Sequence[str]] = None

    def __len__(self):
        return len(self.labels)

    def identity(self) -> str:
        """The same for the same images in the same order, as far as that is known without decoding them."""
        return hashlib.sha256(np.ascontiguousarray(self.labels).tobytes()).hexdigest()

    def __repr__(self):
        names = ", ".join(map(str, self.classes[:3])) + (", ..." if len(self.classes) > 3 else "")
        size = f"{self.image_size}x{self.image_size}"
        return f"<{self.name}: {len(self)} images for {size}, {len(self.classes)} classes ({names})>"

    def check_labels(self) -> None:
        """DataError where an image is of none of the classes: it would be trained on as one of none."""
        count = len(self.classes)
        wrong = np.flatnonzero(self.labels >= count)
        if wrong.size:
            raise DataError(
                f"Label {wrong[0]} of {self.name} is {self.labels[wrong[0]]}, and it has {count} classes: give whole "
                f"numbers from 0 to {count - 1}."
            )

    def __getitem__(self, index):
        """(uint8 array (H, W, 3), int label)."""
        raise NotImplementedError

    def sample(self, index):
        """As `self[index]`, except that the image may still be encoded (see `gluon_attn.data.images`)."""
        return self[index]


class ArrayDataset(Dataset):
    """Images held in memory: `images` uint8 (N, H, W, 3), `labels` (N,), each the place of its class in `classes`.

    >>> ArrayDataset("mine", np.zeros((4, 32, 32, 3), np.uint8), [0, 1, 0, 1], ["a", "b"], (0.5,) * 3, (0.25,) * 3)
    <mine: 4 images for 32x32, 2 classes (a, b)>
    """

    def __init__(
        self,
        name: str,
        images: np.ndarray,
        labels: Sequence[int],
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
    ):
        if not isinstance(classes, Iterable):
            raise DataError(f"classes={classes!r} of {name} are no names: give a list of one a class.")
        self.name, self.classes, self.mean, self.std = name, list(classes), tuple(mean), tuple(std)
        if len(images) != len(labels):
            raise DataError(f"{name} has {len(images)} images and {len(labels)} labels: give one label an image.")
        self.images, self.labels = images, _labels(labels, name)
        self.image_size = images.shape[1]

    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])


def _labels(labels, name):
    """`labels` as int32 (N,), each the place of a class."""
    found = np.asarray(labels)
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise DataError(f"The labels of {name} are {found.dtype} of shape {found.shape}: give whole numbers (N,).")
    wrong = np.flatnonzero(~((found >= 0) & (found == np.floor(found))))  # ~: NaN is neither
    if wrong.size:
        raise DataError(f"Label {wrong[0]} of {name} is {found[wrong[0]]:g}: give the places of classes, 0, 1, 2, ...")
    return found.astype(np.int32)


class Subset(Dataset):
    """The images of `dataset` at `indices`, in that order; or where `indices`, one truth value an image, is true.

    >>> len(Subset(data.get_dataset("digits", "test"), [1, 2, 3]))
    3
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int]):
        self.dataset, self.indices = dataset, _places(indices, len(dataset))
        for fact in ("name", "classes", "mean", "std", "image_size"):
            setattr(self, fact, copy.copy(getattr(dataset, fact)))
        self.division, self.split = getattr(dataset, "division", ""), getattr(dataset, "split", "")
        if getattr(dataset, "marks", None):
            self.marks = [dataset.marks[index] for index in self.indices]
        self.labels = dataset.labels[self.indices]
        if hasattr(dataset, "box"):
            self.box = self._box

    def _box(self, index):
        return self.dataset.box(self.indices[index])

    def identity(self):
        """That of the images drawn out of the others."""
        return hashlib.sha256(f"{self.dataset.identity()} {self.indices.tolist()}".encode()).hexdigest()

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]

    def sample(self, index):
        return self.dataset.sample(self.indices[index])


def _places(indices, count):
    """`indices` of `count` images as whole numbers; of a mask, where it is true."""
    found = np.asarray(indices)
    if found.dtype == bool and found.shape == (count,):
        return np.flatnonzero(found)
    found = found if found.size else np.zeros(0, int)
    whole = found.ndim == 1 and found.dtype.kind in "iu"
    if not whole or (found.size and not -count <= found.min() <= found.max() < count):
        raise DataError(
            f"{reprlib.repr(indices)} are no images of a data set of {count}: give whole numbers from 0 to {count - 1}"
            ", or one truth value for each of them."
        )
    return found


def stratified_indices(
    labels: Sequence[int],
    per_class: float,
    seed: int = 0,
    names: Optional[Sequence[str]] = None,
    marks: Optional[Sequence[str]] = None,
) -> Tuple[np.ndarray, np.ndarray]:
    """(indices left, indices drawn): `per_class` images of every class drawn at random, both sorted.

    per_class : how many; below 1 the share of each class, of which at least one image is drawn and one left
    names : of the classes, for errors
    marks : of the images (data/seen.py): they are drawn by these instead of their places, so that it does not matter
        what they are called

    The same seed gives the same split on every machine.

    >>> left, drawn = stratified_indices([0, 0, 0, 1, 1, 1], 1)
    >>> len(left), len(drawn)
    (4, 2)
    """
    if isinstance(per_class, bool) or not isinstance(per_class, numbers.Real) or not math.isfinite(per_class):
        raise DataError(f"Cannot take {per_class!r} images of each class: give a number (20), or a share (0.2).")
    labels = np.asarray(labels)
    rng = random_state(seed, stream="split")
    drawn = []
    for label in np.unique(labels[labels >= 0]):  # -1: a damaged record
        members = np.flatnonzero(labels == label)
        count = per_class
        if 0 < per_class < 1:
            count = min(max(round(per_class * len(members)), 1), len(members) - 1)
        if count != int(count) or not 0 < count < len(members):
            name = repr(names[label]) if names else label
            raise DataError(
                f"Cannot take {per_class:g} images of class {name} out of its {len(members)}: "
                + (f"choose a number from 1 to {len(members) - 1}." if len(members) > 1 else "it needs two or more.")
            )
        drawn.append(_shuffled(members, rng, seed, marks)[: int(count)])
    drawn = np.sort(np.concatenate(drawn))
    return np.setdiff1d(np.arange(len(labels)), drawn), drawn


def _shuffled(members, rng, seed, marks):
    if marks is None:
        return rng.permutation(members)
    return sorted(members, key=lambda at: hashlib.sha256(f"{seed} {marks[at]!r}".encode()).digest())
