"""`gluon-attn explain`: which images, called what: classes of the network, the data set and the other networks."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from gluon_attn import cli
from gluon_attn.weights.card import Card
from tests.helpers import build


def trained(folder, classes, **recipe):
    """The folder of a run on `recipe`, with a small network for those classes."""
    net = build("cifar_se_resnet20", classes=len(classes), layers=(1, 1, 1))
    arch, data_set = {"layers": [1, 1, 1]}, recipe.get("dataset", "folder")
    folder.mkdir(parents=True)
    net.save_parameters(str(folder / "last.params"))
    Card("cifar_se_resnet20", classes, (0.5,) * 3, (0.25,) * 3, 32, 1.0, arch=arch, dataset=data_set).write(folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def class_folders(root, *classes, count=3):
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.RandomState(number).randint(0, 255, (32, 32, 3)).astype("uint8")
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def explain_runs(tmp_path, *runs_and_flags):
    """(exit status, [(label, predicted, right), ...] of the pictures on the page)."""
    page = tmp_path / "page.html"
    status = cli.main(["explain", *map(str, runs_and_flags), "--devices", "cpu:0", "--html", str(page)])
    if status:
        return status, []
    content = re.search(r'<script id="content" type="application/json">(.*?)</script>', page.read_text(), re.S).group(1)
    shown = [(subject["label"], subject["views"][0]) for subject in json.loads(content)["subjects"]]
    return status, [(label, view["predicted"], view["right"]) for label, view in shown]


def test_labels_are_the_classes_that_the_network_knows(tmp_path):
    """The test half of a folder lacks a class: its squares were circles, and right where a circle was predicted."""
    run = trained(tmp_path / "run", ["circle", "square", "triangle"])
    half = class_folders(tmp_path / "half" / "test", "square", "triangle").parent
    status, shown = explain_runs(tmp_path, "--run", run, "--dataset", "folder", "--data-root", half)
    assert status == 0 and sorted(label for label, _, _ in shown) == ["square"] * 3 + ["triangle"] * 3
    assert all(right == (label == predicted) for label, predicted, right in shown)


@pytest.mark.parametrize(("flags", "last"), [([], 9), (["--dataset-options", "validation=3"], 5)])
def test_a_run_says_which_pictures_it_held_out(tmp_path, capsys, flags, last):
    """Half of each class, not the fifth that is held out where nobody says how much."""
    root = class_folders(tmp_path / "in", "cat", "dog", count=10)
    run = trained(tmp_path / "run", ["cat", "dog"], dataset="folder", data_root=str(root), validation=0.5)
    assert explain_runs(tmp_path, "--run", run, "--indices", last, *flags)[0] == 0
    assert explain_runs(tmp_path, "--run", run, "--indices", last + 1, *flags)[0] == 2
    assert f"has no image {last + 1}: choose 0 to {last}" in capsys.readouterr().err


def test_options_of_the_runs_data_set(tmp_path, capsys):
    options = {"count": 20, "size": 48}
    run = trained(tmp_path / "run", [str(i) for i in range(10)], dataset="clutter", dataset_options=options)
    assert explain_runs(tmp_path, "--run", run, "--indices", 20)[0] == 2
    assert "has no image 20: choose 0 to 19" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("digits", "has 3 classes and digits has 10"),
        ("digits-canvas", "'digits-canvas' is for segmentation, not classification"),
        ("mpiifacegaze", "'mpiifacegaze' is for gaze, not classification"),
    ],
)
def test_data_sets_of_something_else_are_refused(tmp_path, capsys, dataset, sentence):
    run = trained(tmp_path / "run", ["circle", "square", "triangle"])
    assert explain_runs(tmp_path, "--run", run, "--dataset", dataset)[0] == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["dog", "cat"], "knows 'dog'"),
        (["cat", "dog", "elk"], "has 2 classes and"),
        (["cat", "dog"], ""),
        (["class 0", "class 1"], ""),  # nobody said what they are
    ],
)
@pytest.mark.parametrize("with_dataset", [False, True])
def test_networks_of_other_classes_are_not_named_alike(tmp_path, capsys, classes, sentence, with_dataset):
    """The second network's cats were called dogs, by the first one's names."""
    root = class_folders(tmp_path / "in", "cat", "dog", count=2)
    runs = [trained(tmp_path / name, names) for name, names in (("a", ["cat", "dog"]), ("b", classes))]
    images = ["--dataset", "folder", "--data-root", root] if with_dataset else ["--image", root]
    status, _ = explain_runs(tmp_path, "--run", ",".join(map(str, runs)), *images)
    assert status == (2 if sentence else 0) and sentence in capsys.readouterr().err
