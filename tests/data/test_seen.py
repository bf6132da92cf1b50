"""Pictures are known by what they hold: a list of them tells what a training has not learnt from."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from gluon_attn import data
from gluon_attn.data.seen import NAME, Seen, marks
from gluon_attn.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    """60 different pictures of three classes."""
    random = np.random.RandomState(0)
    for name in ("ant", "bee", "cow"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(random.randint(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "p" / name / f"{number}.png")
    return tmp_path / "p"


def _held_out(root, split="test", **options):
    return set(data.get_dataset("folder", split, root=root, **options).marks)


def test_a_mark_is_of_what_a_file_holds(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c, missing = marks([tmp_path / name for name in "abcd"])
    assert a == b != c and missing == "d"
    (tmp_path / "a").write_bytes(b"3")
    os.utime(tmp_path / "a", ns=(1, 1))
    assert marks([tmp_path / "a"]) != [a]


def test_a_picture_stays_on_its_side_whatever_it_is_called(pictures):
    held_out, trained = _held_out(pictures), _held_out(pictures, "train")
    assert len(held_out) == 12 and len(trained) == 48
    (pictures / "ant" / "0.png").rename(pictures / "ant" / "zzz.png")
    (pictures / "bee" / "7.png").rename(pictures / "bee" / "!.png")
    assert _held_out(pictures) == held_out
    for number in range(2):  # as many are held out of 22
        Image.new("RGB", (8, 8), (number, 0, 0)).save(pictures / "cow" / f"a{number}.png")
    assert not _held_out(pictures) & trained
    pictures.rename(pictures.with_name("elsewhere"))
    assert not _held_out(pictures.with_name("elsewhere")) & trained


def test_what_a_training_has_not_learnt_from(pictures, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    seen = Seen(frozenset(_held_out(pictures, "train", validation=3)), frozenset(_held_out(pictures, validation=3)))
    seen.write(run)
    assert Seen.beside(run) == Seen.beside(run / "best.params") == seen and Seen.beside(tmp_path) is None
    part = data.get_dataset("folder", "test", root=pictures, run=run)
    assert set(part.marks) == seen.chosen_on and part.split == "validation" and len(part) == 9
    assert part.division.endswith("of its 60 pictures 51 were trained on, and 9 of the others chose the best epoch")
    Image.new("RGB", (8, 8)).save(pictures / "cow" / "new.png")
    part = data.get_dataset("folder", "test", root=pictures, run=run)
    assert len(part) == 10 and part.split == "test"
    assert len(data.get_dataset("folder", "train", root=pictures, run=run)) == 51
    whole = data.get_dataset("folder", "test", root=pictures, whole=True)
    assert len(whole) == 61 and "all of its 61 pictures" in whole.division


def test_a_copy_is_not_learnt_of_what_is_held_out(pictures):
    """Under another name, or of another class; but of a class of one picture alone something must be."""
    for path in sorted(pictures.glob("*/*.png")):
        path.with_name(f"{path.stem} (1).png").write_bytes(path.read_bytes())
    train, test = (data.get_dataset("folder", split, root=pictures, validation=3) for split in ("train", "test"))
    assert len(test) == 9 and not set(train.marks) & set(test.marks)
    left_out = 120 - len(train) - 9
    assert left_out > 0 and f"and {left_out} that are the same as one of these are left out" in test.division
    for path in sorted(pictures.glob("cow/*.png")):
        path.write_bytes((pictures / "ant" / "0.png").read_bytes())
    assert set(data.get_dataset("folder", "train", root=pictures, validation=3).labels) == {0, 1, 2}


def test_a_run_may_be_called_by_a_number(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    Seen(frozenset(), frozenset()).write("7")
    assert len(data.get_dataset("folder", "test", root=pictures, run=7)) == 60


def test_a_training_that_goes_on_has_seen_what_it_saw_before():
    before, now = Seen(frozenset("ab"), frozenset("c")), Seen(frozenset("cd"), frozenset("ae"))
    both = now.and_before(before)
    assert (both.trained, both.chosen_on) == (frozenset("abcd"), frozenset("e")) and now.and_before(None) is now
    assert both.unseen("abcdef") == [4, 5]


@pytest.mark.parametrize(
    "options, said",
    [
        (dict(run="nowhere"), "nowhere does not say which pictures it was trained on: it has no pictures.json"),
        (dict(whole=True, validation=3), "three ways to say what is tested on"),
        (dict(whole=True, split="train"), "none to train on"),
    ],
)
def test_no_way_to_divide(pictures, options, said):
    split = options.pop("split", "test")
    with pytest.raises(DataError, match=said):
        data.get_dataset("folder", split, root=pictures, **options)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"trained": 3, "chosen_on": []}'])
def test_a_damaged_list_is_said(pictures, tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with pytest.raises(DataError, match="pictures.json is no list of a training's pictures"):
        data.get_dataset("folder", "test", root=pictures, run=tmp_path)


def test_nothing_is_left_to_test_on(pictures, tmp_path):
    everything = frozenset(data.get_dataset("folder", "train", root=pictures).marks) | _held_out(pictures)
    Seen(everything, frozenset()).write(tmp_path)
    with pytest.raises(DataError, match="trained on all of the 60 pictures"):
        data.get_dataset("folder", "test", root=pictures, run=tmp_path)


def test_a_divided_folder_needs_none(pictures, tmp_path):
    for half in ("train", "val"):
        (tmp_path / "d" / half).mkdir(parents=True)
        for name in ("ant", "bee"):
            (tmp_path / "d" / half / name).symlink_to(pictures / name)
    with pytest.raises(DataError, match="is divided by its folders"):
        data.get_dataset("folder", "test", root=tmp_path / "d", whole=True)
