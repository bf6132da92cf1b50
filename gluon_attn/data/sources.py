"""Names -> data sets. Their records are in catalogue/datasets.py; a source is `(split, root, **options) -> Dataset`."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

import numpy as np

from gluon_attn.catalogue import datasets
from gluon_attn.data.dataset import Subset, stratified_indices
from gluon_attn.errors import DataError, unknown
from gluon_attn.files import AnyPath

if TYPE_CHECKING:
    from gluon_attn.data.dataset import Dataset

SPLITS = {"train": "train", "validation": "validation", "test": "test", "val": "test"}


def list_datasets() -> List[str]:
    """Names that `get_dataset` knows.

    >>> "digits" in list_datasets()
    True
    """
    return datasets.openable()


def get_dataset(
    name: str,
    split: str = "train",
    root: Optional[AnyPath] = None,
    validation: float = 0,
    per_class: int = 0,
    **options: Any,
) -> Dataset:
    """The data set `name`; `root` is its folder (or archive), where it has one.

    split: 'train', 'validation', or 'test' (= 'val'). `validation=k` holds k images (or, below 1, that share) of
    every class out of the training images, always the same ones: they are the 'validation' split, and 'train' is the
    rest. Of a 'folder' that is not divided they are the 'test' split as well (see `own_splits`). `per_class=k`
    makes the task harder: only k images of every class are left of 'train', always the same ones.

    >>> get_dataset("digits", "test")
    <digits: 400 images for 32x32, 10 classes (0, 1, 2, ...)>
    """
    record = datasets.find(name)
    if record.embedded and root is not None:
        raise DataError(f"The dataset {name!r} is embedded and has no folder: leave out root={str(root)!r}.")
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, error=DataError)
    split = SPLITS[split]
    module, _, function = record.source.partition(":")
    build = getattr(importlib.import_module(f"gluon_attn.data.{module}"), function)
    options = {**record.options, **options}
    _check_options(name, build, options)
    own = own_splits(name, root)
    if not own:
        dataset = build("train" if split == "train" else "test", root, validation=validation, **options)
        return _fewer(dataset, split, per_class)
    if split == "test" or (split in own and split == "validation" and not validation):
        return build(split, root, **options)
    if split == "validation" and not validation:
        raise DataError("split='validation' needs validation=k: how many training images of each class to hold out.")
    dataset = build("train", root, **options)
    if validation:
        left, drawn = _draw(dataset, "validation", validation)
        dataset = Subset(dataset, left if split == "train" else drawn)
        if dataset.division:
            dataset.division = _held_out(root, validation)
    return _fewer(dataset, split, per_class)


def own_splits(name: str, root: Optional[AnyPath]) -> Tuple[str, ...]:
    """The splits that are there without holding anything out: () of a folder of classes that nobody has divided.

    >>> own_splits("cifar10", None)
    ('train', 'test')
    """
    if name != "folder" or root is None:
        return ("train", "test")
    from gluon_attn.data.folder import layout

    return layout(root).splits


def _held_out(root, validation):
    from gluon_attn.data.folder import division, layout

    return division(layout(root), validation)


def _fewer(dataset, split, per_class):
    if per_class and split == "train":
        return Subset(dataset, _draw(dataset, "per_class", per_class)[1])
    return dataset


def _draw(dataset, option, count):
    """(indices left, indices drawn): what `option` takes of every class."""
    if np.ndim(getattr(dataset, "labels", None)) != 1:
        raise DataError(f"The dataset {dataset.name!r} has no classes to draw from: {option}={count} is not possible.")
    return stratified_indices(dataset.labels, count)


def _check_options(name, build, options):
    known = list(inspect.signature(build).parameters)[2:]
    for option in options:
        if option not in known:
            raise unknown(f"option of dataset {name!r}:", option, [*known, "validation", "per_class"], error=DataError)
