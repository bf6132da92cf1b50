"""Names, splits and options of the data sets."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data.digits import source_images
from gluon_attn.errors import DataError


def test_digits_are_scikit_learns_in_a_fixed_stratified_split():
    from sklearn.datasets import load_digits

    train, test = data.get_dataset("digits"), data.get_dataset("digits", "test")
    assert (len(train), len(test)) == (1397, 400)
    assert np.bincount(test.labels).tolist() == [40] * 10
    image, label = train[0]
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and isinstance(label, int)
    everything = {image.tobytes() for image in np.round(load_digits().images * 255 / 16).astype(np.uint8)}
    small = [source_images(split)[0] for split in ("train", "test")]
    seen = {image.tobytes() for part in small for image in part}
    assert seen == everything
    # The fixed split itself: another one would make every stored accuracy incomparable.
    assert zlib.crc32(test.labels.tobytes()) == 1048086317
    np.testing.assert_allclose(train.images.mean() / 255, train.mean[0], atol=1e-3)
    np.testing.assert_allclose((train.images / 255).std(), train.std[0], atol=1e-3)


def test_enlarging_keeps_the_picture():
    small, _ = source_images("train")
    large = data.get_dataset("digits").images[..., 0]
    blocks = large.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.abs(blocks - small).mean() < 12


def test_validation_images_come_out_of_training():
    options = dict(validation=20)
    train, held_out = (data.get_dataset("digits", split, **options) for split in ("train", "validation"))
    whole = data.get_dataset("digits")
    assert np.bincount(held_out.labels).tolist() == [20] * 10
    together = np.sort(np.concatenate([train.indices, held_out.indices]))
    assert together.tolist() == list(range(len(whole)))
    image, label = held_out[3]
    np.testing.assert_array_equal(image, whole.images[held_out.indices[3]])
    assert label == held_out.labels[3] == whole.labels[held_out.indices[3]]


def test_few_images_a_class():
    few = data.get_dataset("digits", per_class=5)
    assert np.bincount(few.labels).tolist() == [5] * 10
    assert len(data.get_dataset("digits", "test", per_class=5)) == 400
    assert np.bincount(data.get_dataset("clutter", per_class=2).labels).tolist() == [2] * 10


def test_few_images_a_class_beside_all_validation_images():
    options = dict(per_class=5, validation=20)
    few, held_out = (data.get_dataset("digits", split, **options) for split in ("train", "validation"))
    assert np.bincount(few.labels).tolist() == [5] * 10
    assert np.bincount(held_out.labels).tolist() == [20] * 10
    trained = few.dataset.indices[few.indices]
    assert not set(trained) & set(held_out.indices)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("digit",), {}, "Unknown dataset 'digit'. Did you mean 'digits'"),
        (("digits", "tran"), {}, "Unknown split 'tran'. Did you mean 'train'"),
        (("digits",), {"corse": True}, "Unknown option of dataset 'digits': 'corse'"),
        (("digits", "validation"), {}, "needs validation=k"),
        (("digits",), {"per_class": "a"}, "Cannot take 'a' images of each class: give a number"),
        (("digits",), {"validation": math.nan}, "Cannot take nan images of each class: give a number"),
        (("digits",), {"validation": 1000}, "Cannot take 1000 images of class 0 out of its 1[0-9]+: choose"),
        (("digits",), {"root": "/data"}, "embedded"),
    ],
)
def test_mistakes(arguments, options, message):
    with pytest.raises(DataError, match=message):
        data.get_dataset(*arguments, **options)


@pytest.mark.parametrize(
    ("indices", "labels"),
    [([], []), ([2, 0, 2], [7, 5, 7]), (np.array([False, True, True]), [6, 7]), (range(1), [5]), ([-1], [7])],
)
def test_a_subset_is_where_the_indices_say(indices, labels):
    whole = data.ArrayDataset(
        "mine", np.arange(5, 8, dtype=np.uint8).repeat(12).reshape(3, 2, 2, 3), [5, 6, 7], "ab", (0,) * 3, (1,) * 3
    )
    part = data.Subset(whole, indices)
    assert len(part) == len(labels) and part.labels.tolist() == labels
    assert [part[i][0][0, 0, 0] for i in range(len(part))] == [part[i][1] for i in range(len(part))] == labels


@pytest.mark.parametrize("indices", [[400], [0.5], [True, False], [[1, 2]], "all", 3])
def test_a_subset_of_what_is_not_there(indices):
    with pytest.raises(DataError, match="are no images of a data set of 400: give whole numbers from 0 to 399, or one"):
        data.Subset(data.get_dataset("digits", "test"), indices)


def test_every_image_in_memory_has_its_label():
    with pytest.raises(DataError, match="mine has 5 images and 2 labels: give one label an image"):
        data.ArrayDataset("mine", np.zeros((5, 4, 4, 3), np.uint8), [0, 1], "ab", (0,) * 3, (1,) * 3)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([0, 5, 0, 1], "ab", "Label 1 of mine is 5, and it has 2 classes: give whole numbers from 0 to 1"),
        ([0, 1, 0, -1], "ab", "Label 3 of mine is -1"),
        ([0.5, 1, 0, 1], "ab", "Label 0 of mine is 0.5"),
        ([0, math.nan, 0, 1], "ab", "Label 1 of mine is nan"),
        ([[0], [1], [0], [1]], "ab", r"of shape \(4, 1\): give whole numbers \(N,\)"),
        (["a", "b", "a", "b"], "ab", r"labels of mine are <U1 of shape \(4,\)"),
        ([0, 1, 0, 1], None, "classes=None of mine are no names: give a list"),
        ([0, 1, 0, 1], 2, "classes=2 of mine are no names"),
    ],
)
def test_a_label_is_the_place_of_its_class(labels, classes, said):
    images, facts = np.zeros((4, 4, 4, 3), np.uint8), ((0,) * 3, (1,) * 3)
    with pytest.raises(DataError, match=said):
        data.ArrayDataset("mine", images, labels, classes, *facts).check_labels()
    read = data.ArrayDataset("mine", images, np.array([0.0, 1.0, 2.0, 1.0]), "abc", *facts)
    assert read.labels.tolist() == [0, 1, 2, 1] and read.labels.dtype == np.int32


def test_bad_image_survives_the_way_out_of_a_worker():
    bad = pickle.loads(pickle.dumps(data.BadImage("a.jpg", "truncated")))
    assert bad.name == "a.jpg" and "a.jpg: truncated" in str(bad) and "on_bad_image='skip'" in str(bad)
    bad = pickle.loads(pickle.dumps(data.BadImage("a.jpg", "truncated", remedy="")))
    assert str(bad) == "Cannot read image a.jpg: truncated. Repair or remove it."


def test_names_are_known_without_mxnet():
    code = "import sys, gluon_attn.data as d; d.list_datasets(); sys.exit('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_random_states_are_functions_of_their_key_and_differ():
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    draws = {key: data.random_state(*key).uniform() for key in keys}
    assert len(set(draws.values())) == len(keys)
    assert draws == {key: data.random_state(*key).uniform() for key in keys}
    assert data.random_state(0, stream="mix").uniform() != data.random_state(0, stream="order").uniform()
    assert data.random_state(0, 0, 0).randint(1 << 30) == 432177759
