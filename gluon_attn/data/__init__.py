"""Images in, batches out: sources, transforms, the loader, and label mixing on the device.

>>> from gluon_attn import data
>>> train = data.get_dataset("digits", split="train")
>>> transform = data.train_transform(train.image_size, train.mean, train.std, crop="pad", flip=False)
>>> loader = data.Loader(train, batch_size=64, transform=transform, train=True, seed=0)
>>> for images, labels in loader.epoch(0): ...
"""

from __future__ import annotations

import importlib

from gluon_attn._compat import mxnet_explained
from gluon_attn.data.dataset import ArrayDataset, BadImage, Dataset, Subset
from gluon_attn.data.seeding import random_state
from gluon_attn.data.sources import get_dataset, list_datasets

# Resolved on first use: these need MXNet or OpenCV, and `gluon-attn --help` must wait for neither.
_LAZY = {
    "Loader": "loader",
    "NativeLoader": "native",
    "mix": "mix",
    "train_transform": "transforms",
    "eval_transform": "transforms",
}

__all__ = [
    "ArrayDataset",
    "BadImage",
    "Dataset",
    "Loader",
    "NativeLoader",
    "Subset",
    "eval_transform",
    "get_dataset",
    "list_datasets",
    "mix",
    "random_state",
    "train_transform",
]


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'gluon_attn.data' has no attribute {name!r}")
    with mxnet_explained():
        module = importlib.import_module(f"gluon_attn.data.{_LAZY[name]}")
    return module if _LAZY[name] == name else getattr(module, name)
