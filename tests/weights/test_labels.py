"""Whether the labels of a data set are the outputs of a network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError, GluonAttnError
from gluon_attn.weights.card import Card
from gluon_attn.weights.labels import check_alike, check_classes

FOLDERS = tuple(f"n{number:08}" for number in range(1000))
IMAGENET = DATASETS["imagenet1k"].class_names


@pytest.mark.parametrize(
    ("known", "trained_on", "name", "found", "said"),
    [
        (("ant", "bee"), "folder", "folder", ["ant", "bee"], None),
        (("ant", "bee"), "folder", "folder", ["bee", "zebra"], "where it knows 'ant', there is 'bee'"),
        (("ant", "bee"), "", "folder", ["fig", "kiwi"], "where it knows 'ant', there is 'fig'"),
        (("ant", "bee"), "imagenet-folder", "imagenet-folder", ["fig", "kiwi"], "other classes than imagenet-folder"),
        (("ant", "bee"), "folder", "folder", ["ant"], "trained on folder.* has 2 classes and folder has 1"),
        (("0", "1", "10", "2"), "", "folder", ["0", "1", "2", "10"], "where it knows '10', there is '2'"),
        (("class 0", "class 1"), "", "folder", ["fig", "kiwi"], None),
        (("ant", "bee"), "", "imagenet-rec", ["0"], None),
        (("ant", "bee"), "", "imagenet-rec", ["0", "1", "2"], "2 classes and imagenet-rec has 3"),
        (IMAGENET, "", "imagenet-folder", FOLDERS, None),
        (IMAGENET[::-1], "imagenet1k", "imagenet-folder", FOLDERS, None),
        (IMAGENET, "imagenet1k", "folder", FOLDERS, None),
        (IMAGENET, "imagenet1k", "folder", [f"fruit {name}" for name in FOLDERS], "Give the folders the names"),
        (IMAGENET[::-1], "", "imagenet-folder", FOLDERS, "Give the folders the names that it knows"),
    ],
)
def test_names_and_counts_agree(known, trained_on, name, found, said):
    card = Card("x", known, (0.5,) * 3, (0.5,) * 3, 32, dataset=trained_on)
    dataset = SimpleNamespace(name=name, classes=list(found))
    if said is None:
        check_classes(card, dataset)
    else:
        with pytest.raises(DataError, match=said):
            check_classes(card, dataset)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (("cat", "dog"), ("cat", "dog"), None),
        (("cat", "dog"), ("dog", "cat"), "where the first knows 'cat', the second knows 'dog'"),
        (("cat", "dog"), ("cat", "elk"), "where the first knows 'dog', the second knows 'elk'"),
        (("0", "1", "10", "2"), ("0", "1", "2", "10"), "'10', the second knows '2'"),
        (("cat", "dog"), ("class 0", "class 1"), None),  # nobody said what they are
        (("cat", "dog"), ("cat", "dog", "elk"), "a has 2 classes and b has 3"),
        (IMAGENET, FOLDERS, None),
        (FOLDERS, FOLDERS[::-1], "know other classes, or in another order"),
    ],
)
def test_networks_that_are_compared_know_the_same(ours, theirs, said):
    """One list of names stands for all of them, be they two or three."""
    data_sets = {IMAGENET: "imagenet1k", FOLDERS: "imagenet-folder"}
    a, b = (Card("x", known, (0.5,) * 3, (0.5,) * 3, 32, dataset=data_sets.get(known, "")) for known in (ours, theirs))
    for cards in ({"a": a, "b": b}, {"c": a, "a": a, "b": b}):
        if said is None:
            check_alike(cards)
        else:
            with pytest.raises(GluonAttnError, match=said if len(cards) == 2 else "c "):
                check_alike(cards)
