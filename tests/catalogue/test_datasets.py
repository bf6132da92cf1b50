"""One record a data set: what it says is what the opened data set, recipes and weights have."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from gluon_attn import data, weights
from gluon_attn.catalogue import datasets
from gluon_attn.errors import DataError
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train.dry_run import plan

EMBEDDED = [name for name in datasets.openable() if datasets.DATASETS[name].embedded]


@pytest.mark.parametrize("name", datasets.DATASETS)
def test_names_are_as_many_as_classes(name):
    record = datasets.DATASETS[name]
    assert record.class_names is None or len(set(record.class_names)) >= 0.99 * record.classes
    assert len(record.class_names or range(record.classes)) == record.classes
    assert record.of in ("", *datasets.openable()) and record.labels in ("", *datasets.DATASETS)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_record_is_the_data_set(name):
    record, opened = datasets.find(name), data.get_dataset(name, "train")
    assert (len(opened), len(opened.classes)) == (record.images, record.classes)
    for fact in ("name", "image_size", "mean", "std"):
        assert getattr(opened, fact) == getattr(record, fact), fact
    assert record.class_names is None or list(opened.classes) == list(record.class_names)


@pytest.mark.parametrize("name", EMBEDDED)
def test_normalisation_is_that_of_the_training_images(name):
    record, opened = datasets.find(name), data.get_dataset(name, "train")
    images = np.stack([opened[i][0] for i in range(0, len(opened), max(len(opened) // 200, 1))]) / 255
    assert np.allclose(images.mean((0, 1, 2)), record.mean, atol=0.01)
    assert np.allclose(images.std((0, 1, 2)), record.std, atol=0.01)


def test_the_page_says_where_every_data_set_comes_from():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    own = [name for name in datasets.openable() if not datasets.DATASETS[name].of]
    missing = [name for name in own if not re.search(rf"^\|.*`{name}`.* \|", page, re.MULTILINE)]
    assert not missing, "add a row to the table in docs/data.md"


def test_a_form_of_a_data_set_has_its_own_record():
    assert datasets.find("cifar100", {"coarse": True}).name == "cifar100-coarse"
    assert datasets.find("cifar100", {"coarse": False}) is datasets.find("cifar100")
    assert datasets.find("cifar100-coarse").class_names[0] == "aquatic_mammals"


def test_published_weights_name_a_record():
    for entry in weights.table.all_published():
        record = datasets.DATASETS[entry.dataset]
        assert entry.classes == record.classes and entry.preprocessing["mean"] == record.mean


@pytest.mark.parametrize(
    "name, script", [("digits-canvas", "train_segmentation.py"), ("mpiifacegaze", "train_gaze.py")]
)
def test_other_tasks_are_sent_to_their_script(name, script):
    with pytest.raises(DataError, match=f"{name}.*{script}"):
        plan(Recipe(model="cifar_resnet20", dataset=name))


def test_a_name_with_a_slip():
    with pytest.raises(DataError, match="digits"):
        datasets.find("digit")
