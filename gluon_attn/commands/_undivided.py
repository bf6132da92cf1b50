"""Pictures to test weights on that were trained on a folder which nobody had divided: those that are new to them."""

from __future__ import annotations

import os
import sys

from gluon_attn import data
from gluon_attn.data.seen import Seen, marks

FOLDER = "folder"


def open_folder(split, root, options, origin, share=0):
    """The data set; where `options` do not say which pictures are tested on, the weights of `origin` do.

    share : what their training held out, where the recipe of the run is known
    """
    said = {"run", "whole", "validation"} & set(options)
    chosen = {} if said else _tested_on(origin, share)
    if split == "train":  # of all there are none to train on
        chosen.pop("whole", None)
    how = dict(options, root=root, **chosen)
    if "run" in chosen:  # which knows the ones that are left
        how.pop("per_class", None)
    dataset = data.get_dataset(FOLDER, split, **how)
    if said or "run" in how or not _was_trained_on_one(origin):
        return dataset
    # It is known how many pictures of each class they were not trained on, but not which.
    known = origin.card.notes.get("trained_on")
    trained_on = dataset if split == "train" else data.get_dataset(FOLDER, "train", **how)
    if Seen(frozenset(trained_on.marks), frozenset()).digest == known:
        dataset.split = dataset.split or ("train" if split == "train" else "validation")
        return dataset
    why = "other pictures may have been held out then" if known is None else "this is not that folder as it was then"
    print(
        f"gluon-attn: These weights were trained on a folder of pictures, and {why}: of the {len(dataset)} in {root} "
        "that are tested on they may have learnt from some. --dataset-options whole=true takes all of another folder.",
        file=sys.stderr,
    )
    return dataset


def warn_of_learnt(dataset, origin):
    """Where the options, or somebody who has divided the folder since, say what is tested on."""
    seen = Seen.beside(origin.path) if origin is not None and origin.path is not None else None
    if seen is None:
        return
    learnt = len(dataset) - len(seen.unseen(dataset.marks or marks(dataset.paths)))
    if learnt:
        print(
            f"gluon-attn: These weights have learnt from {learnt} of the {len(dataset)} pictures that are tested on: "
            f"the figure is too good. On the folder as it was, --run {os.path.dirname(origin.path) or '.'} without "
            "--dataset-options takes only pictures that are new to them.",
            file=sys.stderr,
        )


def _tested_on(origin, share):
    """An option of the data set `folder`."""
    held_out = {"validation": share} if share else {}
    if origin is None:
        return held_out
    if origin.path is not None and Seen.beside(origin.path):
        return {"run": os.path.dirname(origin.path) or "."}
    if _was_trained_on_one(origin):
        share = origin.card.notes.get("validation")
        return {"validation": share} if share else held_out
    elsewhere = origin.card is not None or origin.entry is not None
    return {"whole": True} if elsewhere else held_out


def _was_trained_on_one(origin):
    return origin is not None and origin.card is not None and origin.card.dataset == FOLDER
