"""A run that goes on, and a teacher, know the classes that the data have; what was left out before stays said."""

from __future__ import annotations

import json

import pytest

from gluon_attn.errors import GluonAttnError
from gluon_attn.train import fit, plan
from gluon_attn.train.stop import Stopped
from gluon_attn.weights.labels import first_renamed
from tests.data.test_folder import write
from tests.train.tiny import edited, stop_after, tiny, weights


@pytest.fixture
def pictures(tmp_path):
    return write(tmp_path / "pictures", count=10)


def _recipe(output, root, **changes):
    common = dict(dataset="folder", dataset_options={}, data_root=str(root), image_size=16, epochs=1)
    return tiny(output, **{**common, **changes})


def _renamed(pictures):
    (pictures / "owl").rename(pictures / "ape")
    return pictures


REFUSED = "other classes: where it knew 'cat', folder has 'ape' now. .* start anew from its weights"


@pytest.mark.parametrize("early", [False, True])
def test_a_finished_run_keeps_its_names(early, pictures, tmp_path):
    fit(_recipe(tmp_path / "run", pictures), progress=False)
    if early:  # of a version that kept no names in checkpoints: the card has them
        (checkpoint,) = (tmp_path / "run").glob("checkpoint-*.npz")
        edited(checkpoint, lambda _, meta: meta.pop("classes"))
    card = (tmp_path / "run" / "card.json").read_bytes()
    _renamed(pictures)
    with pytest.raises(GluonAttnError, match=REFUSED):
        fit(_recipe(tmp_path / "run", pictures, resume="auto"), progress=False)
    assert (tmp_path / "run" / "card.json").read_bytes() == card
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*.npz")
    with pytest.raises(GluonAttnError, match=REFUSED):
        fit(_recipe(tmp_path / "other", pictures, resume=str(checkpoint), epochs=2), progress=False)


def test_an_unfinished_run_keeps_its_names(pictures, tmp_path, monkeypatch):
    with monkeypatch.context() as context, pytest.raises(Stopped):
        stop_after(2, context)
        fit(_recipe(tmp_path / "run", pictures), progress=False)
    with pytest.raises(GluonAttnError, match=REFUSED):
        fit(_recipe(tmp_path / "run", _renamed(pictures), resume="auto"), progress=False)


@pytest.mark.parametrize(
    "known, now",
    [
        (["0", "1"], ["n01440764", "n01443537"]),
        (["cat", "dog", "class 2"], ["cat", "dog", "zebra"]),
        (["tench", "goldfish"], ["n01440764", "n01443537"]),
        (["\u00e9t\u00e9", "b"], ["e\u0301te\u0301", "b"]),
    ],
)
def test_names_that_are_none_or_written_otherwise(known, now):
    assert first_renamed(known, now) is None
    assert first_renamed(now, known) is None


@pytest.mark.parametrize(
    "known, now, pair",
    [
        (["0", "1", "2"], ["0", "1", "10"], ("2", "10")),
        (["0", "1", "2"], ["0", "2", "one"], ("1", "2")),
        (["cat", "dog"], ["7", "dog"], ("cat", "7")),
        (["cat", "dog"], ["dog", "cat"], ("cat", "dog")),
        (["n01440764", "n01443537"], ["n01440764", "n01484850"], ("n01443537", "n01484850")),
        (["class 0", "cat"], ["ape", "owl"], ("cat", "owl")),
    ],
)
def test_folders_called_by_numbers_are_names_too(known, now, pair):
    """A class of digits that is exchanged moves the others: 0, 1, 10, 2, ..."""
    assert first_renamed(known, now) == pair


@pytest.mark.parametrize("act", [lambda recipe: fit(recipe, progress=False), plan])
def test_a_teacher_of_other_classes_is_refused(act, pictures, tmp_path):
    fit(_recipe(tmp_path / "teacher", pictures), progress=False)
    taught = dict(teacher="cifar_resnet20", teacher_weights=str(tmp_path / "teacher" / "last.params"))
    assert act(_recipe(tmp_path / "same", pictures, **taught))
    with pytest.raises(
        GluonAttnError, match="of the teacher .* where they know 'cat', the student has 'ape'. Give weights"
    ):
        act(_recipe(tmp_path / "other", _renamed(pictures), **taught))


def test_pictures_left_out_before_are_still_said(pictures, tmp_path):
    (pictures / "cat" / "bad.png").write_bytes(b"no picture")
    recipe = _recipe(tmp_path / "run", pictures, on_bad_image="skip", epochs=2)
    before = fit(recipe, progress=False)["skipped_images"]
    assert list(before) == [str(pictures / "cat" / "bad.png")]
    fit(recipe.replace(resume="auto"), progress=False)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["skipped_images"] == before


def test_without_a_checkpoint_it_is_said_that_a_run_starts_anew(pictures, tmp_path):
    fit(_recipe(tmp_path / "run", pictures, resume="auto"), progress=False)
    assert "starts anew" not in (tmp_path / "run" / "train.log").read_text()
    for path in [*(tmp_path / "run").glob("checkpoint-*.npz"), tmp_path / "run" / "metrics.json"]:
        path.unlink()
    fit(_recipe(tmp_path / "run", pictures, resume="auto"), progress=False)
    assert "to go on from: the run starts anew" in (tmp_path / "run" / "train.log").read_text()


def test_a_folder_that_cannot_be_written_is_said_at_once(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    with pytest.raises(GluonAttnError, match="cannot be written .no rights to .*: take another --output"):
        fit(_recipe(tmp_path / "run" / "deep", pictures), progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_batch_without_a_picture_that_can_be_read_does_not_end_a_run(optimizer, tmp_path, monkeypatch):
    """Batches of one: each bad picture is one, in training and in evaluation; and where it stopped behind one."""
    pictures = tmp_path / "halves"
    for half in ("train", "val"):
        for name in write(pictures / half, count=4) and "abc":
            (pictures / half / "cat" / f"bad-{name}.png").write_bytes(f"no picture {name}".encode())
    how = dict(on_bad_image="skip", batch_size=1, epochs=2, checkpoint_steps=1, optimizer=optimizer, lr=1e-3)
    whole = fit(_recipe(tmp_path / "whole", pictures, **how), progress=False)
    assert len(whole["skipped_images"]) == 6 and set(whole["skipped_images"].values()) == {2}
    with monkeypatch.context() as context, pytest.raises(Stopped):
        stop_after(14, context)
        fit(_recipe(tmp_path / "run", pictures, **how), progress=False)
    fit(_recipe(tmp_path / "run", pictures, resume="auto", **how), progress=False)
    assert all((weights(tmp_path / "whole")[key] == value).all() for key, value in weights(tmp_path / "run").items())
