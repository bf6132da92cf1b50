"""Folders of pictures: how they may lie, how they are divided, and how their pictures are read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gluon_attn import data
from gluon_attn.catalogue import datasets
from gluon_attn.data.dataset import stratified_indices
from gluon_attn.data.folder import layout
from gluon_attn.data.images import Encoded, pixels, read_picture
from gluon_attn.errors import DataError
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train.inputs import open_datasets


def write(folder, classes=("cat", "dog", "owl"), count=10, suffix="png"):
    rng = np.random.RandomState(len(str(folder)))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.randint(0, 255, (9, 7, 3), np.uint8)).save(folder / name / f"{number}.{suffix}")
    return folder


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("flat") / "pictures")
    (folder / ".git").mkdir()
    (folder / "__MACOSX").mkdir()
    (folder / "empty").mkdir()
    (folder / "cat" / "._0.png").write_bytes(b"no picture")
    (folder / "cat" / "notes.txt").write_text("no picture")
    return folder


def paths(part):
    return set(part.paths)


def test_a_flat_folder_is_divided_the_same_way_each_time(flat):
    train, held, test = (
        data.get_dataset("folder", s, root=flat, validation=0.2) for s in ("train", "validation", "test")
    )
    assert train.classes == ["cat", "dog", "owl"] and (len(train), len(held)) == (24, 6)
    assert np.bincount(held.labels).tolist() == [2, 2, 2] and np.bincount(train.labels).tolist() == [8, 8, 8]
    assert paths(held) == paths(test) and not paths(train) & paths(held)
    assert paths(data.get_dataset("folder", "test", root=flat)) == paths(test), "a fifth by default"
    assert len(data.get_dataset("folder", "test", root=flat, validation=3)) == 9
    assert "30 pictures 6 are held out (0.2 of each class" in train.division


@pytest.mark.parametrize("second", ["val", "valid", "validation", "test"])
def test_divided_folders(tmp_path, second):
    write(tmp_path / "train", count=4)
    write(tmp_path / second, classes=("owl",), count=2)
    train, test = (data.get_dataset("folder", split, root=tmp_path) for split in ("train", "test"))
    assert (len(train), len(test)) == (12, 2) and test.classes == train.classes
    assert test.labels.tolist() == [2, 2], "labels go by names, not by position"
    assert len(data.get_dataset("folder", "validation", root=tmp_path, validation=0.25)) == 3


@pytest.mark.parametrize(
    ("names", "test", "chosen"),
    [
        (["Train", "Test"], "Test", None),
        (["TRAIN", "Val", "test"], "test", "Val"),
        (["train", "Testing"], "Testing", None),
        (["train", "Valid"], "Valid", "Valid"),
        (["training", "validation", "eval"], "eval", "validation"),
        (["Training", "Testing", "samples"], "Testing", None),
        (["train", "val", "eval/plots"], "val", "val"),
    ],
)
def test_parts_may_be_called_otherwise(tmp_path, names, test, chosen):
    for name in names:
        write(tmp_path / name, classes=["cat", "dog"], count=1)
    found = layout(tmp_path)
    assert (found.train, found.test) == (tmp_path / names[0], tmp_path / test)
    assert found.choosing == (chosen and tmp_path / chosen)
    assert data.get_dataset("folder", "train", root=tmp_path).classes == ["cat", "dog"]


def test_pictures_without_classes_are_no_class_beside_a_part(tmp_path):
    write(tmp_path / "Train", count=5)
    write(tmp_path, classes=["Test"])
    assert data.get_dataset("folder", "train", root=tmp_path).classes == ["cat", "dog", "owl"]


def test_train_val_and_test(tmp_path):
    for name, count in (("train", 4), ("val", 3), ("test", 2)):
        write(tmp_path / name, count=count)
    recipe = Recipe(dataset="folder", data_root=str(tmp_path))
    *parts, chosen = open_datasets(recipe)
    assert [len(part) for part in parts] == [12, 9, 6] and chosen == "validation"
    assert parts[0].division == ", ".join(
        f"{what}: {tmp_path / name}" for what, name in (("train", "train"), ("test", "test"), ("chosen on", "val"))
    )


@pytest.mark.parametrize("own", [True, False])
def test_its_own_validation_split_is_not_left_out_in_silence(tmp_path, own):
    """--recipe finetune holds images out of `train`, whatever there is."""
    for name in ("train", "val", "test") if own else ("train", "test"):
        write(tmp_path / name, count=10)
    recipe = Recipe(dataset="folder", data_root=str(tmp_path), validation=0.2, dataset_options={"per_class": 4})
    train, held, test, _ = open_datasets(recipe)
    assert [len(part) for part in (train, held, test)] == [12, 6, 30]
    said = f"train: {tmp_path / 'train'}, test: {tmp_path / 'test'}, chosen on: 0.2 of each class of train"
    unused = f"; {tmp_path / 'val'} is not used (--validation 0 chooses on it)" if own else ""
    assert train.division == held.division == said + unused


def test_a_flat_folder_in_training_has_no_other_test(flat):
    train, held, test, chosen = open_datasets(Recipe(dataset="folder", data_root=str(flat), validation=0.2))
    assert (len(train), len(held), test, chosen) == (24, 6, None, "validation")


def test_the_test_half_alone(tmp_path):
    write(tmp_path / "val", count=2)
    assert len(data.get_dataset("folder", "test", root=tmp_path)) == 6
    with pytest.raises(DataError, match="no folder `train` beside"):
        data.get_dataset("folder", "train", root=tmp_path)
    names = ["ant", "owl", "dog", "cat"]
    test = data.get_dataset("folder", "test", root=tmp_path, names=names)
    assert sorted(set(test.labels)) == [1, 2, 3] and test.classes == names
    with pytest.raises(DataError, match="no class: cat"):
        data.get_dataset("folder", "test", root=tmp_path, names=["dog", "owl"])


def test_pictures_of_no_class_are_not_left_out(flat):
    """Of an undivided folder, either: the accuracy would be that of the others."""
    assert len(data.get_dataset("folder", "test", root=flat, names=["ant", "cat", "dog", "owl"])) == 6
    with pytest.raises(DataError, match="no class: cat, owl.*The classes are ant, dog, as the network has them"):
        data.get_dataset("folder", "test", root=flat, names=["ant", "dog"])


def test_a_class_may_be_called_train(tmp_path):
    write(tmp_path, classes=("boat", "train", "test"), count=3)
    assert data.get_dataset("folder", "train", root=tmp_path).classes == ["boat", "test", "train"]


@pytest.mark.parametrize(
    "names", [["Train/fast", "Train/slow", "boat/fast", "boat/slow"], ["eval/1", "invalid/1", "testing/1", "valid/1"]]
)
def test_classes_that_are_called_as_parts_are_and_hold_folders(tmp_path, names):
    write(tmp_path, classes=names, count=2)
    classes = sorted({name.split("/")[0] for name in names})
    assert data.get_dataset("folder", "train", root=tmp_path, validation=1).classes == classes


def test_pictures_are_read_as_predict_reads_them(tmp_path):
    write(tmp_path, classes=("a", "b"), count=2)
    grey = np.arange(240, dtype=np.uint8).reshape(12, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey).save(tmp_path / "a" / "turned.jpg", exif=exif)
    Image.fromarray(np.dstack([grey] * 3 + [np.zeros_like(grey)]), "RGBA").save(tmp_path / "a" / "clear.png")
    Image.fromarray(grey).save(tmp_path / "a" / "plain.jpg")
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="6"/>'
    plain = (tmp_path / "a" / "plain.jpg").read_bytes()
    described = plain[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + plain[2:]
    (tmp_path / "a" / "described.jpg").write_bytes(described)
    halves = [data.get_dataset("folder", split, root=tmp_path, validation=1) for split in ("train", "test")]
    for name in ("turned.jpg", "clear.png", "plain.jpg", "described.jpg"):
        path = str(tmp_path / "a" / name)
        (dataset,) = (half for half in halves if path in half.paths)
        image, label = dataset.sample(dataset.paths.index(path))
        assert label == 0
        np.testing.assert_array_equal(pixels(image), read_picture(path), err_msg=name)
    assert (read_picture(tmp_path / "a" / "clear.png") == 255).all()
    assert read_picture(tmp_path / "a" / "described.jpg").shape == (20, 12, 3)


def test_pillow_is_asked_only_how_a_picture_is_turned_of_which_something_is_said(tmp_path, monkeypatch):
    write(tmp_path, classes=("a", "b"), suffix="jpg")
    train = data.get_dataset("folder", "train", root=tmp_path, validation=0.5)
    monkeypatch.setattr(Encoded, "open", lambda picture: pytest.fail(f"{picture.name} was opened by Pillow"))
    assert pixels(train.sample(0)[0]).shape == (9, 7, 3)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "0 folders with pictures"),
        (["only/1.png"], "two classes or more.*'only'"),
        (["a/1.png", "b/1.png", "b/2.png"], "images of class 'a' out of its 1: it needs two"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path, made, said):
    for name in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    with pytest.raises(DataError, match=said):
        data.get_dataset("folder", "train", root=tmp_path)


def test_an_unknown_name_says_how_its_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Unknown dataset 'shapes'.*Choices: .*folder") as caught:
        datasets.find("shapes")
    assert "--data-root" not in str(caught.value)
    (tmp_path / "shapes").mkdir()
    with pytest.raises(DataError, match="--dataset folder --data-root shapes"):
        datasets.find("shapes")


def test_shares_leave_at_least_one():
    labels = np.array([0] * 2 + [1] * 10)
    for share, expected in ((0.01, [1, 1]), (0.5, [1, 5]), (0.99, [1, 9])):
        left, drawn = stratified_indices(labels, share)
        assert np.bincount(labels[drawn]).tolist() == expected and len(left) + len(drawn) == 12
    with pytest.raises(DataError, match="1.5 images"):
        stratified_indices(labels, 1.5)
