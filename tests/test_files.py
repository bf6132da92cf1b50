"""Files are whole or absent: every way in which this package writes one, on a full disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from matplotlib.figure import Figure

from gluon_attn import files
from gluon_attn.errors import GluonAttnError, WriteError
from gluon_attn.figures import save_figure
from gluon_attn.weights.files import write_parameters
from tests.full_disk import full_disk


def figure():
    drawn = Figure()
    drawn.subplots().imshow(np.random.RandomState(0).rand(50, 50))
    return drawn


def dense():
    net = mx.gluon.nn.Dense(1000, in_units=10)
    net.initialize()
    return net


ROWS = [{"a": number, "b": "text, with a comma"} for number in range(100)]
WRITERS = {
    "text": lambda path: files.write_text(path, "new" * 100),
    "bytes": lambda path: files.write_bytes(path, b"new" * 100),
    "table": lambda path: files.write_csv(path, ROWS),
    "lines": lambda path: files.append_text(path, "new" * 100),
    "picture": lambda path: save_figure(figure(), path, dpi=50),
    "weights": lambda path: write_parameters(path, dense()),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("old", [True, False])
def test_on_a_full_disk_the_old_file_survives_and_a_sentence_says_so(writer, old, tmp_path):
    path = tmp_path / "file.png"
    if old:
        path.write_text("old")
    kept = "; the file that was there is as it was" if old else ""
    with full_disk(20), pytest.raises(WriteError, match=rf"file.png was not written \(.*\){kept}. Free some space and"):
        WRITERS[writer](path)
    if old:
        assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == (1 if old else 0)
    WRITERS[writer](path)
    assert path.stat().st_size > 200


@pytest.mark.parametrize("writer", WRITERS)
def test_folders_are_made_and_what_is_none_is_a_sentence(writer, tmp_path):
    WRITERS[writer](tmp_path / "a" / "b" / "c.png")
    assert (tmp_path / "a" / "b" / "c.png").stat().st_size > 200
    with pytest.raises(WriteError, match=r"was not written \(Is a directory\). Give another place"):
        WRITERS[writer](tmp_path / "a")
    with pytest.raises(WriteError, match="was not written .*Give another place and try again"):
        WRITERS[writer](tmp_path / "a" / "b" / "c.png" / "d.png")


def test_a_folder_is_filled_with_all_files_or_none(tmp_path):
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "a.txt").write_text("old")

    def fill():
        with files.filling(tmp_path) as temporary:
            for name in ("a.txt", "b.txt", "c.txt"):
                files.write_text(temporary / name, "new")

    with pytest.raises(WriteError, match=r"b.txt was not written \(Is a directory\). Give another place"):
        fill()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
    (tmp_path / "b.txt").rmdir()
    fill()
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["new"] * 3


def test_a_link_stays_a_link_and_rights_stay(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    files.write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_to(tmp_path):
    files.write_text("/dev/null", "new")
    assert not os.path.isfile("/dev/null")
    if os.path.exists("/dev/full"):
        with pytest.raises(WriteError, match="No space left on device"):
            files.write_text("/dev/full", "new")


def test_a_picture_of_no_known_kind_is_a_sentence(tmp_path):
    with pytest.raises(GluonAttnError, match=r"are not written as .xyz. Choices: .*png"):
        save_figure(figure(), tmp_path / "a.xyz", dpi=50)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_standard_output_on_a_full_disk_is_one_sentence():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "gluon_attn.cli", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"gluon-attn: .*No space left on device.*\n", done.stderr), done.stderr


WRITES = """
import sys
from gluon_attn import files
print("first")
files.write_csv(sys.argv[1], [{"name": "latin-\\udce9"}])
print("last")
"""


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs /dev/stdout")
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("pipe", [True, False])
def test_what_was_printed_before_stays(path, pipe, tmp_path):
    with open(tmp_path / "out", "w+") as out:
        stream = subprocess.PIPE if pipe else out
        answer = subprocess.run([sys.executable, "-c", WRITES, path], stdout=stream, text=True, check=True)
        out.seek(0)
        assert (answer.stdout if pipe else out.read()) == "first\nname\nlatin-\\udce9\nlast\n"


def test_lines_of_names_that_are_no_text(tmp_path):
    files.append_text(tmp_path / "a.csv", "latin-\udce9\n")
    assert (tmp_path / "a.csv").read_text() == "latin-\\udce9\n"
