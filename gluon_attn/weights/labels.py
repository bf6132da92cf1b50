"""Whether the labels of a data set are the outputs of a network: else an accuracy says nothing. Pure Python."""

from __future__ import annotations

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError


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
    named = _named(ours) and _named(theirs) and not _called_otherwise(card, dataset)
    if ours != theirs and (named or sorted(ours) == sorted(theirs)):
        known, found = next(pair for pair in zip(ours, theirs) if pair[0] != pair[1])
        raise DataError(
            f"The network was trained on other classes than {dataset.name} has: where it knows {known!r}, there is "
            f"{found!r}. Give the folders the names that it knows, or it the class names of this data set, in its "
            "order (its card has them)."
        )


def _trained_on(card):
    if not (card.source or card.dataset):
        return ""
    return f" ({', '.join(filter(None, (card.source, card.dataset and f'trained on {card.dataset}')))})"


def _named(names):
    """Whether these are more than numbers."""
    return not all(name.isdigit() or name.startswith("class ") for name in names)


def _called_otherwise(card, dataset):
    """ImageNet's folders are called n01440764, ..., and its classes tench, ...; their order is the same."""
    record = DATASETS.get(dataset.name)
    return bool(record and record.labels) and (card.dataset == record.labels or card.classes == record.class_names)
