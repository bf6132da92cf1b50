"""docs/your_own_pictures.md, line by line: files are written as it says, commands run as they stand."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "your_own_pictures.md"
SERVED = "runs/served/bin/"


def steps():
    """('write', (name, text)) for a block that begins with its file's name, ('run', line) for every command."""
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        if kind == "python":
            yield "write", (re.match(r"# (\S+\.py)\n", text)[1], text)
        else:
            yield from (("run", line) for line in text.splitlines())


def checkout(folder):
    """A copy of what git holds, and of what it does not ignore."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "results/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def environment(line, folder):
    """This Python's commands first; the served environment has nothing but what was installed into it."""
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    found["PYTHONPATH"] = "" if line.startswith(SERVED) else str(folder)
    return found


def test_the_page_has_the_whole_path():
    lines = [line for kind, line in steps() if kind == "run"]
    words = ["train --recipe finetune", "evaluate", "predict", "explain", "export", "pip install", "runs/ask.py"]
    places = [next(i for i, line in enumerate(lines) if word in line) for word in words]
    assert places == sorted(places)
    assert [name for kind, (name, *_) in steps() if kind == "write"] == ["shapes.py", "runs/ask.py"]


@pytest.mark.slow
def test_every_line_runs(tmp_path):
    checkout(tmp_path)
    said = {}
    for kind, step in steps():
        if kind == "write":
            name, text = step
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
            continue
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run = subprocess.run(["bash", "-c", step], cwd=tmp_path, env=environment(step, tmp_path), **pipes)
        assert run.returncode == 0, f"{step}\n{run.stdout}\n{run.stderr}"
        said[step] = run.stdout
    answers = _labels_of(tmp_path / "runs" / "answers.csv")
    right = [label == Path(path).parent.name for path, label in answers.items()]
    assert len(right) == 6 and sum(right) >= 5
    assert "95 % interval" in next(text for step, text in said.items() if " evaluate " in step)
    asked = said[f"{SERVED}python runs/ask.py"]
    assert "without MXNet" in asked
    served = dict(re.findall(r"^(new/\S+) (\w+) [\d.]+$", asked, re.MULTILINE))
    assert served == answers
    page = (tmp_path / "runs" / "shapes" / "explained.html").read_text(encoding="utf-8")
    assert "<html" in page and "triangle" in page


def _labels_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return {row["path"]: row["class"] for row in csv.DictReader(file) if row["rank"] == "1"}
