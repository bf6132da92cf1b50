"""evaluate, as a user calls it."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import data
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.commands import evaluate
from gluon_attn.commands.loading import data_of_run, preprocessing, take_run
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.weights import table
from gluon_attn.weights.card import Card
from gluon_attn.weights.origin import Origin
from tests.commands.calling import MODEL, call


def test_evaluate_counts_like_numpy_and_keeps_a_row(capsys, weights, expected, tmp_path):
    logits, labels = expected
    order = np.argsort(-logits, axis=1, kind="stable")
    top1, top5 = (np.mean((order[:, :k] == labels[:, None]).any(axis=1)) for k in (1, 5))
    results = tmp_path / "new" / "results.csv"
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--results", results]
    for batch_size in (64, 150):  # 400 images: both leave a last batch that is not full
        status, out, _ = call(capsys, "evaluate", *flags, "--batch-size", batch_size, "--devices", "cpu:0,cpu:1")
        assert status == 0
        assert f"on 400 images of digits: test accuracy {100 * top1:.2f} %" in out
    with results.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        assert (row["images"], row["published_top1_error"]) == ("400", "")
        assert float(row["top1_error"]) == pytest.approx(100 - 100 * top1, abs=0.005)
        assert float(row["top5_error"]) == pytest.approx(100 - 100 * top5, abs=0.005)


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_evaluate_builds_what_the_names_in_a_file_tell(capsys, flags, few_digits, tmp_path):
    theirs = pytest.importorskip("gluoncv").model_zoo.get_model("cifar_resnet20_v1", classes=10)
    theirs.initialize()
    theirs(mx.nd.zeros((1, 3, 32, 32)))
    theirs.save_parameters(str(tmp_path / "theirs.params"))
    flags = [*flags, "--model", MODEL, "--pretrained", tmp_path / "theirs.params", "--dataset", "digits"]
    status, _, err = call(capsys, "evaluate", *flags)
    assert status == 0, err
    status, _, err = call(capsys, "evaluate", *flags, "--arch", "stem=cifar")
    assert status == 2 and "stem='linear'" in err


def test_a_dry_run_says_what_there_is(capsys, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--dry-run"]
    status, out, _ = call(capsys, "evaluate", *flags)
    assert status == 0 and "400 images of split 'test', 10 classes" in out and "MISSING" not in out
    assert f"weights   {weights}, not a published file" in out and "centre 32x32, mean 0.309" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--pretrained", "no.params", "--dataset", "digits"], ["MISSING: there is no file no.params"]),
        (["--pretrained", "x/y.params", "--dataset", "cifar10"], ["MISSING: cifar10 needs", "10 classes"]),
        (["--pretrained", "no.params", "--dataset", "digits", "--devices", "gpu:9"], ["MISSING: There is no gpu:9"]),
    ],
)
def test_a_dry_run_says_what_is_missing(capsys, flags, words):
    status, out, err = call(capsys, "evaluate", "--model", MODEL, *flags, "--dry-run")
    assert status == 0 and all(word in out for word in words), out + err


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_fetches_nothing(capsys, tmp_path, there):
    if there:
        (tmp_path / "se_resnet50-imgclsmob-e75ef498.params").touch()
    flags = ["--pretrained", "imgclsmob", "--dataset", "imagenet-folder", "--data-root", tmp_path, "--root", tmp_path]
    status, out, _ = call(capsys, "evaluate", "--model", "se_resnet50", *flags, "--dry-run")
    assert status == 0 and "top-1 error 21.07 %, top-5 error 5.60 %" in out
    assert f"from {tmp_path}" in out if there else "to be fetched from https://github.com/osmr" in out
    assert len(list(tmp_path.iterdir())) == there


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--dataset", "digit"], ["'digit'", "'digits'"]),
        (["--dataset", "digits", "--classes", 3], ["3 classes", "digits has 10"]),
        (["--dataset", "digits", "--arch", "reductoin=3"], ["reductoin"]),
    ],
)
def test_a_dry_run_refuses_mistakes(capsys, weights, flags, words):
    status, _, err = call(capsys, "evaluate", "--model", MODEL, "--pretrained", weights, *flags, "--dry-run")
    assert status == 2 and all(word in err for word in words), err


def test_published_weights_know_their_own_classes(capsys, tmp_path):
    """As many others would pass for them."""
    for number in range(10):
        (tmp_path / "val" / f"fruit {number}").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "val" / f"fruit {number}" / "0.png")
    flags = ["--model", "cifar_se_resnet20", "--pretrained", "cifar10", "--dataset", "folder", "--data-root", tmp_path]
    status, out, err = call(capsys, "evaluate", *flags, "--dry-run")
    assert status == 2 and "where it knows 'airplane', there is 'fruit 0'" in err, out + err


@pytest.fixture
def imagenet(tmp_path):
    """A network with three classes in a file, and seven pictures of three colours as folders and as RecordIO."""
    mx.random.seed(0)
    net = gluon_attn.get_model("resnet18", classes=3)
    net.initialize(mx.init.MSRAPrelu())
    net.save_parameters(str(tmp_path / "w.params"))
    record = mx.recordio.MXIndexedRecordIO(str(tmp_path / "val.idx"), str(tmp_path / "val.rec"), "w")
    for index in range(7):
        label, noise = index % 3, np.random.RandomState(index).randint(0, 256, (90, 80, 3)).astype("uint8")
        noise[..., label] //= 4
        path = tmp_path / "val" / f"class{label}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(path)
        record.write_idx(index, mx.recordio.pack(mx.recordio.IRHeader(0, label, index, 0), path.read_bytes()))
    record.close()
    return tmp_path


def test_folders_and_records_are_evaluated_alike(capsys, imagenet):
    flags = ["--model", "resnet18", "--pretrained", imagenet / "w.params", "--data-root", imagenet, "--batch-size", 4]
    flags += ["--image-size", 64, "--results", imagenet / "r.csv"]
    for dataset in (["imagenet-folder"], ["imagenet-rec"], ["imagenet-rec", "--reader", "native"]):
        status, out, err = call(capsys, "evaluate", *flags, "--dataset", *dataset)
        assert status == 0, err
        assert "on 7 images" in out  # the native reader fills its second batch with one more
    with (imagenet / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["top1_error"] == rows[1]["top1_error"]
    assert {(row["input_size"], row["top5_error"]) for row in rows} == {("64", "")}
    status, _, err = call(capsys, "evaluate", *flags, "--dataset", "imagenet-folder", "--reader", "native")
    assert status == 2 and "The native reader reads" in err


@pytest.mark.parametrize("command", (["evaluate", "--workers", 1], ["explain"]))
def test_only_a_training_can_leave_a_picture_out(capsys, imagenet, command):
    """The others were told to choose on_bad_image='skip', which they have not."""
    (imagenet / "val" / "class0" / "0.png").write_bytes(b"\x89PNG nothing")
    flags = ["--model", "resnet18", "--pretrained", imagenet / "w.params", "--dataset", "imagenet-folder"]
    flags += ["--results", imagenet / "r.csv"] if command[0] == "evaluate" else ["--output", imagenet / "maps.png"]
    status, _, err = call(capsys, *command, *flags, "--data-root", imagenet, "--image-size", 64)
    assert status == 2 and "Cannot read image" in err and err.rstrip().endswith("Repair or remove it."), err


def test_both_readers_normalise_as_the_weights_card_says(imagenet):
    path = imagenet / "grey.png"
    Image.new("RGB", (80, 80), (200,) * 3).save(path)
    record = mx.recordio.MXIndexedRecordIO(str(imagenet / "val.idx"), str(imagenet / "val.rec"), "w")
    record.write_idx(0, mx.recordio.pack(mx.recordio.IRHeader(0, 0, 0, 0), path.read_bytes()))
    record.close()
    dataset = data.get_dataset("imagenet-rec", "test", root=imagenet)
    card = Card("resnet18", ["a"], mean=(0.48, 0.45, 0.4), std=(0.28, 0.27, 0.26), input_size=32)
    for reader in ("gluon", "native"):
        args = SimpleNamespace(reader=reader, batch_size=1, workers=1)
        ((images, _),) = evaluate._loader(args, dataset, card)
        expected = (200 / 255 - np.array(card.mean)) / card.std
        np.testing.assert_allclose(images.asnumpy()[0].mean(axis=(1, 2)), expected, atol=1e-4)


def test_images_are_prepared_as_for_the_weights():
    digits, flags = data.get_dataset("digits", "test"), SimpleNamespace(model=MODEL, dataset="digits", image_size=None)
    own = preprocessing(flags, Origin(MODEL), digits)
    assert (own["mean"], own["input_size"], own["crop_pct"]) == (digits.mean, 32, 1.0)
    entry = table.choose("iaff_resnext50_32x4d")
    published = preprocessing(flags, Origin(MODEL, entry), digits)
    assert published == entry.preprocessing
    assert Card.of("x", published, ["a"]).resize == 256
    flags.image_size = 288
    assert preprocessing(flags, Origin(MODEL, entry), digits)["input_size"] == 288


def run_of(folder, weights, **recipe):
    """The folder of a training on digits."""
    folder.mkdir(parents=True)
    Card.of(MODEL, dict(DATASETS["digits"].preparation, dataset="digits"), list("0123456789")).write(folder)
    (folder / "last.params").write_bytes(weights.read_bytes())
    (folder / "recipe.yaml").write_text(Recipe(model=MODEL, dataset="digits", **recipe).to_yaml())
    return folder


def test_the_name_of_a_run_may_have_a_comma(capsys, weights, tmp_path):
    one, other = run_of(tmp_path / "x,y z", weights), run_of(tmp_path / "b", weights)
    status, out, _ = call(capsys, "evaluate", "--run", one, "--dry-run")
    assert status == 0 and f"weights   {one / 'last.params'}" in out
    status, _, err = call(capsys, "evaluate", "--run", f"{other},{other}", "--dry-run")
    assert status == 2 and f"There is no folder '{other},{other}'" in err
    flags = SimpleNamespace(run=f"{other},{other}")
    assert take_run(flags, several=True) == [(MODEL, str(other / "last.params"))] * 2


def test_options_of_the_data_go_over_those_of_the_run(capsys, weights, tmp_path):
    run = run_of(tmp_path / "a", weights, dataset_options={"per_class": 4}, validation=5)
    status, _, err = call(
        capsys, "evaluate", "--run", run, "--dataset-options", "nosuch=1", "--results", tmp_path / "r"
    )
    assert status == 2 and "Unknown option of dataset 'digits': 'nosuch'" in err
    flags = SimpleNamespace(run=str(run), dataset=None, data_root=None, dataset_options="per_class=3")
    data_of_run(flags)
    assert flags.dataset_options == {"per_class": 3, "validation": 5}


ERRORS = {
    "no such file": (["--pretrained", "nowhere/w.params"], "nowhere/w.params is not a file"),
    "no such model": (
        ["--model", "cifar_resnett20"],
        "Unknown model 'cifar_resnett20'. Did you mean 'cifar_resnet20'?",
    ),
    "other classes": (["--classes", "12"], r"head.fc.weight (10, 64) for (12, 64)"),
    "device": (["--devices", "gpu:99"], "There is no gpu:99"),
    "dtype": (["--dtype", "float16"], "MXNet has no float16 convolution on a CPU"),
    "no such data set": (["--dataset", "digit"], "Unknown dataset 'digit'. Did you mean 'digits'"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_mistakes_are_one_sentence(case, capsys, weights, tmp_path):
    flags, message = ERRORS[case]
    results = ["--results", tmp_path / "r.csv"]
    default = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--devices", "cpu:0", *results]
    status, _, err = call(capsys, "evaluate", *default, *flags)
    assert status == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize("classes, words", [(2, ["(2,) for (3,)"]), (3, [])])
def test_a_dry_run_tries_the_weights(capsys, tmp_path, classes, words):
    """Weights for two classes on a folder of three: the run would fail, and so does its plan."""
    net = gluon_attn.get_model(MODEL, classes=classes)
    net.initialize()
    net.save_parameters(str(tmp_path / "w.params"))
    for name in ("train/a", "train/b", "train/c", "val/a", "val/b", "val/c"):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), "uint8")).save(tmp_path / name / "0.png")
    flags = ["--pretrained", tmp_path / "w.params", "--dataset", "imagenet-folder", "--data-root", tmp_path]
    status, out, err = call(capsys, "evaluate", "--model", MODEL, *flags, "--dry-run")
    assert status == (2 if words else 0) and all(word in err for word in words), out + err
    status, _, err = call(capsys, "evaluate", "--model", MODEL, *flags, "--classes", 2, "--dry-run")
    assert status == 2 and "has 2 classes" in err


def test_an_engine_takes_the_weights_for_the_data_set(capsys, few_digits, tmp_path):
    """Not clutter's, for 64 pixels, which come first."""
    flags = [
        "--model",
        "cifar_aff_resnet20",
        "--dataset",
        "digits",
        "--engine",
        "mxnet",
        "--results",
        tmp_path / "r.csv",
    ]
    status, out, err = call(capsys, "evaluate", *flags)
    assert status == 0 and "accuracy 100.00 %" in out, err
    (row,) = csv.DictReader((tmp_path / "r.csv").open())
    assert (row["pretrained"], row["input_size"]) == ("digits", "32")


INSECTS = ("ant", "bee", "fly", "wasp")


@pytest.fixture(scope="module")
def of_insects(tmp_path_factory):
    """A symbol file whose card names four classes of a folder."""
    folder = tmp_path_factory.mktemp("insects")
    small = dict(layers=(1, 1, 1))
    net = gluon_attn.get_model(MODEL, classes=4, **small)
    net.initialize()
    card = Card(MODEL, INSECTS, (0.5,) * 3, (0.5,) * 3, 32, arch=small, dataset="folder")
    gluon_attn.deploy.export_symbol(net, folder / "net", 32, card=card)
    return folder / "net-symbol.json"


@pytest.mark.parametrize(
    ("folders", "dataset", "said"),
    [
        (INSECTS, "folder", None),
        (("val/ant", "val/fly", "val/wasp"), "folder", None),
        (("bee", "fly", "wasp", "zebra"), "folder", "no class: zebra. The classes are ant, bee"),
        (("fig", "kiwi", "lime", "plum"), "folder", "no class: fig, kiwi"),
        (("val/fig", "val/kiwi", "val/lime", "val/plum"), "imagenet-folder", "where it knows 'ant', there is 'fig'"),
    ],
)
def test_a_file_is_scored_on_the_classes_of_its_card(capsys, of_insects, tmp_path, folders, dataset, said):
    for name in folders:
        for number in range(2):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (100 * number,) * 3).save(tmp_path / name / f"{number}.png")
    flags = ["--file", of_insects, "--dataset", dataset, "--data-root", tmp_path, "--results", tmp_path / "r.csv"]
    status, _, err = call(capsys, "evaluate", *flags)
    assert status == (0 if said is None else 2) and (said or "") in err, err


def test_a_file_is_not_scored_without_a_picture_that_cannot_be_read(capsys, of_insects, tmp_path):
    for name in INSECTS:
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "0.png").write_bytes(b"\x89PNG nothing")
    flags = ["--dataset", "folder", "--data-root", tmp_path, "--results", tmp_path / "r.csv"]
    status, _, err = call(capsys, "evaluate", "--file", of_insects, *flags)
    assert status == 2 and "0.png: it is no readable" in err and err.rstrip().endswith("Repair or remove it."), err
