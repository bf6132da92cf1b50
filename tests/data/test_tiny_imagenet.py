"""Tiny ImageNet in its official layout: folder, zip and .rec, with the boxes, and what is wrong with damaged ones."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from gluon_attn import cli, data
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import DataError
from tests.data import tiny_tree

NAME = "tiny-imagenet"


@pytest.fixture
def folder(tmp_path):
    return tiny_tree.write_folder(tmp_path)


def use_archive(monkeypatch, content, url="http://127.0.0.1:9/tiny-imagenet-200.zip"):
    """Let the record promise this zip instead of the official one."""
    record = dataclasses.replace(DATASETS[NAME], md5=hashlib.md5(content).hexdigest(), url=url)
    monkeypatch.setitem(DATASETS, NAME, record)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    content = tiny_tree.zipped()
    use_archive(monkeypatch, content)
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(content)
    return tmp_path


def is_the_object(image, box, colour):
    """Whether the box holds the square of that colour, and the rim of one pixel round it does not."""
    x0, y0, x1, y1 = box
    error = np.abs(image.astype(int) - colour).max(axis=2) < 60
    rim = error[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2].sum() - error[y0:y1, x0:x1].sum()
    return error[y0:y1, x0:x1].mean() > 0.9 and rim < 0.2 * (x1 - x0 + y1 - y0)


def test_the_official_folder(folder):
    train, val = (data.get_dataset(NAME, split, root=folder) for split in ("train", "val"))
    assert train.ids == ["n01", "n02", "n03"]
    assert train.classes == val.classes == ["red thing", "green thing", "blue thing"]
    assert train.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert val.labels.tolist() == [2, 0, 1] * 3
    record = DATASETS[NAME]
    assert (train.name, train.image_size, train.mean, train.std) == (NAME, 64, record.mean, record.std)


@pytest.mark.parametrize("split", ["train", "test"])
def test_boxes_are_pixels_of_their_object(folder, split):
    images = data.get_dataset(NAME, split, root=folder)
    for index in range(len(images)):
        image, label = images[index]
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        grey = split == "train" and index % 5 == 0
        if grey:
            assert np.ptp(image.astype(int), axis=2).max() == 0
        else:
            assert is_the_object(image, images.box(index), list(tiny_tree.COLOURS.values())[label])


@pytest.mark.parametrize("place", ["", "tiny-imagenet-200.zip"])
def test_the_zip_is_read_as_it_is(archive, tmp_path, place):
    tiny_tree.write_folder(tmp_path / "unpacked")
    for split in ("train", "test"):
        zipped = data.get_dataset(NAME, split, root=archive / place)
        whole = data.get_dataset(NAME, split, root=tmp_path / "unpacked")
        assert_same(zipped, whole)


def assert_same(one, other):
    assert one.classes == other.classes and one.labels.tolist() == other.labels.tolist()
    for index in range(len(one)):
        np.testing.assert_array_equal(one[index][0], other[index][0])
        assert one.box(index) == other.box(index)


def test_two_workers_read_one_zip(archive):
    images = data.get_dataset(NAME, "train", root=archive)
    transform = data.eval_transform(64, images.mean, images.std)
    batches = [
        [x.asnumpy() for x, _ in data.Loader(images, 4, transform, train=False, workers=workers).epoch()]
        for workers in (0, 2)
    ]
    for alone, shared in zip(*batches):
        np.testing.assert_array_equal(alone, shared)


def test_packed_records_are_the_same_images_in_the_same_order(folder, tmp_path):
    assert cli.main(["pack", str(folder), "--output", str(tmp_path / "rec")]) == 0
    for split in ("train", "test"):
        assert_same(data.get_dataset(NAME, split, root=tmp_path / "rec"), data.get_dataset(NAME, split, root=folder))
    drawn = [data.get_dataset(NAME, "validation", root=r, validation=2) for r in (folder, tmp_path / "rec")]
    assert_same(*drawn)
    with pytest.raises(DataError, match="not 'tiny-imagenet'.*use 'imagenet-rec'"):
        data.NativeLoader(data.get_dataset(NAME, root=tmp_path / "rec"), 4, train=False)


def test_validation_images_keep_their_boxes(folder):
    images = data.get_dataset(NAME, "train", root=folder)
    drawn = data.get_dataset(NAME, "validation", root=folder, validation=2)
    assert len(drawn) == 6 and [drawn.box(i) for i in range(6)] == [images.box(i) for i in drawn.indices]


def damage(folder, path, content):
    if content is None:
        (folder / path).unlink()
    else:
        (folder / path).write_text(content)


@pytest.mark.parametrize(
    "path, content, sentence",
    [
        ("words.txt", None, "words.txt is missing.*gluon-attn data tiny-imagenet"),
        ("train/n02/n02_boxes.txt", None, "n02_boxes.txt is missing"),
        ("train/n02/n02_boxes.txt", "n02_0.JPEG\t1\t2\tx\t4\n", "n02_boxes.txt, line 1: .*is not a file with its box"),
        ("val/val_annotations.txt", "val_0.JPEG\tn77\t1\t2\t3\t4\n", "the id n77, which is not in wnids.txt"),
        ("val/val_annotations.txt", "", "lists no images"),
        ("val/val_annotations.txt", None, "neither wnids.txt with val/val_annotations.txt"),
    ],
)
def test_a_folder_that_is_not_whole(folder, path, content, sentence):
    damage(folder, path, content)
    with pytest.raises(DataError, match=sentence):
        for split in ("train", "test"):
            data.get_dataset(NAME, split, root=folder)


def test_a_missing_picture_is_named(folder):
    (folder / "train/n01/images/n01_1.JPEG").unlink()
    with pytest.raises(data.BadImage, match=r"n01_1.JPEG: No such file"):
        data.get_dataset(NAME, "train", root=folder)[1]


def test_another_zip_is_refused(archive):
    with open(archive / "tiny-imagenet-200.zip", "ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="damaged or another file: its md5"):
        data.get_dataset(NAME, "train", root=archive)


def test_without_a_folder_it_says_how_to_get_one(tmp_path):
    with pytest.raises(DataError, match="give root .*gluon-attn data tiny-imagenet --output DIR.*90528d7ca1a48142"):
        data.get_dataset(NAME, "train")
    with pytest.raises(DataError, match="is not in .*gluon-attn data"):
        data.get_dataset(NAME, "train", root=tmp_path)
