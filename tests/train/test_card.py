"""A run's folder is a model: its card, and the commands that need nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import GluonAttnError, cli, data
from gluon_attn.recipe.recipe import of_run
from gluon_attn.train import Recipe, fit
from gluon_attn.weights.card import Card

ARCH = dict(layers=[1, 1, 1], widths=[8, 16, 32])


@pytest.fixture(scope="module")
def framed(tmp_path_factory):
    """Two classes of 40x40 pictures that differ in their border alone: evaluation must not cut it off."""
    root, rng = tmp_path_factory.mktemp("framed"), np.random.RandomState(0)
    for split, count in (("train", 40), ("val", 20)):
        for name, colour in (("dark", 0), ("light", 255)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                picture = rng.randint(96, 160, (40, 40, 3)).astype(np.uint8)
                for edge in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
                    edge[:] = colour
                Image.fromarray(picture).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def run(framed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "framed"
    recipe = dict(model="cifar_resnet20", dataset="imagenet-folder", data_root=str(framed), crop="none", image_size=40)
    recipe.update(arch=ARCH, epochs=6, batch_size=8, lr=0.05, output=str(folder))
    return folder, fit(Recipe.of(recipe), progress=False)


def test_the_run_evaluates_as_it_trained(run):
    folder, metrics = run
    card = Card.read(folder)
    assert metrics["last_accuracy"] == 1.0  # 0.5 where the resize of ImageNet cuts the border off
    assert (card.resize, card.input_size, card.classes) == (40, 40, ("dark", "light"))
    assert card.arch == ARCH and card.model == "cifar_resnet20" and "test images" in card.notes["best"]


def test_load_run_is_the_network_with_its_card(run, framed):
    net = gluon_attn.load_run(run[0])
    prepare = net.card.transform()
    pictures = [np.asarray(Image.open(framed / "val" / name / "3.png")) for name in net.card.classes]
    batch = mx.nd.array(np.stack([prepare(picture) for picture in pictures]))
    assert net(batch).asnumpy().argmax(1).tolist() == [0, 1]


def called(capsys, *words):
    status = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


def test_commands_need_nothing_but_the_folder(run, framed, tmp_path, capsys):
    folder = run[0]
    assert "accuracy 100.00 %" in called(capsys, "evaluate", "--run", folder, "--results", tmp_path / "r.csv")
    assert "shorter side to 40" in called(capsys, "evaluate", "--run", folder, "--dry-run")
    picture = framed / "val" / "light" / "1.png"
    assert "light" in called(capsys, "predict", "--run", folder, "--top", 1, picture)
    called(capsys, "explain", "--run", folder, "--image", picture, "-o", tmp_path / "look.png")
    called(capsys, "explain", "--run", folder, "--count", 2, "-o", tmp_path / "looks.png")
    words = ["--mode", "inference", "--rounds", 1, "--batch-size", 2, "--no-memory"]
    assert f"| {folder} | inference |" in called(capsys, "benchmark", "--run", folder, *words)
    called(capsys, "export", "--run", folder, "-o", tmp_path / "net.onnx")
    assert gluon_attn.deploy.Predictor(str(tmp_path / "net.onnx")).card.classes == ("dark", "light")


def test_a_predictor_reads_the_card_beside_the_weights(run, framed):
    predict = gluon_attn.deploy.Predictor(
        "cifar_resnet20", pretrained=str(run[0] / "last.params"), engine="onnxruntime"
    )
    assert (predict.card.classes, predict.card.input_size) == (("dark", "light"), 40)
    ((name, _), *_), *_ = predict([str(framed / "val" / "light" / "2.png")])
    assert name == "light"


def test_flags_that_the_folder_answers_are_refused(run, capsys):
    assert cli.main(["predict", "--run", str(run[0]), "--model", "cifar_resnet20", "x.png"]) == 2
    assert "leave out --model" in capsys.readouterr().err


def test_the_recipe_is_kept(run):
    assert of_run(run[0]).arch == ARCH and of_run(run[0]).epochs == 6


def test_weights_beside_a_card_know_their_network(run):
    path = str(run[0] / "last.params")
    net = gluon_attn.get_model("cifar_resnet20", pretrained=path)
    assert net.card.classes == ("dark", "light") and net(mx.nd.zeros((1, 3, 40, 40))).shape == (1, 2)
    with pytest.raises(GluonAttnError, match="is a cifar_resnet20, as the card beside it says"):
        gluon_attn.get_model("cifar_se_resnet20", pretrained=path)


def test_a_bare_file_says_its_classes(tmp_path):
    net = gluon_attn.get_model("cifar_abn_resnet20", classes=7)
    net.initialize()
    net.save_parameters(str(tmp_path / "x.params"))
    again = gluon_attn.get_model("cifar_abn_resnet20", pretrained=str(tmp_path / "x.params"))
    assert again(mx.nd.zeros((1, 3, 32, 32))).shape == (1, 7)


def test_the_size_is_the_networks_not_the_data_sets(tmp_path):
    from gluon_attn.train.inputs import image_size

    assert image_size(Recipe(model="cifar_resnet20", dataset="imagenet-folder")) == 32
    assert image_size(Recipe(model="resnet18", dataset="digits")) == 224
    assert image_size(Recipe(model="cifar_resnet20", dataset="digits", pretrained="clutter")) == 64
    assert image_size(Recipe.load("clutter", model="cifar_resnet20")) == 64


def test_weights_are_chosen_for_the_data(capsys):
    words = ["evaluate", "--model", "cifar_aff_resnet20", "--dry-run", "--dataset"]
    digits, clutter = called(capsys, *words, "digits"), called(capsys, *words, "clutter")
    assert "digits:" in digits and "published top-1 error 0.75" in digits
    assert "clutter:" in clutter and "0.75" not in clutter
    assert cli.main(["evaluate", "--model", "cifar_abn_resnet20", "--dataset", "digits"]) == 2
    assert "No weights of 'cifar_abn_resnet20' are for digits; there are clutter (clutter)" in capsys.readouterr().err


def test_other_classes_of_the_same_number_are_an_error(run, framed, tmp_path, capsys):
    (tmp_path / "val").mkdir()
    for name, other in (("dark", "cat"), ("light", "dog")):
        (tmp_path / "val" / other).symlink_to(framed / "val" / name)
    words = ["evaluate", "--run", run[0], "--dataset", "imagenet-folder", "--data-root", tmp_path]
    assert cli.main([str(word) for word in words]) == 2
    assert "where it knows 'dark', there is 'cat'" in capsys.readouterr().err


def test_pictures_of_another_size_are_seen_alike_in_training_and_evaluation():
    picture = np.random.RandomState(0).randint(0, 256, (50, 80, 3)).astype(np.uint8)
    card = Card("x", ["a"], (0.5,) * 3, (0.25,) * 3, 32, crop_pct=1.0)
    train = data.train_transform(32, card.mean, card.std, crop=None, flip=False)
    assert np.array_equal(train(picture, np.random.RandomState(0)), card.transform()(picture))


def test_a_card_that_is_damaged_is_said(run, tmp_path):
    broken = json.loads((run[0] / "card.json").read_text())
    broken["std"] = [0, 0, 0]
    (tmp_path / "card.json").write_text(json.dumps(broken))
    (tmp_path / "last.params").write_bytes((run[0] / "last.params").read_bytes())
    with pytest.raises(GluonAttnError, match="std"):
        gluon_attn.load_run(tmp_path)


def test_stored_weights_have_their_card():
    net = gluon_attn.get_model("cifar_abn_resnet20", pretrained="clutter")
    assert (net.card.classes, net.card.input_size, net.card.source) == (tuple("0123456789"), 64, "clutter")


@pytest.mark.slow
def test_what_is_installed_has_weights_and_class_names(tmp_path):
    """The wheel holds every file that the checkout's package reads."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(root)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "gluon_attn", "params"], cwd=root, capture_output=True, text=True
    ).stdout
    wanted = {f"gluon_attn/{name}" if name.startswith("params/") else name for name in listed.split()}
    assert wanted and not wanted - held


def test_a_word_that_is_no_tag_never_means_random_weights():
    with pytest.raises(GluonAttnError, match="weights tag"):
        gluon_attn.get_model("cifar_aff_resnet20", pretrained="none")
