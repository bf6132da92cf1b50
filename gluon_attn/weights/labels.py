"""Whether networks and data sets have the same classes: else an accuracy or a comparison says nothing. Pure Python."""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import Mapping, Optional, Tuple

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError, GluonAttnError


def check_classes(card, dataset) -> None:
    """Raise a DataError where they are not, as far as counts and names can tell.

    >>> check_classes(Card("x", ["cat", "dog"], (0,) * 3, (1,) * 3, 32), pictures_of("dog", "cat"))
    Traceback (most recent call last):
    gluon_attn.errors.DataError: The network was trained on other classes than folder has: where it knows 'cat', ...
    """
    ours, theirs = card.classes, tuple(map(str, dataset.classes))
    # A .rec file without class names shows only the labels that occur in it.
    fits = len(theirs) <= len(ours) if dataset.name == "imagenet-rec" else len(theirs) == len(ours)
    if not fits:
        raise DataError(
            f"The network{_trained_on(card)} has {len(ours)} classes and {dataset.name} has {len(theirs)}: choose "
            "weights and data set that belong together."
        )
    other = _first_other(ours, theirs, _called_otherwise(card, dataset.name, theirs))
    if other:
        raise DataError(
            f"The network was trained on other classes than {dataset.name} has: where it knows {other[0]!r}, there is "
            f"{other[1]!r}. Give the folders the names that it knows, or it the class names of this data set, in its "
            "order (its card has them)."
        )


def check_alike(cards: Mapping) -> None:
    """Raise a GluonAttnError where the cards {label: Card} are of networks for other classes, or in another order.

    >>> check_alike({"a": Card("x", ["cat", "dog"], (0,) * 3, (1,) * 3, 32)})
    """
    for (label, card), (other_label, other_card) in itertools.combinations(cards.items(), 2):
        ours, theirs = card.classes, other_card.classes
        if len(ours) != len(theirs):
            raise GluonAttnError(
                f"{label} has {len(ours)} classes and {other_label} has {len(theirs)}: compare networks for the same "
                "classes."
            )
        alike = _called_otherwise(card, other_card.dataset, theirs)
        alike = alike or _called_otherwise(other_card, card.dataset, ours)
        pair = _first_other(ours, theirs, alike)
        if pair:
            raise GluonAttnError(
                f"{label} and {other_label} know other classes, or in another order: where the first knows "
                f"{pair[0]!r}, the second knows {pair[1]!r}. Look at each by itself."
            )


def _first_other(ours, theirs, called_otherwise) -> Optional[Tuple[str, str]]:
    """The first two names that differ, where that says that the classes do; else None."""
    named = _named(ours) and _named(theirs) and not called_otherwise
    if not named and sorted(ours) != sorted(theirs):
        return None
    return next((pair for pair in zip(ours, theirs) if pair[0] != pair[1]), None)


def first_renamed(ours, theirs) -> Optional[Tuple[str, str]]:
    """The first two names that differ; None where one side has numbers, or ImageNet's folders, and the other none of
    them: they may be the same classes. `class 3` stands for an output that had none.

    >>> first_renamed(["cat", "dog"], ["cat", "owl"]), first_renamed(["cat", "class 1"], ["cat", "owl"])
    (('dog', 'owl'), None)
    """
    for pattern in (r"\d+", r"n\d{8}"):
        alike = [[bool(re.fullmatch(pattern, name)) for name in names] for names in (ours, theirs)]
        if any(all(these) and not any(others) for these, others in (alike, alike[::-1])):
            return None
    folded = ([unicodedata.normalize("NFC", name) for name in names] for names in (ours, theirs))
    return next((pair for pair in zip(*folded) if pair[0] != pair[1] and not _has_filler(pair)), None)


def _has_filler(names):
    return any(re.fullmatch(r"class \d+", name) for name in names)


def _trained_on(card):
    if not (card.source or card.dataset):
        return ""
    return f" ({', '.join(filter(None, (card.source, card.dataset and f'trained on {card.dataset}')))})"


def _named(names):
    """Whether these are more than numbers."""
    return not all(name.isdigit() or name.startswith("class ") for name in names)


def _called_otherwise(card, dataset, theirs):
    """ImageNet's folders are called n01440764, ..., and its classes tench, ...; their order is the same."""
    ids = all(re.fullmatch(r"n\d{8}", name) for name in theirs)  # in whatever data set
    record = DATASETS.get("imagenet-folder" if ids else dataset)
    return bool(record and record.labels) and (card.dataset == record.labels or card.classes == record.class_names)
