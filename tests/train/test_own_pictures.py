"""A folder of three classes, from --recipe finetune to evaluation, without a flag repeated."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gluon_attn import cli, data
from gluon_attn.data.seen import marks
from gluon_attn.train import fit
from tests.train.tiny import TINY, edited, tiny


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, digits = tmp_path_factory.mktemp("own") / "pictures", data.get_dataset("digits", "train")
    for label, name in enumerate(("zero", "one", "two")):
        (folder / name).mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(digits.labels == label)[:10]):
            Image.fromarray(digits[index][0]).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """A fine-tuned run."""
    base = tmp_path_factory.mktemp("base")
    fit(tiny(base, epochs=1), progress=False)
    folder = tmp_path_factory.mktemp("run")
    arch = ",".join(f"{key}=[{','.join(map(str, value))}]" for key, value in TINY.items())
    flags = {"model": "cifar_resnet20", "arch": arch, "pretrained": base / "best.params", "data-root": pictures}
    flags.update(freeze="stem", epochs=2, crop="pad", flip="off", output=folder, devices="cpu:0")
    words = [str(word) for flag, value in flags.items() for word in (f"--{flag}", value)]
    assert cli.main(["train", "--recipe", "finetune", *words]) == 0
    return folder


def test_the_run_says_how_the_folder_was_divided_and_how_sure_it_is(run, pictures):
    log, card = (run / "train.log").read_text(), json.loads((run / "card.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    said = f"{pictures} is not divided: of its 30 pictures 6 are held out"
    assert said in log and said in card["notes"]["division"] and card["classes"] == ["one", "two", "zero"]
    assert card["mean"] == [0.309] * 3 and card["input_size"] == 32, "what the weights that it started from were fed"
    low, high = metrics["best_accuracy_interval"]
    assert low < metrics["best_accuracy"] < high or metrics["best_accuracy"] in (0, 1)
    assert f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)" in log
    with open(run / "history.csv") as stream:
        assert "top5" not in next(csv.reader(stream)) and "top-5" not in log
    assert "best_top5" not in metrics and "top5" not in str(metrics)


def test_its_folder_is_all_that_the_commands_need(run, pictures, capsys, tmp_path):
    results = tmp_path / "e.csv"
    assert cli.main(["evaluate", "--run", str(run), "--results", str(results)]) == 0
    said = capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert "on 6 images of folder" in said and "95 % interval" in said and "top-5" not in said
    assert f"accuracy {100 * metrics['best_accuracy']:.2f} %" in said
    with results.open() as stream:
        (row,) = csv.DictReader(stream)
    assert row["top5_error"] == "" and row["top1_error_interval"].count("-") == 1
    assert cli.main(["predict", "--run", str(run), "--format", "json", str(pictures / "two" / "1.png")]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {entry["class"] for entry in found["classes"]} == {"zero", "one", "two"}


def test_resume_and_output_are_enough(run, capsys):
    before = (run / "last.params").read_bytes()
    assert cli.main(["train", "--resume", "auto", "--output", str(run)]) == 0
    assert "resumed at epoch 3" in capsys.readouterr().out and (run / "last.params").read_bytes() == before
    kept = (run / "recipe.yaml").read_bytes()
    assert cli.main(["train", "--resume", "auto", "--output", str(run), "--epochs", "3"]) == 2
    assert "the cosine schedule depends" in capsys.readouterr().err
    assert (run / "recipe.yaml").read_bytes() == kept, "what could not go on has not changed what the run was"
    assert cli.main(["train", "--resume", "auto", "--output", str(run / "nowhere")]) == 2


def test_other_pictures_are_another_run(run, pictures, tmp_path, capsys):
    """Unless the checkpoint is named, which goes on under any settings."""
    folder, more = tmp_path / "run", tmp_path / "more"
    shutil.copytree(run, folder)
    shutil.copytree(pictures, more)
    for number in range(5):
        shutil.copy(more / "two" / "1.png", more / "two" / f"new-{number}.png")
    flags = ["train", "--output", str(folder), "--data-root", str(more), "--resume"]
    assert cli.main([*flags, "auto"]) == 2
    assert "had 24 training images, and folder has 28 now: bring them back" in capsys.readouterr().err
    newest = max(folder.glob("checkpoint-*.npz"))
    assert cli.main([*flags, str(newest)]) == 0


def test_fewer_pictures_are_no_damage_of_the_checkpoint(run, pictures, tmp_path, capsys):
    """Also where the run stopped behind the end of what is an epoch now."""
    folder, fewer = tmp_path / "run", tmp_path / "fewer"
    shutil.copytree(run, folder)
    shutil.copytree(pictures, fewer)
    for path in sorted(fewer.glob("*/[4-9].png")):
        path.unlink()
    edited(max(folder.glob("checkpoint-*.npz")), lambda arrays, meta: meta.update(epoch=1, batch=1, images=20))
    assert cli.main(["train", "--output", str(folder), "--data-root", str(fewer), "--resume", "auto"]) == 2
    said = capsys.readouterr()
    assert "had 24 training images, and folder has 9 now" in said.err and "does not fit" not in said.out + said.err


def _evaluated(capsys, tmp_path, *words):
    """(images, split, what is said) of `gluon-attn evaluate`."""
    table = tmp_path / "table.csv"
    table.unlink(missing_ok=True)
    assert cli.main(["evaluate", *map(str, words), "--results", str(table)]) == 0
    said = capsys.readouterr()
    with table.open() as stream:
        (row,) = csv.DictReader(stream)
    return int(row["images"]), row["split"], said.out + said.err


def test_its_own_folder_is_tested_on_what_it_has_not_learnt_from(run, pictures, tmp_path, capsys):
    """The six pictures that chose the epoch, by whatever way they are asked for; and those that came later."""
    folder = ["--dataset", "folder", "--data-root"]
    export = tmp_path / "net.onnx"
    assert cli.main(["export", "--run", str(run), "--output", str(export)]) == 0
    capsys.readouterr()
    for words in (
        ["--run", run],
        ["--run", run, *folder, pictures],
        ["--model", "cifar_resnet20", "--pretrained", run / "last.params", *folder, pictures],
        ["--file", export, *folder, pictures],
    ):
        images, split, said = _evaluated(capsys, tmp_path, *words)
        assert (images, split) == (6, "validation") and "validation accuracy" in said, words
        assert "is not divided" in said and "may have learnt" not in said
    more = tmp_path / "more"
    shutil.copytree(pictures, more)
    (more / "two" / "1.png").rename(more / "two" / "another-name.png")
    shutil.copy(pictures / "one" / "3.png", more / "two" / "new.png")  # trained on, or held out: by any name
    image = Image.open(pictures / "one" / "3.png").transpose(Image.FLIP_LEFT_RIGHT)
    image.save(more / "one" / "0-new.png")
    images, split, said = _evaluated(capsys, tmp_path, "--run", run, "--data-root", more)
    assert images in (7, 8) and split == "test" and "of the others chose the best epoch" in said
    assert _evaluated(capsys, tmp_path, "--run", run, "--split", "train")[:2] == (24, "train")


def test_testing_on_what_was_learnt_is_said(run, pictures, tmp_path, capsys):
    """Whoever chooses the pictures: an option, or a folder that was divided after the training."""
    learnt, divided = _learnt(run), tmp_path / "divided"
    for name in ("zero", "one", "two"):
        for at, path in enumerate(sorted((pictures / name).iterdir())):
            part = divided / ("val" if at < 4 else "train") / name
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, part)
    among = sum(mark in learnt for mark in marks(sorted(divided.glob("val/*/*"))))
    assert among and len(learnt) == 24
    for words, images, count in (
        (["--dataset-options", "whole=true"], 30, 24),
        (["--dataset-options", "validation=5"], 15, None),
        (["--data-root", divided], 12, among),
    ):
        found, _, said = _evaluated(capsys, tmp_path, "--run", run, *words)
        start, rest = said.split("have learnt from ")
        assert found == images and f" of the {images} pictures that are tested on" in rest, words
        assert int(rest.split()[0]) == (count or pytest.approx(9, abs=3)), words
    assert "have learnt" not in _evaluated(capsys, tmp_path, "--run", run, "--split", "train")[2]


def test_another_folder_is_tested_on_as_a_whole(run, pictures, tmp_path, capsys):
    """But by a file that does not know what it was trained on: a fifth of it, and a word."""
    other, digits = tmp_path / "other", data.get_dataset("digits", "test")
    for label, name in enumerate(("zero", "one", "two")):
        (other / name).mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(digits.labels == label)[:5]):
            Image.fromarray(digits[index][0]).save(other / name / f"{number}.png")
    assert _evaluated(capsys, tmp_path, "--run", run, "--data-root", other)[:2] == (15, "test")
    folder = ["--dataset", "folder", "--data-root", other]
    export = tmp_path / "net.onnx"
    assert cli.main(["export", "--run", str(run), "--output", str(export)]) == 0
    images, split, said = _evaluated(capsys, tmp_path, "--file", export, *folder)
    assert (images, split) == (3, "test") and "they may have learnt from some. --dataset-options whole=true" in said
    whole = ["--dataset-options", "whole=true"]
    images, _, said = _evaluated(capsys, tmp_path, "--file", export, *folder, *whole)
    assert images == 15 and "may have learnt" not in said


def test_a_renamed_picture_is_another_run(run, pictures, tmp_path, capsys):
    """As many as before: by their number nothing would be noticed."""
    folder, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(run, folder)
    shutil.copytree(pictures, other)
    (other / "two" / "1.png").write_bytes((other / "one" / "1.png").read_bytes())
    flags = ["train", "--output", str(folder), "--data-root", str(other), "--resume", "auto"]
    assert cli.main(flags) == 2
    assert "has other training images than the run in" in capsys.readouterr().err
    edited(max(folder.glob("checkpoint-*.npz")), lambda arrays, meta: meta.pop("identity"))
    assert cli.main([*flags[:4], str(pictures), *flags[5:]]) == 2
    assert "an earlier version held others out" in capsys.readouterr().err


def _trained(pictures, folder, *words):
    flags = [
        "--model",
        "cifar_resnet20",
        "--arch",
        "layers=[1,1,1],widths=[4,8,8],stem_widths=[4]",
        "--dataset",
        "folder",
    ]
    flags += ["--data-root", str(pictures), "--image-size", "16", "--batch-size", "8", "--lr", "0.01", "--crop", "none"]
    assert cli.main(["train", *flags, "--devices", "cpu:0", *map(str, words), "--output", str(folder)]) == 0
    return folder


def _learnt(folder):
    return set(json.loads((folder / "pictures.json").read_text())["trained"])


@pytest.mark.parametrize("how", ["--resume", "--pretrained"])
def test_what_weights_have_learnt_before_stays_known(how, pictures, tmp_path, capsys):
    """By every way in which a run goes on with another's weights, and holds more out than that did."""
    first = _trained(pictures, tmp_path / "a", "--epochs", 1, "--validation", 2)
    of_first = max(first.glob("checkpoint-*.npz")) if how == "--resume" else first / "last.params"
    words = ("--epochs", 2, "--validation", 5)
    second = _trained(pictures, tmp_path / "b", *words, how, of_first)
    assert len(_learnt(first)) == 24 and _learnt(first) <= _learnt(second)
    said = "the weights that this run starts from were trained on 9 of the 15 pictures that choose its best epoch"
    assert said in (second / "train.log").read_text()
    assert cli.main(["train", "--output", str(second), "--resume", "auto"]) == 0
    assert _learnt(first) <= _learnt(second), "nor is it forgotten by going on once more"
    capsys.readouterr()
    assert _evaluated(capsys, tmp_path, "--run", second)[:2] == (6, "validation")
    export = tmp_path / "net.onnx"
    assert cli.main(["export", "--run", str(second), "--output", str(export)]) == 0
    said = _evaluated(capsys, tmp_path, "--file", export, "--dataset", "folder", "--data-root", pictures)[2]
    assert "they may have learnt from some" in said


def test_fewer_pictures_of_each_class_are_remembered_too(pictures, tmp_path, capsys):
    run = _trained(pictures, tmp_path / "run", "--epochs", 1, "--dataset-options", "per_class=4")
    assert len(_learnt(run)) == 12
    capsys.readouterr()
    images, split, _ = _evaluated(capsys, tmp_path, "--run", run)
    assert (images, split) == (18, "test"), "what it was not trained on, among it what chose the epoch"
    assert _evaluated(capsys, tmp_path, "--run", run, "--split", "train")[1] == "train"
