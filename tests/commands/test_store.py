"""Finished runs become stored weights."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.commands import store
from gluon_attn.errors import WeightsError
from gluon_attn.weights.card import Card
from tests.commands.calling import MODEL, call


def change(run, **changes):
    """Write metrics.json anew; a value of None takes the entry out."""
    metrics = {**json.loads((run / "metrics.json").read_text()), **changes}
    (run / "metrics.json").write_text(json.dumps({k: v for k, v in metrics.items() if v is not None}))


def described(folder):
    return json.loads((folder / "metrics.json").read_text())["weights"]


@pytest.fixture
def run(weights, expected, tmp_path):
    """The folder of a finished run, as training leaves it."""
    logits, labels = expected
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "last.params").write_bytes(weights.read_bytes())
    (folder / "train.log").write_text("log\n")
    (folder / "history.csv").write_text("epoch,top1,top5\n0,0.1,0.5\n1,0.2,0.75\n")
    recipe = dict(model=MODEL, dataset="digits", dataset_options={}, data_root="", arch={})
    metrics = dict(
        model=MODEL,
        dataset="digits",
        epochs=2,
        epochs_done=2,
        finished="2026-11-22 12:00:00",
        best_accuracy=0.2,
        best_epoch=2,
        best_chosen_on="test",
        last_accuracy=float(np.mean(logits.argmax(axis=1) == labels)),
        command="/home/someone/train_cifar.py --recipe digits --seed 3",
        recipe=recipe,
    )
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_stored_run_is_found_by_its_tag(capsys, run, expected, tmp_path, monkeypatch):
    params = tmp_path / "params"
    monkeypatch.setenv("GLUON_ATTN_PARAMS", str(params))
    for _ in range(2):  # a second time replaces the first
        assert store.main([str(run), "--params", str(params)]) == 0
    folder = params / "digits" / MODEL / "digits"
    assert capsys.readouterr().out.split() == [str(folder)] * 2
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["weights.params", "card.json", "train.log", "history.csv", "metrics.json", "command.txt"]
    )
    assert [path.name for path in folder.parent.iterdir()] == ["digits"]
    assert (folder / "command.txt").read_text() == "python train_cifar.py --recipe digits --seed 3\n"

    (entry,) = gluon_attn.model_info(MODEL).weights
    assert (entry.tag, entry.classes, entry.dataset) == ("digits", 10, "digits")
    assert entry.top5_error == 25.0
    net = gluon_attn.get_model(MODEL, pretrained="digits")
    assert net.head.fc.weight.shape == (10, 64)
    results = tmp_path / "r.csv"
    flags = ["--model", MODEL, "--pretrained", "digits", "--dataset", "digits", "--results", results]
    out = call(capsys, "evaluate", *flags)[1]
    assert f"top-1 error {entry.top1_error:.2f} % (published: {entry.top1_error:.2f} %)" in out

    (folder / "weights.params").write_bytes(b"changed")
    status, _, err = call(capsys, "evaluate", *flags)
    assert status == 2 and "is not the published file: its sha256" in err


@pytest.mark.parametrize("resumed", ["", "--resume", "--resume auto", "--resume=/home/someone/checkpoint-7.npz"])
def test_what_is_stored_names_no_folder_of_this_machine(run, tmp_path, resumed):
    metrics = json.loads((run / "metrics.json").read_text())
    data = tmp_path / "data"
    Card.of(MODEL, dict(DATASETS["digits"].preparation, dataset="digits"), list("0123456789")).write(run)
    metrics["recipe"].update(dataset="digits", output=str(run), data_root=str(data), resume=f"{run}/checkpoint-7.npz")
    metrics["command"] = f"/home/someone/train_cifar.py --data-root {data} --output {run} {resumed}".strip()
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "train.log").write_text(f"best 90 %: {run}\n")
    folder = store.store(run, tmp_path / "params")
    assert (folder / "command.txt").read_text() == "python train_cifar.py --data-root DATA --output runs/digits/one\n"
    assert (folder / "train.log").read_text() == "best 90 %: runs/digits/one\n"
    kept = json.loads((folder / "metrics.json").read_text())
    assert kept["recipe"]["data_root"] == "DATA" and kept["recipe"]["resume"] == "runs/digits/one/checkpoint-7.npz"
    for path in folder.glob("*.*"):
        assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("root", "text", "kept"),
    [
        ("/data", "--data-root /data --output runs/data/x", "--data-root DATA --output runs/data/x"),
        ("/data/", "--data-root /data/ --recipe a", "--data-root DATA/ --recipe a"),
        ("/data", "/database/x /data.old '/data'", "/database/x /data.old 'DATA'"),
        ("/", "python train_cifar.py --data-root / --lr 1/2", "python train_cifar.py --data-root / --lr 1/2"),
        ("/data", "--resume /elsewhere/at5.npz", "--resume at5.npz"),
        ("data", "--data-root data", "--data-root data"),
    ],
)
def test_only_whole_folders_are_left_out(root, text, kept):
    recipe = dict(dataset="digits", output="runs/data/x", data_root=root, resume="/elsewhere/at5.npz", epochs=3)
    assert store._anywhere(text, recipe) == kept


def test_a_stored_run_keeps_its_architecture(run, tmp_path, monkeypatch):
    """Without alpha the weights would load into another function of the same shapes."""
    name = "cifar_inv_se_resnet20"
    net = gluon_attn.get_model(name, variant="inverse_attention", classes=10, alpha=0.5)
    net.initialize(mx.init.MSRAPrelu())
    net.save_parameters(str(run / "last.params"))
    recipe = dict(model=name, dataset="digits", variant="inverse_attention", arch={"alpha": 0.5})
    change(run, model=name, recipe=recipe)
    monkeypatch.setenv("GLUON_ATTN_PARAMS", str(tmp_path / "params"))
    store.store(run, tmp_path / "params", tag="half")
    assert gluon_attn.model_info(name).weights[0].arch == {"reduction": 8, "alpha": 0.5}
    x = mx.nd.array(np.random.RandomState(0).rand(2, 3, 32, 32))
    np.testing.assert_array_equal(gluon_attn.get_model(name, pretrained="half")(x).asnumpy(), net(x).asnumpy())


def test_stored_in_half_the_bytes_with_the_errors_of_the_rounded_weights(capsys, run, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("GLUON_ATTN_PARAMS", str(tmp_path / "params"))
    assert store.main([str(run), "--params", str(tmp_path / "params"), "--float16"]) == 0
    folder = tmp_path / "params" / "digits" / MODEL / "digits"
    sizes = [path.stat().st_size for path in (folder / "weights.params", run / "last.params")]
    assert sizes[0] < 0.56 * sizes[1]
    (entry,) = gluon_attn.model_info(MODEL).weights
    described = json.loads((folder / "metrics.json").read_text())["weights"]
    logits, labels = expected
    assert described["float32_top1_error"] == pytest.approx(100 * np.mean(logits.argmax(axis=1) != labels), abs=1e-4)
    flags = ["--model", MODEL, "--pretrained", "digits", "--dataset", "digits", "--results", tmp_path / "r.csv"]
    out = call(capsys, "evaluate", *flags)[1]
    assert f"top-1 error {entry.top1_error:.2f} % (published: {entry.top1_error:.2f} %)" in out


def test_weights_that_rounding_changes_are_not_stored_rounded(capsys, run, tmp_path):
    change(run, last_accuracy=json.loads((run / "metrics.json").read_text())["last_accuracy"] + 0.01)
    assert store.main([str(run), "--params", str(tmp_path / "params"), "--float16"]) == 2
    assert "store it without --float16" in capsys.readouterr().err and not list((tmp_path / "params").rglob("*.params"))


@pytest.mark.parametrize(("epoch", "top5_error"), [(1, 50.0), (2, 25.0)])
def test_best_is_stored_with_the_errors_of_its_epoch(run, tmp_path, epoch, top5_error):
    (run / "best.params").write_bytes((run / "last.params").read_bytes())
    change(run, best_epoch=epoch, best_accuracy=0.2)
    found = described(store.store(run, tmp_path / "params", which="best"))
    assert (found["top1_error"], found["top5_error"]) == (80.0, top5_error)


def test_errors_of_a_run_with_a_validation_split_are_those_of_the_test_images(run, expected, tmp_path):
    """history.csv has the held out images' there."""
    logits, labels = expected
    (run / "best.params").write_bytes((run / "last.params").read_bytes())
    recipe = dict(model=MODEL, dataset="digits", validation=10)
    change(run, recipe=recipe, best_chosen_on="validation", test_accuracy_of_best=0.625, test_top5_of_best=0.75)
    params = tmp_path / "params"
    best = described(store.store(run, params, which="best"))
    assert (best["top1_error"], best["top5_error"]) == (37.5, 25.0)
    last = described(store.store(run, params))
    assert last["top1_error"] == pytest.approx(100 * np.mean(logits.argmax(axis=1) != labels), abs=1e-4)


def test_a_folder_that_nobody_has_divided_is_tested_on_what_was_held_out(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8)).save(tmp_path / "data" / name / f"{number}.png")
    recipe = dict(model=MODEL, dataset="folder", data_root=str(tmp_path / "data"), validation=2)
    assert len(store._test_images({"recipe": recipe})) == 4


def test_five_classes_or_fewer_have_no_top5(run, tmp_path):
    net = gluon_attn.get_model(MODEL, classes=3)
    net.initialize(mx.init.MSRAPrelu())
    net.save_parameters(str(run / "last.params"))
    Card.of(MODEL, dict(DATASETS["digits"].preparation, dataset="digits"), ["a", "b", "c"]).write(run)
    (run / "history.csv").write_text("epoch,top1\n0,0.1\n1,0.2\n")
    change(run, last_accuracy=0.0)
    found = described(store.store(run, tmp_path / "params"))
    assert (found["top1_error"], found["top5_error"]) == (100.0, None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(finished=None, stopped="now", epochs_done=1), "was stopped after 1 of 2 epochs: go on with it"),
        (dict(best_epoch=None), "does not say 'best_epoch'"),
    ],
)
def test_what_is_not_finished_is_not_stored(capsys, run, tmp_path, changes, sentence):
    change(run, **changes)
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "params").exists()


@pytest.mark.parametrize("name", ["train.log", "history.csv", "last.params"])
def test_a_run_without_one_of_its_files_is_not_stored(capsys, run, tmp_path, name):
    (run / name).unlink()
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    assert name in capsys.readouterr().err and not list(tmp_path.rglob("weights.params"))


def test_a_folder_that_is_no_run_is_not_stored(capsys, run, tmp_path):
    (run / "last.params").write_bytes(b"nothing")
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    (run / "metrics.json").unlink()
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    assert "is no finished run" in capsys.readouterr().err
    assert not (tmp_path / "params").exists()


@pytest.mark.parametrize("tag", [".", "..", "v1.0", "a/b", "true", "False", "-x"])
def test_tags_that_nobody_can_ask_for(tag, run, tmp_path):
    kept = store.store(run, tmp_path / "params", tag="first")
    with pytest.raises(WeightsError, match="cannot be asked for"):
        store.store(run, tmp_path / "params", tag=tag)
    assert list(kept.parent.iterdir()) == [kept] and (kept / "weights.params").is_file()


def test_two_runs_do_not_go_to_one_place(run, tmp_path, capsys):
    assert store.main([str(run), str(run), "--params", str(tmp_path / "params")]) == 2
    assert "both go to" in capsys.readouterr().err and not (tmp_path / "params").exists()
