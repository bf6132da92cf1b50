"""Finding and fetching, against a server on 127.0.0.1 that breaks off, lies and refuses."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from gluon_attn.errors import WeightsError
from gluon_attn.weights import choose, fetch, find
from tests.weights.published import entry_for
from tests.weights.server import serving

CONTENT = np.random.RandomState(0).bytes(300_000)
LOCK = ".gluon_attn.lock"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetch, "BACK_OFF", 0)
    monkeypatch.delenv("GLUON_ATTN_REPO", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def entry_at(server, content=CONTENT, **changes):
    return entry_for("cifar_resnet20", content, **{"url": f"{server.url}/some/published%20name.params", **changes})


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def test_a_file_is_fetched_once_verified_and_kept(tmp_path):
    with serving(CONTENT) as server:
        entry = entry_at(server, kind="git-blob-sha1")
        for _ in range(2):
            data, path = find.verified_bytes(entry, tmp_path / "new" / "folder")
            assert data == CONTENT
        assert server.requests == [("/some/published%20name.params", None)]
    assert left_in(path.parent) == [f"cifar_resnet20-test-{entry.hash[:8]}.params"]
    assert path.read_bytes() == CONTENT


def test_the_mirror_is_asked_instead_and_by_the_published_name(tmp_path, monkeypatch):
    with serving(CONTENT) as server:
        monkeypatch.setenv("GLUON_ATTN_REPO", server.url + "/mirror/")
        entry = entry_at(server, url="https://example.invalid/a/b/seresnet.params")
        assert find.verified_bytes(entry, tmp_path)[0] == CONTENT
        assert server.requests == [("/mirror/seresnet.params", None)]


def test_mxnet_home_is_the_folder_without_root(tmp_path, monkeypatch):
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    with serving(CONTENT) as server:
        assert find.find(entry_at(server)).parent == tmp_path / "models"
    monkeypatch.delenv("MXNET_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find.weights_folder() == tmp_path / "home" / ".mxnet" / "models"


@pytest.mark.parametrize("name", ["ours", "published name.params"])
def test_a_file_put_there_by_hand_is_found_and_verified(name, tmp_path):
    with serving(CONTENT, plan=[404]) as server:
        entry = entry_at(server)
        path = tmp_path / (entry.file_name if name == "ours" else name)
        path.write_bytes(CONTENT)
        assert find.verified_bytes(entry, tmp_path) == (CONTENT, path)
        path.write_bytes(CONTENT[:-1] + b"?")
        with pytest.raises(WeightsError, match=r"is not the published file: its sha256 is .*, expected .* not opened"):
            find.verified_bytes(entry, tmp_path)
        assert not server.requests


def test_a_connection_that_breaks_is_resumed_where_it_broke(tmp_path):
    with serving(CONTENT, plan=["half", "half", 503]) as server:
        assert find.verified_bytes(entry_at(server), tmp_path)[0] == CONTENT
        first, second, third, fourth = [asked for _, asked in server.requests]
    # What arrived is kept but for the last, incomplete piece of 16 KB.
    assert first is None
    assert 150_000 - 16_384 <= int(second[len("bytes=") : -1]) <= 150_000
    assert 225_000 - 2 * 16_384 <= int(third[len("bytes=") : -1]) <= 225_000
    assert fourth == third  # nothing came with the 503


@pytest.mark.parametrize("answer", ["no range", "wrong place"])
def test_a_server_that_cannot_resume_sends_all_again(answer, tmp_path):
    with serving(CONTENT, plan=["half", answer]) as server:
        assert find.verified_bytes(entry_at(server), tmp_path)[0] == CONTENT


def test_a_killed_download_is_resumed_by_the_next_call(tmp_path):
    with serving(CONTENT) as server:
        entry = entry_at(server)
        (tmp_path / f".{entry.file_name}.part").write_bytes(CONTENT[:1000])
        assert find.verified_bytes(entry, tmp_path)[0] == CONTENT
        assert [asked for _, asked in server.requests] == ["bytes=1000-"]


@pytest.mark.parametrize("rest", [b"x" * 1000, CONTENT + b"more"])
def test_the_rest_of_another_file_is_thrown_away(rest, tmp_path):
    with serving(CONTENT) as server:
        entry = entry_at(server)
        (tmp_path / f".{entry.file_name}.part").write_bytes(rest)
        assert find.verified_bytes(entry, tmp_path)[0] == CONTENT
        assert server.requests[-1][1] is None
    assert left_in(tmp_path) == [entry.file_name]


FAILURES = {
    "gone": ([404], "answered 404 Not Found", 1),
    "forbidden": ([403], "answered 403 Forbidden", 1),
    "down": ([503] * 9, "answered 503 Service Unavailable", 5),
    "dies half-way": (["half"] * 9, "cannot be read|broke off", 5),
    "web page": (["html"], "sent a web page instead of a file", 1),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_sentence_and_leaves_nothing(case, tmp_path):
    plan, message, attempts = FAILURES[case]
    with serving(CONTENT, plan=plan) as server:
        entry = entry_at(server)
        with pytest.raises(WeightsError, match=message) as error:
            find.verified_bytes(entry, tmp_path)
        assert len(server.requests) == attempts
    assert left_in(tmp_path) == []
    for needed in (entry.file_name, entry.url, entry.hash, str(tmp_path), "GLUON_ATTN_REPO"):
        assert needed in str(error.value)


def test_no_network_is_the_same_sentence(tmp_path):
    with serving(CONTENT) as server:
        entry = entry_at(server)  # and the server is gone
    with pytest.raises(WeightsError, match=r"127.0.0.1:\d+ cannot be read .*refused") as error:
        find.verified_bytes(entry, tmp_path)
    assert "Without a network, download http://127.0.0.1" in str(error.value)


def test_another_file_than_the_published_one_is_not_kept(tmp_path):
    with serving(CONTENT[:-1]) as server, pytest.raises(WeightsError, match=r"is not the published file: its sha256"):
        find.verified_bytes(entry_at(server), tmp_path)
    with serving(b"<!DOCTYPE html>Not here") as server, pytest.raises(WeightsError, match="looks like a web page"):
        find.verified_bytes(entry_at(server), tmp_path)
    assert left_in(tmp_path) == []


def archive(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def test_the_member_of_an_archive_is_what_is_kept(tmp_path):
    zipped = archive({"../outside.params": b"evil", "w.params": CONTENT})
    with serving(zipped) as server:
        entry = entry_at(server, url=f"{server.url}/w.params.zip", member="w.params")
        assert find.verified_bytes(entry, tmp_path / "models")[0] == CONTENT
        assert (tmp_path / "models" / entry.file_name).read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [LOCK, entry.file_name]


def test_an_archive_put_there_by_hand_is_read_in_place(tmp_path):
    (tmp_path / "w.params.zip").write_bytes(archive({"w.params": CONTENT}))
    entry = entry_for("cifar_resnet20", CONTENT, url="http://127.0.0.1:9/w.params.zip", member="w.params")
    assert find.verified_bytes(entry, tmp_path)[0] == CONTENT
    assert left_in(tmp_path) == ["w.params.zip"]


@pytest.mark.parametrize(
    "zipped,message",
    [
        (archive({"../w.params": CONTENT}), "has no member 'w.params'"),
        (archive({"w.params": CONTENT})[:2000], "is not the published file"),
        (archive({"w.params": CONTENT[::-1]}), "is not the published file"),
    ],
)
def test_a_wrong_archive_raises_and_leaves_nothing(zipped, message, tmp_path):
    with serving(zipped) as server:
        entry = entry_at(server, url=f"{server.url}/w.params.zip", member="w.params")
        with pytest.raises(WeightsError, match=message):
            find.verified_bytes(entry, tmp_path / "models")
    assert left_in(tmp_path / "models") == [] and left_in(tmp_path) == ["models"]


def test_what_no_program_can_fetch_says_so(tmp_path):
    entry = choose("eca_resnet50d", "timm")
    with pytest.raises(WeightsError, match="must be downloaded by hand .* as eca_resnet50d-timm.safetensors"):
        find.find(entry, tmp_path)
    (tmp_path / "eca_resnet50d-timm.safetensors").write_bytes(b"x")
    assert find.find(entry, tmp_path).name == "eca_resnet50d-timm.safetensors"


def run(script, *arguments, **environment):
    """A process that has imported nothing but the fetching code."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


FETCH = """
    import sys
    from gluon_attn.weights import WeightsEntry, find
    import portalocker, requests, tqdm
    url, hash_, folder = sys.argv[1:]
    entry = WeightsEntry("m", "t", "gluon_attn", url, None, "sha256", hash_, None, None, 10, {})
"""


def test_two_processes_at_once_fetch_once(tmp_path):
    with serving(CONTENT, delay=1.0) as server:
        entry = entry_at(server)
        script = FETCH + "    print(len(find.verified_bytes(entry, folder)[0]))\n"
        processes = [run(script, entry.url, entry.hash, tmp_path) for _ in range(2)]
        outputs = [process.communicate(timeout=60) for process in processes]
        assert [out for out, _ in outputs] == [f"{len(CONTENT)}\n"] * 2, outputs
        assert len(server.requests) == 1
    assert len(left_in(tmp_path)) == 1


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    """As a user without rights, since root may write anywhere."""
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    script = """
        import os
        from gluon_attn.errors import WeightsError
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            find.verified_bytes(entry, folder or None)
        except WeightsError as error:
            print(error)
    """
    script = textwrap.dedent(FETCH) + textwrap.dedent(script)
    with serving(CONTENT) as server:
        entry = entry_at(server)
        for parent in [tmp_path, *tmp_path.parents]:
            if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
                parent.chmod(parent.stat().st_mode | 0o055)
        out, err = run(script, entry.url, entry.hash, "", HOME=str(home), MXNET_HOME="").communicate(timeout=60)
        assert not server.requests
    assert f"Cannot write into {home}/.mxnet/models (Permission denied)" in out, err
    assert "give root=, or set MXNET_HOME, to a folder that can be written" in out
