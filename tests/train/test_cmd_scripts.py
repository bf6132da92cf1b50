"""Every command of cmd_scripts.txt runs with --dry-run, in this process: no line rots."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path

import pytest

from gluon_attn import cli
from gluon_attn.train import script

LINES = [
    line
    for line in (Path(__file__).parents[2] / "cmd_scripts.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """The data sets are not there; the host file is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.txt").write_text("localhost\n")


def dry_run(line):
    words = [word.replace("$", "missing/") for word in shlex.split(line)]
    if words[0] == "python":
        kinds = {"train_cifar.py": "cifar", "train_imagenet.py": "imagenet"}
        if words[1] in kinds:
            return script.main(kinds[words[1]], [*words[2:], "--dry-run"])
        return importlib.import_module(Path(words[1]).stem).main([*words[2:], "--dry-run"])
    assert words[0] == "gluon-attn"
    at = words.index("--") if "--" in words else len(words)
    return cli.main([*words[1:at], "--dry-run", *words[at:]])


@pytest.mark.parametrize("line", LINES)
def test_a_line(line, capsys, tmp_path):
    status = dry_run(line)
    output = capsys.readouterr()
    assert not status, output.err
    if " launch " not in line:
        assert "model " in output.out
    assert [path.name for path in tmp_path.iterdir()] == ["hosts.txt"]  # nothing is written


def test_each_published_training_figure_has_its_command():
    text = " ".join(LINES)
    for model in ("aff_resnet50", "iaff_resnet50", "aff_resnext50_32x4d", "iaff_resnext50_32x4d"):
        assert f"--recipe openaff_imagenet --model {model} " in text
