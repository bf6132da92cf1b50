"""Folders of pictures as people have them: one folder a class, already divided or not.

Pictures are read as `gluon-attn predict` reads a person's: turned upright by their EXIF tag, white where transparent.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from gluon_attn.data.dataset import stratified_indices
from gluon_attn.data.imagenet import EncodedDataset
from gluon_attn.data.images import ORIENTATION, Encoded, reading
from gluon_attn.data.limits import read_content
from gluon_attn.data.listing import SUFFIXES, in_words, is_hidden, pictures_in, unlisted, unread_in
from gluon_attn.data.seen import NAME, Seen, marks
from gluon_attn.errors import DataError

# What folders call their parts, in capitals or not; where there are several of a kind, the first.
TRAINING = ("train", "training")
CHOOSING = ("val", "valid", "validation")
TESTING = ("test", "testing", "eval")
PARTS = (*TRAINING, *CHOOSING, *TESTING)
SHARE = 0.2  # of each class, held out of a folder that is not divided where nobody says how much


@dataclass(frozen=True)
class Layout:
    """Which folder holds which pictures; None where there is none. `test` is `choosing` where only one of them is."""

    train: Optional[Path]
    choosing: Optional[Path]
    test: Optional[Path]

    @property
    def splits(self):
        """What the folders say by themselves; () where nothing is divided."""
        if self.test is None:
            return ()
        chosen = ("validation",) if self.choosing not in (None, self.test) else ()
        return (*(("train",) if self.train else ()), *chosen, "test")


def layout(root) -> Layout:
    """What is in `root`: parts, called by the words of `PARTS` in capitals or not, or the classes themselves."""
    root = _existing(root)
    parts = {name.lower(): root / name for name in _parts(root)}  # `train` is behind `Train`, and wins
    if not parts:
        return Layout(root, None, None)
    kinds = (TRAINING, CHOOSING, TESTING)
    train, choosing, test = (next((parts[word] for word in words if word in parts), None) for words in kinds)
    return Layout(train, choosing, test or choosing)


def _parts(root):
    """Sorted names of the folders in `root` that are parts of a set: called so, with folders of classes in them.

    A class may be called so too: beside other classes these are parts only if two have two classes in common.
    `train` in small letters is one always, with `val`, `valid`, `validation` and `test`.
    """
    names = _class_names(root)
    held = {name: set(_class_names(root / name)) for name in names if name.lower() in PARTS}
    held = {name: classes for name, classes in held.items() if classes}
    if "train" in held:
        return [name for name in held if name in ("train", *CHOOSING, "test") or held[name] & held["train"]]
    alone = PARTS if any(name.lower() in TRAINING for name in held) else (*CHOOSING, *TESTING)
    if all(name.lower() in alone for name in names):
        return list(held)
    return [a for a in held if any(len(held[a] & held[b]) > 1 for b in held if b != a)]


def folder(split, root=None, image_size=224, validation=0, names=None, run=None, whole=False):
    """`root/<class>/*`, or `root/train/<class>/*` with `val`, `valid`, `validation` or `test` beside it (see `PARTS`).

    names : the classes in the order of a network's outputs; by default the folders' in alphabetical order

    What is tested on, of a folder that is not divided, is by default a fifth of each class, or as `validation` says (a
    share, or how many): the same pictures wherever they lie and whatever they are called. Or it is

    run : every picture that the training in this folder has not learnt from, those that came later among them
    whole : every picture, for a network that was trained elsewhere
    """
    found = layout(root)
    run = str(run) if run is not None else ""  # a folder may be called 7
    if bool(run) + bool(whole) + bool(validation) > 1:
        raise DataError("run=, whole=true and validation= are three ways to say what is tested on: give one of them.")
    if found.splits:
        if run or whole:
            raise DataError(f"{root} is divided by its folders: run= and whole=true are for one that is not.")
        return _divided(found, split, image_size, names)
    classes = names or _several(found.train)
    _refuse_strange(found.train, classes, "the network")
    pictures = PictureFolder(found.train, classes, image_size)
    if whole:
        return _whole(pictures, split, found.train)
    pictures.marks = marks(pictures.paths)
    if run:
        return _of_run(pictures, split, found.train, run)
    share = validation or SHARE
    left, drawn = stratified_indices(pictures.labels, share, names=pictures.classes, marks=pictures.marks)
    kept = _without_copies(pictures, left, drawn)
    part = pictures.at(kept if split == "train" else drawn)
    part.division = (
        f"{found.train} is not divided: of its {len(pictures)} pictures {len(drawn)} are held out "
        f"({share:g} of each class, always the same)"
    )
    if len(kept) < len(left):
        part.division += f", and {len(left) - len(kept)} that are the same as one of these are left out"
    return part


def _without_copies(pictures, left, drawn):
    """Those of `left` that no drawn picture is the same as: they would be learnt by another name. All of them where
    a class has no others.
    """
    held_out = {pictures.marks[at] for at in drawn}
    kept = np.array([at for at in left if pictures.marks[at] not in held_out], int)
    return kept if set(pictures.labels[kept]) == set(pictures.labels[left]) else left


def _whole(pictures, split, root):
    if split == "train":
        raise DataError(f"whole=true makes test pictures of all in {root}: there are none to train on.")
    pictures.division = f"{root} is not divided: all of its {len(pictures)} pictures are tested on"
    return pictures


def _of_run(pictures, split, root, run):
    seen = Seen.beside(run)
    if seen is None:
        raise DataError(f"{run} does not say which pictures it was trained on: it has no {NAME}.")
    unseen = seen.unseen(pictures.marks)
    chosen = sum(pictures.marks[at] in seen.chosen_on for at in unseen)
    learnt = len(pictures) - len(unseen)
    part = pictures.at(np.setdiff1d(np.arange(len(pictures)), unseen) if split == "train" else np.array(unseen, int))
    if not len(part):
        raise DataError(
            f"{run} was trained on all of the {len(pictures)} pictures in {root}: give others to test it on."
            if learnt
            else f"{run} was trained on none of the {len(pictures)} pictures in {root}."
        )
    part.split = "train" if split == "train" else "validation" if chosen == len(unseen) else "test"
    part.division = f"{root} is not divided: of its {len(pictures)} pictures {learnt} were trained on"
    if chosen:
        part.division += f", and {chosen} of the others chose the best epoch"
    return part


def _divided(found, split, image_size, names):
    where = {"train": found.train, "validation": found.choosing, "test": found.test}[split]
    if where is None:
        raise DataError(f"There is no folder `train` beside {found.test}: only its test pictures can be used.")
    classes = names or _several(found.train or found.test)
    _refuse_strange(where, classes, "the network" if names or not found.train else found.train)
    part = PictureFolder(where, classes, image_size)
    part.division = division(found)
    return part


def division(found: Layout, validation: float = 0) -> str:
    """How pictures that lie in `found` are divided, in words; `validation` as in `get_dataset`."""
    said = ", ".join(f"{name}: {path}" for name, path in vars(found).items() if path and name != "choosing")
    own = found.choosing not in (None, found.test)
    if not validation:
        return said + (f", chosen on: {found.choosing}" if own else "")
    said += f", chosen on: {validation:g} of each class of train"
    return said + (f"; {found.choosing} is not used (--validation 0 chooses on it)" if own else "")


def _refuse_strange(where, classes, having):
    """Pictures of no class would not be missed, and the accuracy be that of the others; `having` has the classes."""
    strange = sorted(set(_whole_classes(where)) - set(classes))
    if strange:
        raise DataError(
            f"{where} has folders for which there is no class: {', '.join(strange[:5])}. The classes are "
            f"{', '.join(classes[:10])}{', ...' * (len(classes) > 10)}, as {having} has them."
        )


class PictureFolder(EncodedDataset):
    """`folder/<class>/**/<picture>`; class i is the i-th of `classes`. Hidden files are passed over."""

    def __init__(self, folder, classes, image_size=224):
        super().__init__("folder", image_size)
        self.root, self.classes, self.paths, labels = Path(folder), list(classes), [], []
        for label, name in enumerate(self.classes):
            files = pictures_in(Path(folder) / name)
            self.paths += files
            labels += [label] * len(files)
        self.labels = np.array(labels, np.int32)
        if not self.paths:
            raise DataError(f"No picture in {folder}/<class>/: their names must end in {', '.join(SUFFIXES)}.")

    def sample(self, index):
        path = self.paths[index]
        picture = Encoded(read_content(path), path)
        # What needs neither turning nor a ground stays encoded: then no more is decoded than is needed.
        return (picture.seen() if _needs_care(picture) else picture), int(self.labels[index])

    def at(self, indices):
        """The pictures at `indices` as a data set."""
        part = object.__new__(PictureFolder)
        part.__dict__.update(self.__dict__)
        part.paths, part.labels = [self.paths[index] for index in indices], self.labels[indices]
        part.marks = self.marks and [self.marks[index] for index in indices]
        return part

    def identity(self):
        """By what the pictures hold, where that is known, else by their names."""
        known = self.marks or [os.path.relpath(path, self.root) for path in self.paths]
        return hashlib.sha256("\n".join(map(repr, zip(known, self.labels.tolist()))).encode()).hexdigest()


def _needs_care(picture):
    if picture.jpeg is not None and not picture.jpeg.may_be_turned:
        return False  # found out six times as fast as by Pillow
    with reading(picture.name):
        head = picture.open()
        transparent = head.mode in ("RGBA", "LA", "PA") or "transparency" in head.info
        return transparent or head.getexif().get(ORIENTATION, 1) != 1


def _several(where):
    names = _whole_classes(where)
    if len(names) < 2:
        raise DataError(
            f"{where} has {len(names)} folder{'s' * (len(names) != 1)} with pictures: a network needs two classes or "
            f"more, each a folder of pictures in it{f' (there is {names[0]!r})' if names else ''}."
        )
    return names


def _class_names(where):
    """Names of the folders in `where` that hold a picture, hidden ones and Apple's leftovers passed over."""
    return [name for name in _folders(where) if pictures_in(where / name, most=1)]


def _folders(where):
    if not where.is_dir():
        return []
    try:
        names = sorted(entry.name for entry in os.scandir(where) if entry.is_dir())
    except OSError as problem:
        raise unlisted(where, problem) from None
    return [name for name in names if name[0] != "_" and not is_hidden(name)]


def _whole_classes(where):
    """`_class_names`, where no class is missing from them: one of photographs that are not read would be missed by
    nobody, and the accuracy be that of the others.
    """
    names = _class_names(where)
    for name in sorted(set(_folders(where)) - set(names)):
        unread = unread_in(where / name)
        if unread:
            raise DataError(f"{where / name} has nothing but {in_words(unread)}, or remove the folder.")
    return names


def _existing(root):
    if root is None:
        raise DataError("Which folder? Give root (--data-root), one with <class>/* or train/<class>/* in it.")
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is no folder: give one with <class>/* or train/<class>/* in it.")
    return root
