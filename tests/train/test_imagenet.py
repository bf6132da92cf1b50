"""A tiny ImageNet: written as JPEGs, packed, trained on from every form, evaluated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from gluon_attn import cli, data
from gluon_attn.commands import train as script
from gluon_attn.errors import GluonAttnError
from gluon_attn.evaluate import evaluate
from gluon_attn.train import Recipe, fit
from gluon_attn.train import build as network
from gluon_attn.train.inputs import open_inputs
from tests.full_disk import full_disk
from tests.train.tiny import TINY


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two classes, told apart by colour; `rec` is packed from `jpeg`."""
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.RandomState(0)
    for split, count in (("train", 9), ("val", 4)):
        for label, name in enumerate(("blue", "red")):
            (root / "jpeg" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.randint(0, 80, (40, 50, 3), np.uint8)
                pixels[..., 2 - 2 * label] += 150
                Image.fromarray(pixels).save(root / "jpeg" / split / name / f"{number}.JPEG", quality=95)
    assert cli.main(["pack", str(root / "jpeg"), "--output", str(root / "rec")]) == 0
    return root


def recipe(folders, output, form, **changes):
    values = dict(
        model="cifar_resnet20",
        arch=TINY,
        dataset="imagenet-rec" if form == "rec" else "imagenet-folder",
        data_root=str(folders / form),
        image_size=32,
        epochs=2,
        batch_size=4,
        lr=0.02,
        auto_aug="imagenet",
        mixup=0.2,
        label_smoothing=0.1,
        devices="cpu:0",
        output=str(output),
    )
    return Recipe.of({**values, **changes})


@pytest.mark.parametrize("form", ["jpeg", "rec"])
def test_autoaugment_mixup_and_smoothing_from_each_form(folders, tmp_path, form):
    given = recipe(folders, tmp_path, form)
    metrics = fit(given, progress=False)
    inputs = open_inputs(given)
    assert inputs.classes == 2 and inputs.images == 18 and "AutoAugment" in repr(inputs.train.transform)
    net = network.create(given.replace(pretrained=str(tmp_path / "last.params")), 2)
    found = evaluate(net, inputs.evaluation)
    assert found["images"] == 8 and found["top1"] == metrics["last_accuracy"]


def test_both_forms_hold_the_same_images(folders):
    jpeg = data.get_dataset("imagenet-folder", "test", root=folders / "jpeg")
    packed = data.get_dataset("imagenet-rec", "test", root=folders / "rec")
    assert packed.classes == jpeg.classes == ["blue", "red"]
    for index in range(len(jpeg)):
        np.testing.assert_array_equal(packed[index][0], jpeg[index][0])
        assert packed[index][1] == jpeg[index][1]


def test_native_reader_trains_and_refuses_autoaugment(folders, tmp_path):
    native = dict(reader="native", auto_aug="none", jitter=0.4, lighting=0.1, epochs=1)
    assert fit(recipe(folders, tmp_path, "rec", **native), progress=False)["epochs_done"] == 1
    with pytest.raises(GluonAttnError, match="no AutoAugment"):
        fit(recipe(folders, tmp_path, "rec", **{**native, "auto_aug": "imagenet"}), progress=False)


@pytest.mark.parametrize("reader", ["native", "pil"])
def test_both_readers_give_the_image_size_of_the_recipe(folders, tmp_path, reader):
    given = recipe(folders, tmp_path, "rec", reader=reader, auto_aug="none", image_size=40)
    inputs = open_inputs(given)
    assert inputs.card.input_size == 40
    for loader in (inputs.train, inputs.evaluation):
        images, _ = next(loader.epoch(0))
        assert images.shape[1:] == (3, 40, 40)


def test_a_bad_image_is_named_or_skipped_and_counted(folders, tmp_path):
    import shutil

    shutil.copytree(folders / "jpeg", tmp_path / "jpeg")
    bad = tmp_path / "jpeg" / "train" / "red" / "3.JPEG"
    bad.write_bytes(b"no picture")
    with pytest.raises(GluonAttnError, match=f"Cannot read image .*{bad.name}"):
        fit(recipe(tmp_path, tmp_path / "run", "jpeg"), progress=False)
    metrics = fit(recipe(tmp_path, tmp_path / "run", "jpeg", on_bad_image="skip"), progress=False)
    assert metrics["skipped_images"] == {str(bad): 2}
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("warning: left out 1 more images that cannot be read") == 1 and str(bad) in log


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--resize", "224"], "MXNet's reader then corrupts them"),
        (["--resize", "-5"], "--resize: '-5' cannot be: give a whole number from 0"),
        (["--workers", "0"], "--workers: '0' cannot be: give a whole number from 1"),
        (["--quality", "0"], "no JPEG quality"),
    ],
)
def test_packing_mistakes(folders, tmp_path, words, sentence, capsys):
    assert cli.main(["pack", str(folders / "jpeg"), "--output", str(tmp_path), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_packing_on_a_full_disk_changes_nothing(folders, tmp_path, capsys):
    (tmp_path / "train.rec").write_bytes(b"old")
    with full_disk(20_000):
        assert cli.main(["pack", str(folders / "jpeg"), "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert re.search(r"im2rec failed on (train|val)\.lst", said) and f"Nothing in {tmp_path} was changed" in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["train.rec"]
    assert (tmp_path / "train.rec").read_bytes() == b"old"


def test_packing_names_what_cannot_be_read(tmp_path, capsys):
    for split in ("train", "val"):
        (tmp_path / "jpeg" / split / "a").mkdir(parents=True)
        Image.new("RGB", (300, 300)).save(tmp_path / "jpeg" / split / "a" / "good.JPEG")
    (tmp_path / "jpeg" / "train" / "a" / "bad.JPEG").write_bytes(b"no picture")
    Image.new("RGB", (1, 60000)).save(tmp_path / "jpeg" / "train" / "a" / "tall.JPEG")
    Image.new("RGB", (300, 300)).save(tmp_path / "jpeg" / "train" / "a" / "good.gif")
    words = ["pack", str(tmp_path / "jpeg"), "--output", str(tmp_path / "rec")]
    assert cli.main(words) == 2
    assert "1 of the 4 files are no pictures, or too large: train/a/bad.JPEG." in capsys.readouterr().err
    assert cli.main([*words, "--resize", "256"]) == 2
    named = "train/a/bad.JPEG, train/a/good.gif, train/a/tall.JPEG"
    assert f"3 of the 4 files are no pictures, too large, or GIFs, which im2rec cannot resize: {named}" in (
        capsys.readouterr().err
    )


def test_float16_is_refused_on_a_cpu(folders, tmp_path, capsys):
    words = ["--model", "resnet18", "--dataset", "imagenet-folder", "--data-root", str(folders / "jpeg")]
    assert script.main("imagenet", [*words, "--dtype", "float16", "--devices", "cpu:0"]) == 2
    assert "MXNet has no float16 convolution there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x\ty.jpg", "x\ny.jpg", "x\ry.jpg", "latin-\udce9.jpg"])
def test_names_that_a_list_of_im2rec_cannot_hold(name, tmp_path, capsys):
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / "set" / split / label).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "set" / split / label / "0.jpg")
    (tmp_path / "set" / "train" / "a" / "0.jpg").rename(tmp_path / "set" / "train" / "a" / name)
    assert cli.main(["pack", str(tmp_path / "set"), "--output", str(tmp_path / "rec")]) == 2
    assert "in its name: rename it" in capsys.readouterr().err
    assert not list((tmp_path / "rec").glob("*.rec"))
