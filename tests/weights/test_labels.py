"""Whether the labels of a data set are the outputs of a network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError
from gluon_attn.weights.card import Card
from gluon_attn.weights.labels import check_classes

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
