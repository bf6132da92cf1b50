"""Every command of cmd_scripts.txt runs with --dry-run, in this process: no line rots."""

from __future__ import annotations

import importlib
import json
import shlex
from pathlib import Path

import pytest

from gluon_attn import cli
from gluon_attn.commands import train as script
from gluon_attn.recipe.files import list_recipes
from gluon_attn.weights import all_published

ROOT = Path(__file__).parents[2]
LINES = [
    line
    for line in (ROOT / "cmd_scripts.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Neither data sets nor downloaded weights are there; the host file is.

    MXNet is: a line's --threads would come too late, as it does not in a process of its own.
    """
    monkeypatch.setattr("gluon_attn.threads.take", lambda count: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "missing"))
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


MEASURING = [line for line in LINES if line.startswith("python -m benchmarks.")]


@pytest.mark.parametrize("line", MEASURING)
def test_a_line_that_measures_has_only_flags_that_there_are(line, capsys):
    _, _, module, *flags = shlex.split(line)
    with pytest.raises(SystemExit):
        importlib.import_module(module).main([*flags, "--no-such-flag"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --no-such-flag\n")


@pytest.mark.parametrize("line", [line for line in LINES if line not in MEASURING])
def test_a_line(line, capsys, tmp_path):
    status = dry_run(line)
    output = capsys.readouterr()
    assert not status, output.err
    if not {"launch", "data"}.intersection(line.split()[:2]):
        assert "model " in output.out
    assert [path.name for path in tmp_path.iterdir()] == ["hosts.txt"]  # nothing is written


@pytest.mark.parametrize("tag", ["clutter", "tiny-imagenet"])
def test_how_long_the_stored_networks_took(tag):
    files = (ROOT / "params" / tag).rglob("metrics.json")
    minutes = [json.loads(path.read_text(encoding="utf-8"))["seconds"] / 60 for path in files]
    text = (ROOT / "cmd_scripts.txt").read_text(encoding="utf-8").replace("\n# ", " ")
    assert f" {min(minutes):.0f} to {max(minutes):.0f} minutes each on one core" in text


def test_each_recipe_has_its_command():
    text = "\n".join(LINES)
    assert [name for name in list_recipes() if f"--recipe {name} " not in text] == [], "write it in cmd_scripts.txt"


def test_each_published_training_figure_has_its_command():
    text = " ".join(LINES)
    for model in ("aff_resnet50", "iaff_resnet50", "aff_resnext50_32x4d", "iaff_resnext50_32x4d"):
        recipe = "openaff_imagenet" + ("_resnext" if "resnext" in model else "")
        assert f"--recipe {recipe} --model {model} " in text


def test_each_published_error_has_its_evaluation():
    """With the figure of the table of weights in the line above."""
    text = (Path(__file__).parents[2] / "cmd_scripts.txt").read_text(encoding="utf-8")
    published = [entry for entry in all_published() if entry.top1_error is not None]
    assert len(published) > 20
    for entry in published:
        top5 = "" if entry.top5_error is None else f"/{entry.top5_error:.2f}"
        command = f"gluon-attn evaluate --model {entry.model} --pretrained {entry.tag} "
        assert f"\n#= {entry.top1_error:.2f}{top5}\n{command}" in text
