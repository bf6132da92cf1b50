"""The file of a checkpoint: what it holds, and that no other one is taken for it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from gluon_attn.errors import GluonAttnError
from gluon_attn.train import checkpoint, fit
from gluon_attn.train.checkpoint import Checkpoints
from gluon_attn.train.run import Run
from tests.train.tiny import counted_from, edited, tiny, weights


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "run"
    fit(tiny(folder), progress=False)
    return folder


def test_a_checkpoint_holds_no_pickle(tmp_path):
    fit(tiny(tmp_path, epochs=1, ema=0.9), progress=False)
    arrays, meta = checkpoint.read(Checkpoints(tmp_path).paths()[0])
    kinds = {name.split("/")[0] for name in arrays}
    assert kinds == {"param", "running", "optimiser", "ema", "loss"}
    assert {array.dtype.kind for array in arrays.values()} == {"f"}
    assert meta["epoch"] == 1 and json.dumps(meta)


def begun(recipe):
    run = Run(recipe, progress=False)
    try:
        run.begin()
    finally:
        run.close()
    return run


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_newest_checkpoint_is_passed_over(two_epochs, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(two_epochs, folder)
    whole = weights(folder)
    newest, before = Checkpoints(folder).paths()
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        arrays, _ = checkpoint.read(newest)  # half of the file's length may be a zip's date, which nobody needs
        content[content.index(arrays[_first(arrays)].tobytes())] ^= 1
    newest.write_bytes(b"" if damage == "empty" else content[: -1000 if damage == "truncated" else None])
    fit(tiny(folder, resume="auto"), progress=False)
    log = (folder / "train.log").read_text()
    assert f"warning: The checkpoint '{newest}' is damaged" in log and "resumed at epoch 2, batch 0" in log
    for name, array in weights(folder).items():
        np.testing.assert_array_equal(array, whole[name])
    for path in Checkpoints(folder).paths():
        path.write_bytes(b"x")
    with pytest.raises(GluonAttnError, match="None of the 2 checkpoints .* can be used: take another --output"):
        fit(tiny(folder, resume="auto"), progress=False)
    assert before


def test_a_checkpoint_that_numbers_the_weights_is_read(two_epochs, tmp_path):
    """As they did once: by their places in the Trainer."""
    folder = tmp_path / "run"
    shutil.copytree(two_epochs, folder)
    newest = Checkpoints(folder).paths()[0]
    arrays, meta = checkpoint.read(newest)
    with counted_from(100):
        run = Run(tiny(tmp_path / "other"), progress=False)
        paths = checkpoint._paths(run.net, run.trainer)
        run.close()
        places = {f"optimiser/{path}/0": f"optimiser/{place}/0" for place, path in enumerate(paths)}
        checkpoint.write(newest, {places.get(name, name): array for name, array in arrays.items()}, meta)
        numbered, _ = checkpoint.read(newest)
        assert "optimiser/0/0" in numbered and len(numbered) == len(arrays)
    with counted_from(100):
        fit(tiny(folder, resume="auto"), progress=False)
    assert "warning" not in (folder / "train.log").read_text()


def _first(arrays):
    return next(name for name in arrays if name.startswith("param/"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda arrays, meta: meta.update(batch=999), "batch 999"),
        (lambda arrays, meta: meta.update(epoch=-5), "epoch = -5"),
        (lambda arrays, meta: meta.pop("history"), "does not say 'history'"),
        (lambda arrays, meta: arrays.pop(_first(arrays)), "has no 'param/"),
        (lambda arrays, meta: arrays.update({"optimiser/²/0": np.zeros(1, "float32")}), "no place for: optimiser/²/0"),
        (lambda arrays, meta: arrays.update({_first(arrays): np.zeros((2, 2), "float32")}), "has shape"),
        (
            lambda arrays, meta: arrays.update({"optimiser/0/0": np.zeros((2, 2), "float32")}),
            "twice, once by the number",
        ),
        (lambda arrays, meta: arrays.update({_first(arrays): np.zeros(3, "complex64")}), "no array of real numbers"),
        (lambda arrays, meta: arrays.update({_first(arrays): np.array(["a"])}), "no array of real numbers"),
        (lambda arrays, meta: arrays.update({_first(arrays): np.zeros(3, "int64")}), "of type int64"),
        (lambda arrays, meta: arrays.update({_first(arrays): np.full(3, np.nan, "float32")}), "not finite"),
    ],
)
def test_an_edited_checkpoint_is_named_and_the_older_one_taken(two_epochs, tmp_path, change, sentence):
    folder = tmp_path / "run"
    shutil.copytree(two_epochs, folder)
    newest = Checkpoints(folder).paths()[0]
    edited(newest, change)
    with pytest.raises(GluonAttnError, match=sentence):
        fit(tiny(folder, resume=str(newest)), progress=False)
    run = begun(tiny(folder, resume="auto"))
    assert (run.epoch, run.batch) == (1, 0)
    log = (folder / "train.log").read_text()
    assert sentence in log and str(newest) in log and "resumed at epoch 2, batch 0" in log


@pytest.mark.parametrize(
    ("resumed", "changes", "command"),
    [
        ("auto", {}, "train.py --seed 0"),
        ("auto", {"epochs": 3}, "train.py --seed 0 --epochs 3"),
        ("named", {}, "train.py --seed 0"),
        ("named", {"lr": 0.01}, "train.py --lr 0.01 --resume"),
    ],
)
def test_a_run_keeps_the_command_of_its_beginning(two_epochs, tmp_path, monkeypatch, resumed, changes, command):
    """One that goes on under other settings is another run."""
    folder, step = tmp_path / "run", dict(schedule="step", milestones=[1])
    shutil.copytree(two_epochs, folder)
    newest = Checkpoints(folder).paths()[0]
    edited(newest, lambda arrays, meta: meta.update(command="train.py --seed 0", recipe={**meta["recipe"], **step}))
    monkeypatch.setattr("sys.argv", ["train.py", "--lr", "0.01", "--resume"])
    run = begun(tiny(folder, resume="auto" if resumed == "auto" else str(newest), **step, **changes))
    assert run.command == command
