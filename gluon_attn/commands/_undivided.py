"""Pictures of a folder that nobody has divided, to test weights on: those that they were not trained on."""

from __future__ import annotations

import os
import sys

from gluon_attn import data
from gluon_attn.data.seen import Seen

FOLDER = "folder"


def open_folder(split, root, options, origin):
    """The data set; where `options` do not say which pictures are tested on, the weights of `origin` do."""
    said = {"run", "whole", "validation"} & set(options)
    dataset = data.get_dataset(FOLDER, split, root=root, **options, **({} if said else _tested_on(origin)))
    if said or not _was_trained_on_one(origin) or Seen.beside(origin.path or os.devnull):
        return dataset
    # Of these weights it is known what they were trained on, but not by which picture.
    halves = [data.get_dataset(FOLDER, half, root=root, **options, **_tested_on(origin)) for half in ("train", "test")]
    if Seen(*(frozenset(half.marks) for half in halves)).digest == origin.card.notes.get("trained_on"):
        dataset.split = dataset.split or ("train" if split == "train" else "validation")
    else:
        print(
            f"gluon-attn: {root} is not the folder that these weights were trained on, or not as it was then: of the "
            f"{len(dataset)} pictures that are tested on they may have learnt from some. --dataset-options whole=true "
            "takes all pictures of another folder, and --run the pictures that a training has not seen.",
            file=sys.stderr,
        )
    return dataset


def _tested_on(origin):
    """An option of the data set `folder`."""
    if origin is None:
        return {}
    if origin.path is not None and Seen.beside(origin.path):
        return {"run": os.path.dirname(origin.path) or "."}
    if _was_trained_on_one(origin):
        share = origin.card.notes.get("validation")
        return {"validation": share} if share else {}
    elsewhere = origin.card is not None or origin.entry is not None
    return {"whole": True} if elsewhere else {}


def _was_trained_on_one(origin):
    return origin is not None and origin.card is not None and origin.card.dataset == FOLDER
