"""`gluon-attn data` against a server on 127.0.0.1 that breaks off and lies."""

from __future__ import annotations

import pytest

from gluon_attn import cli, data
from gluon_attn.weights import fetch
from tests.data import tiny_tree
from tests.data.test_tiny_imagenet import NAME, use_archive
from tests.weights.server import serving

CONTENT = tiny_tree.zipped(train=2, val=1)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(fetch, "BACK_OFF", 0)
    monkeypatch.delenv("GLUON_ATTN_REPO", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(server, folder, monkeypatch):
    use_archive(monkeypatch, CONTENT, url=f"{server.url}/tiny-imagenet-200.zip")
    return cli.main(["data", NAME, "--output", str(folder)])


def test_fetched_resumed_verified_unpacked_and_then_left_alone(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "new" / "folder"
    with serving(CONTENT, ["half", "half"]) as server:
        assert get(server, folder, monkeypatch) == 0
        (_, first), (_, second), (_, third) = server.requests
        assert first is None and 0 < int(second[6:-1]) < int(third[6:-1]) < len(CONTENT)  # bytes=N-
        assert get(server, folder, monkeypatch) == 0 and len(server.requests) == 3
    out = capsys.readouterr().out
    assert f"tiny-imagenet: {folder / tiny_tree.TOP}" in out and "is there" in out
    assert len(data.get_dataset(NAME, "train", root=folder)) == 6


def test_a_zip_that_was_given_is_not_fetched(tmp_path, monkeypatch):
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(CONTENT)
    with serving(b"another") as server:
        assert get(server, tmp_path, monkeypatch) == 0 and not server.requests
    assert (tmp_path / tiny_tree.TOP / "wnids.txt").is_file()


def test_another_file_is_not_unpacked(tmp_path, monkeypatch, capsys):
    with serving(CONTENT[:-1] + b"x") as server:
        assert get(server, tmp_path, monkeypatch) == 2
    assert "is not the published file: its md5 is" in capsys.readouterr().err
    assert not (tmp_path / tiny_tree.TOP).exists() and not (tmp_path / "tiny-imagenet-200.zip").exists()


def test_what_is_no_folder_is_said_in_this_commands_words(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    with serving(CONTENT) as server:
        assert get(server, tmp_path / "file", monkeypatch) == 2 and not server.requests
    said = capsys.readouterr().err
    assert "give --output a folder that can be written" in said and "root=" not in said and "MXNET_HOME" not in said


def test_names(capsys):
    assert cli.main(["data", "tiny-imagnet", "--output", "x"]) == 2
    assert "Did you mean 'tiny-imagenet'" in capsys.readouterr().err


def test_half_a_data_set_is_not_there(tmp_path, capsys):
    (tmp_path / "tiny-imagenet-200" / "train").mkdir(parents=True)
    assert cli.main(["data", "tiny-imagenet", "--output", str(tmp_path)]) == 2
    assert "is there, and not whole" in capsys.readouterr().err


def test_a_mirror_that_is_a_folder_is_looked_into(tmp_path, monkeypatch, capsys):
    use_archive(monkeypatch, CONTENT, url="http://nowhere.invalid/tiny-imagenet-200.zip")
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("GLUON_ATTN_REPO", str(tmp_path / "mirror"))
    words, there = ["data", NAME, "--output", str(tmp_path / "out")], tmp_path / "mirror" / "tiny-imagenet-200.zip"
    assert cli.main(words) == 2 and "put it there" in capsys.readouterr().err
    there.write_bytes(b"other")
    assert cli.main(words) == 2 and "is damaged or another file" in capsys.readouterr().err
    there.write_bytes(CONTENT)
    assert cli.main([*words, "--dry-run"]) == 0 and str(there) in capsys.readouterr().out
    assert cli.main(words) == 0 and len(data.get_dataset(NAME, "train", root=tmp_path / "out")) > 0
