"""The exit status of a command, and that what it prints is never what fails."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from gluon_attn.parser import Parser, exit_status


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP])
def test_a_file_that_cannot_be_used_is_a_sentence(number, capsys):
    def work():
        raise OSError(number, os.strerror(number), "there/a.csv")

    assert exit_status("greet", work) == 2
    said = capsys.readouterr().err
    assert said == (
        f"greet: 'there/a.csv' cannot be used ({os.strerror(number)}): give another place, or the rights to it.\n"
    )


def test_an_error_of_no_file_is_ours():
    def work():
        raise OSError(errno.EINVAL, "Invalid argument")

    with pytest.raises(OSError, match="Invalid argument"):
        exit_status("greet", work)


PRINTS = r"""
import sys
from gluon_attn.parser import exit_status
sys.exit(exit_status("greet", lambda: print("latin-\udce9 \u00e9t\u00e9 \ud800")))
"""


@pytest.mark.parametrize(
    "encoding, said",
    [("utf-8", "latin-\\udce9 \u00e9t\u00e9 \\ud800"), ("ascii", "latin-\\udce9 \\xe9t\\xe9 \\ud800")],
)
def test_anything_is_printed(encoding, said):
    options = dict(env={**os.environ, "PYTHONIOENCODING": encoding}, stdout=subprocess.PIPE, check=True)
    found = subprocess.run([sys.executable, "-c", PRINTS], **options)
    assert found.stdout.decode("utf-8") == said + "\n"


def test_nobody_need_listen():
    subprocess.run(["sh", "-c", '"$0" -c "$1" >&-', sys.executable, PRINTS], check=True)


def test_an_option_says_its_default(capsys):
    parser = Parser(prog="greet")
    parser.add_option("--times", 3, "how often", type=int)
    assert parser.parse_args([]).times == 3 and parser.parse_args(["--times", "5"]).times == 5
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "how often (default: 3)" in capsys.readouterr().out
