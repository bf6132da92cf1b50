"""Zips from outside: what leads elsewhere, links, or is too much is refused before anything is written."""

from __future__ import annotations

import stat
import zipfile

import pytest

from gluon_attn.data.unpack import unpack
from gluon_attn.errors import DataError


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_the_folder_appears_whole(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("top/", b""), ("top/a/b.txt", b"one"), ("top/c.txt", b"two")])
    seen = []
    assert unpack(path, tmp_path, "top", seen.append) == tmp_path / "top"
    assert (tmp_path / "top/a/b.txt").read_bytes() == b"one" and sorted(seen) == [3, 3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "top"]


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "/etc/out.txt",
        "top/../../out.txt",
        "other/out.txt",
        "top\\..\\..\\out.txt",
        "C:/out.txt",
        link("top/a"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = write_zip(tmp_path / "a.zip", [("top/fine.txt", b"fine"), (name, b"/etc/passwd")])
    with pytest.raises(DataError, match="leads out of top: not unpacked"):
        unpack(path, tmp_path / "in", "top")
    assert list((tmp_path / "in").iterdir()) == [] and not (tmp_path / "out.txt").exists()


def test_bombs(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("top/zeros", bytes(100_000)), ("top/more", b"")])
    for limits, sentence in ((dict(largest=99_999), "100000 bytes"), (dict(most=1), "in 2 files")):
        with pytest.raises(DataError, match=f"would unpack to .*{sentence}.*not unpacked"):
            unpack(path, tmp_path, "top", **limits)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_member_that_is_longer_than_it_says(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("top/zeros", bytes(100_000))])
    content = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged zip archive"):
        unpack(path, tmp_path, "top")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("content", [b"no zip", b"PK\x03\x04half"])
def test_no_zip_at_all(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="damaged zip archive"):
        unpack(tmp_path / "a.zip", tmp_path, "top")
