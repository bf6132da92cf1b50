"""Pictures below a folder: all of them, or a sentence on what is not among them."""

from __future__ import annotations

import os

import pytest

from gluon_attn import data
from gluon_attn.data import listing
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.images import read_picture
from gluon_attn.errors import DataError
from gluon_attn.predict import find_pictures
from tests.data.test_folder import write


def test_pictures_of_a_folder(tmp_path):
    names = ["b.PNG", "c.tif", "a/d.gif", "a/b/e.ppm"]
    others = ["._b.png", ".hidden/f.png", "notes.txt", "a/.ipynb_checkpoints/d.gif"]
    for name in (*names, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert listing.pictures_in(tmp_path) == [str(tmp_path / name) for name in names]
    assert listing.pictures_in(tmp_path, most=1) == [str(tmp_path / name) for name in names[:2]]
    assert listing.pictures_in(tmp_path / "nowhere") == []


@pytest.fixture
def shut(tmp_path, monkeypatch):
    """A folder of three classes, of which nobody may list one; root may, whatever its mode is."""
    folder = write(tmp_path / "pictures", count=4)
    scandir = os.scandir

    def refused(path):
        if os.fspath(path) == str(folder / "dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    return folder


def test_what_cannot_be_listed_is_not_empty(shut):
    for use in (
        lambda: data.get_dataset("folder", "train", root=shut),
        lambda: find_pictures([shut]),
        lambda: find_pictures([shut / "dog"]),
        lambda: data.get_dataset("folder", "train", root=shut / "dog"),
    ):
        with pytest.raises(DataError, match="dog cannot be read .Permission denied.: what is in it would be missing"):
            use()


def test_a_class_of_photographs_that_are_not_read_is_no_empty_folder(tmp_path):
    folder = write(tmp_path / "pictures", count=4)
    for path in (folder / "dog").iterdir():
        path.rename(path.with_suffix(".HEIC"))
    with pytest.raises(DataError, match="dog has nothing but photographs .*4 of .heic.: convert them to JPEG or PNG"):
        data.get_dataset("folder", "train", root=folder)


def test_what_can_be_no_class_may_hold_anything(tmp_path):
    write(tmp_path / "set" / "train", count=4)
    write(tmp_path / "set" / "val", count=2)
    (tmp_path / "set" / "originals").mkdir()
    (tmp_path / "set" / "originals" / "1.CR2").touch()
    for name in ("lost+found", "train/lost+found"):
        (tmp_path / "set" / name).mkdir()
        (tmp_path / "set" / name / "1.png").touch()
    assert data.get_dataset("folder", "train", root=tmp_path / "set").classes == ["cat", "dog", "owl"]
    assert len(find_pictures([tmp_path / "set"])) == 18


def test_photographs_that_are_passed_over_are_said(tmp_path, caplog):
    folder = write(tmp_path / "pictures", count=4)
    (folder / "dog" / "0.png").rename(folder / "dog" / "0.heic")
    (folder / "dog" / "notes.txt").touch()
    assert len(data.get_dataset("folder", "train", root=folder, validation=1)) == 8
    assert f"{folder / 'dog'}: passed over photographs of kinds that are not read (1 of .heic)" in caplog.text
    assert "notes" not in caplog.text


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert find_pictures([tmp_path / "pipe.png"]) == find_pictures([tmp_path]) == [tmp_path / "pipe.png"]
    with pytest.raises(BadImage) as caught:
        read_picture(tmp_path / "pipe.png")
    said = f"Cannot read image {tmp_path / 'pipe.png'}: it is no file but a device or a pipe. Repair or remove it."
    assert str(caught.value) == said


def test_links_to_folders_are_followed_and_lead_nowhere_twice(tmp_path):
    (tmp_path / "elsewhere" / "more").mkdir(parents=True)
    (tmp_path / "ant").mkdir()
    for path in ("elsewhere/1.png", "elsewhere/more/2.png", "ant/0.png"):
        (tmp_path / path).touch()
    (tmp_path / "ant" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "ant")
    (tmp_path / "ant" / "up").symlink_to("..")
    found = [os.path.relpath(path, tmp_path / "ant") for path in listing.pictures_in(tmp_path / "ant")]
    assert found == ["0.png", "linked/1.png", "linked/more/2.png"]
