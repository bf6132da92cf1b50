"""Finding and fetching, against a server on 127.0.0.1 that breaks off, lies and refuses."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import time
import zipfile

import numpy as np
import pytest

from gluon_attn import cli
from gluon_attn.errors import WeightsError
from gluon_attn.weights import choose, download, fetch, find
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


HEAD = b"HTTP/1.1 200 OK\r\n"
LIES = {
    "a length that is no number": (HEAD + b"Content-Length: many\r\n\r\n", "states a length that is no number: 'many'"),
    "a length of strange digits": (HEAD + "Content-Length: ²²\r\n\r\n".encode("latin-1"), "a length that is no number"),
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\n", "a length that is no number"),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "cannot be read|no number"),
    "a length of a terabyte": (HEAD + b"Content-Length: 1000000000000\r\n\r\n", "sends more than"),
    "a part that was not asked for": (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde",
        "sent a part of the file .206., though all of it was asked for",
    ),
    "a redirect to nowhere": (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", "redirects to, is broken"),
    "a redirect to a port that is none": (b"HTTP/1.1 302 Found\r\nLocation: http://a:99999/\r\n\r\n", "is broken"),
    "a redirect to a file": (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "is broken"),
    "a redirect to no name": (b"HTTP/1.1 302 Found\r\nLocation: http://..a/\r\n\r\n", "is broken|is not known"),
    "a redirect to a very long name": (
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 300 + b"/\r\n\r\n",
        "is broken|is not known",
    ),
    "a redirect without a place": (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "answered 302"),
    "control characters": (b"HTTP/1.1 404 \x1b[31mred\x07\x9b2J\r\nContent-Length: 0\r\n\r\n", "answered 404 .*red"),
    "a compressed body": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "sent the file compressed"),
    "chunks of no size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "cannot be read"),
    "no HTTP": (b"\x1b[31mSSH-2.0\x07\r\n\r\n", "cannot be read"),
    "nothing": (b"", "cannot be read"),
    "too many headers": (HEAD + b"A: b\r\n" * 1000 + b"\r\n", "cannot be read"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_lie_of_the_server_is_one_printable_sentence(case, tmp_path):
    answer, message = LIES[case]
    with serving(CONTENT, plan=[answer] * 9) as server, pytest.raises(WeightsError, match=message) as error:
        find.verified_bytes(entry_at(server), tmp_path)
    assert left_in(tmp_path) == []
    assert str(error.value).isprintable()


@pytest.mark.parametrize("answer", ["drip", "drip head", "silence"])
def test_a_server_that_drips_is_given_up_and_the_lock_is_free(answer, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(download, "ANSWER", 0.6)
    monkeypatch.setattr(download, "PATIENCE", 0.6)
    monkeypatch.setattr(download, "_SILENCE", 0.2)
    message = "sent less than a megabyte in 0.6 s" if answer == "drip" else "did not answer within 0.6 s"
    with serving(CONTENT, plan=[answer]) as server:
        entry, begun = entry_at(server), time.monotonic()
        with pytest.raises(WeightsError, match=message):
            find.verified_bytes(entry, tmp_path)
        assert time.monotonic() - begun < 5 and len(server.requests) == 1
        assert f"waiting for 127.0.0.1:{server.server_port}: " in caplog.text and "given up after 0.6 s" in caplog.text
        assert left_in(tmp_path) == []
        assert find.verified_bytes(entry, tmp_path)[0] == CONTENT  # the lock is free


def test_a_slow_server_that_goes_on_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ANSWER", 5)
    with serving(CONTENT, delay=0.3) as server:
        assert find.verified_bytes(entry_at(server), tmp_path)[0] == CONTENT


@pytest.mark.parametrize(
    "answer", ["html", 404, "half", "whole", b"HTTP/1.1 302 Found\r\nLocation: http://x:y:z@[\r\n\r\n"]
)
@pytest.mark.parametrize("password", ["pa55word", "pa55/word", "pa55@word"])
def test_the_password_of_a_mirror_is_in_no_message(answer, password, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="gluon_attn.weights")
    with serving(CONTENT[1:], plan=[answer] * 9) as server:
        mirror = server.url.replace("://", f"://somebody:{password}@")
        monkeypatch.setenv("GLUON_ATTN_REPO", mirror)
        entry = entry_at(server)
        with pytest.raises(WeightsError) as error:
            find.verified_bytes(entry, tmp_path)
        said = [str(error.value), caplog.text, find.outlook(entry, tmp_path)[1]]
    monkeypatch.setenv("GLUON_ATTN_REPO", f"http://somebody:{password}@127.0.0.1:9")  # nobody listens
    with pytest.raises(WeightsError) as error:
        find.verified_bytes(entry, tmp_path)
    for text in [*said, str(error.value)]:
        assert "somebody" not in text and "pa55" not in text


def test_no_network_is_known_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "BACK_OFF", 1.0)
    begun = time.monotonic()
    for url in ("http://127.0.0.1:9", "http://no-such-name.invalid"):
        monkeypatch.setenv("GLUON_ATTN_REPO", url)
        with pytest.raises(WeightsError, match="refused the connection|its name is not known: is there a network"):
            find.verified_bytes(entry_for("cifar_resnet20", CONTENT, url="http://x.invalid/w.params"), tmp_path)
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "dangling link"])
def test_a_part_that_is_a_link_is_not_followed(kind, tmp_path):
    victim, folder = tmp_path / "victim", tmp_path / "models"
    folder.mkdir()
    with serving(CONTENT) as server:
        entry = entry_at(server)
        part = folder / f".{entry.file_name}.part"
        victim.write_bytes(b"precious")
        if kind == "pipe":
            os.mkfifo(part)
        elif kind == "hard link":
            os.link(victim, part)
        else:
            part.symlink_to(victim if kind == "link" else tmp_path / "new")
        assert find.verified_bytes(entry, folder)[0] == CONTENT
    assert victim.read_bytes() == b"precious" and not (tmp_path / "new").exists()
    assert left_in(folder) == [entry.file_name] and not (folder / entry.file_name).is_symlink()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / LOCK).symlink_to(tmp_path / "new")
    with serving(CONTENT) as server, pytest.raises(WeightsError, match="Cannot write into"):
        find.verified_bytes(entry_at(server), tmp_path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_folder_is_a_mirror(form, tmp_path, monkeypatch):
    folder, root = tmp_path / "a b%20c", tmp_path / "root"
    folder.mkdir()
    named = str(folder).replace("%", "%25").replace(" ", "%20") if "file" in form else folder
    monkeypatch.setenv("GLUON_ATTN_REPO", form.format(named))
    entry = entry_for("cifar_resnet20", CONTENT, url="http://x.invalid/some/published%20name.params")
    with pytest.raises(WeightsError, match=r"has no file 'published name.params', the weights 'test' .*: put it there"):
        find.verified_bytes(entry, root)
    assert find.outlook(entry, root)[0] is False
    (folder / "published name.params").write_bytes(CONTENT)
    assert find.verified_bytes(entry, root) == (CONTENT, folder / "published name.params")
    assert find.outlook(entry, root) == (True, f"from {folder / 'published name.params'}")
    (folder / "published name.params").write_bytes(CONTENT[1:])
    with pytest.raises(WeightsError, match="is not the published file"):
        find.verified_bytes(entry, root)


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("/no/such/folder", "names the folder '/no/such/folder', and there is none"),
        ("mirror.org/files", "and there is none. An address begins with http://"),
        ("ftp://me:secret@mirror.org", "'ftp://mirror.org' is neither http://"),
        ("file://server/share", "is a file on 'server'"),
    ],
)
def test_a_mirror_that_is_none(mirror, message, tmp_path, monkeypatch):
    monkeypatch.setenv("GLUON_ATTN_REPO", mirror)
    with pytest.raises(WeightsError, match=message):
        find.verified_bytes(entry_for("cifar_resnet20", CONTENT, url="http://x.invalid/w.params"), tmp_path)


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


@pytest.mark.parametrize(
    "address, said",
    [
        ("http://user:SECRET@a.example/x", "http://a.example/x"),
        ("http://user:my SECRET@a.example/x", "http://a.example/x"),
        ("user:SECRET@a.example/x", "a.example/x"),
        ("/home/me@work/x", "/home/me@work/x"),
        ("not set", "not set"),
    ],
)
def test_no_password_is_shown(address, said, monkeypatch, capsys):
    assert download.without_password(address) == said
    monkeypatch.setenv("GLUON_ATTN_REPO", address)
    assert cli.main(["env"]) == 0
    assert "SECRET" not in capsys.readouterr().out
