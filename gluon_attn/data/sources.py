"""Names -> data sets. A source is a function ``(split, root, **options) -> Dataset`` in a module of its own."""

from __future__ import annotations

import importlib
import inspect

import numpy as np

from gluon_attn.data.dataset import Subset, stratified_indices
from gluon_attn.errors import DataError, unknown

# name: (module, function, one line for people)
SOURCES = {
    "digits": ("digits", "digits", "scikit-learn's 1,797 handwritten digits at 32x32; embedded, needs no file"),
    "clutter": ("canvas", "clutter", "one real digit among fragments of others on 64x64, its box known; embedded"),
    "digits-canvas": ("canvas", "digits_canvas", "several real digits with their masks, for segmentation; embedded"),
    "cifar10": ("cifar", "cifar10", "CIFAR-10 from its binary archive"),
    "cifar100": ("cifar", "cifar100", "CIFAR-100 from its binary archive: 100 classes, or 20 with coarse=True"),
    "mpiifacegaze": ("gaze", "mpiifacegaze", "normalised faces with gaze angles, one person left out (person='p00')"),
    "imagenet-folder": ("imagenet", "imagenet_folder", "train/<class>/*.JPEG and val/<class>/*.JPEG"),
    "imagenet-rec": ("imagenet", "imagenet_rec", "RecordIO: train.rec, train.idx, val.rec, val.idx"),
}

SPLITS = {"train": "train", "validation": "validation", "test": "test", "val": "test"}


def list_datasets():
    """Names that :func:`get_dataset` knows."""
    return sorted(SOURCES)


def get_dataset(name, split="train", root=None, validation=0, per_class=0, **options):
    """The data set ``name``; ``root`` is its folder (or archive), where it has one.

    split: 'train', 'validation', or 'test' (= 'val'). ``validation=k`` holds k images of every class out of the
    training images, always the same ones: they are the 'validation' split, and 'train' is the rest. ``per_class=k``
    makes the task harder: only k images of every class are left of 'train', always the same ones.
    """
    if name not in SOURCES:
        raise unknown("dataset", name, SOURCES, error=DataError)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, error=DataError)
    split = SPLITS[split]
    module, function, _ = SOURCES[name]
    build = getattr(importlib.import_module(f"gluon_attn.data.{module}"), function)
    _check_options(name, build, options)
    if split == "test":
        return build(split, root, **options)
    if split == "validation" and not validation:
        raise DataError("split='validation' needs validation=k: how many training images of each class to hold out.")
    dataset = build("train", root, **options)
    if validation:
        left, drawn = _draw(dataset, "validation", validation)
        dataset = Subset(dataset, left if split == "train" else drawn)
    if per_class and split == "train":
        dataset = Subset(dataset, _draw(dataset, "per_class", per_class)[1])
    return dataset


def _draw(dataset, option, count):
    """(indices left, indices drawn): what ``option`` takes of every class."""
    if np.ndim(getattr(dataset, "labels", None)) != 1:
        raise DataError(f"The dataset {dataset.name!r} has no classes to draw from: {option}={count} is not possible.")
    return stratified_indices(dataset.labels, count)


def _check_options(name, build, options):
    known = list(inspect.signature(build).parameters)[2:]
    for option in options:
        if option not in known:
            raise unknown(f"option of dataset {name!r}:", option, [*known, "validation", "per_class"], error=DataError)
