"""list, info, env, evaluate and predict, as a user calls them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import cli, data
from gluon_attn import weights as zoo_weights
from gluon_attn.catalogue.names import LABELS, SPECS
from gluon_attn.commands import store
from gluon_attn.commands.loading import preprocessing, transform_for
from gluon_attn.predict import Prediction, class_names, draw, find_pictures, named_by
from gluon_attn.weights import table

MODEL = "cifar_resnet20"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a network whose outputs differ from image to image."""
    mx.random.seed(0)
    net = gluon_attn.get_model(MODEL, classes=10)
    net.initialize(mx.init.MSRAPrelu())
    path = tmp_path_factory.mktemp("weights") / "w.params"
    net.save_parameters(str(path))
    return path


@pytest.fixture(scope="module")
def expected(weights):
    """Logits and labels of the test digits, computed without the commands."""
    digits = data.get_dataset("digits", "test")
    net = gluon_attn.get_model(MODEL, pretrained=weights, classes=10)
    images = np.stack([digits[i][0] for i in range(len(digits))]).transpose(0, 3, 1, 2) / 255
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (digits.mean, digits.std))
    return net(mx.nd.array((images - mean) / std)).asnumpy(), digits.labels


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    digits = data.get_dataset("digits", "test")
    (folder / "more").mkdir()
    for index, name in enumerate(["2.png", "10.png", "more/1.png"]):
        Image.fromarray(digits[index][0]).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def call(capsys, *argv):
    """(exit status, standard output, standard error) of a command."""
    status = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


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


def test_predict_names_the_most_probable_classes(capsys, weights, expected, pictures, tmp_path):
    logits = expected[0][:3].astype("float64")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    picture = tmp_path / "new" / "shown.png"
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--picture", picture, "--top", 3]
    status, out, _ = call(capsys, "predict", *flags, pictures)
    assert status == 0
    lines = out.splitlines()
    for line, name, row in zip(lines, ["2.png", "10.png", "more/1.png"], probabilities):
        best = np.argsort(-row)[:3]
        shown = ", ".join(f"{digit} {100 * row[digit]:.1f} %" for digit in best)
        assert line == f"{pictures / name}: {shown}"
    assert lines[3:] == [f"picture: {picture}"]
    with Image.open(picture) as image:
        assert image.size[0] > 300 and len(image.getcolors(1 << 24)) > 10


def test_predict_turns_pictures_upright(capsys, weights, pictures, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(pictures / "2.png") as image:
        image.transpose(Image.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    flags = ["--model", MODEL, "--pretrained", weights, "--classes", 10, "--dataset", "digits"]
    status, out, _ = call(capsys, "predict", *flags, pictures / "2.png", tmp_path / "turned.png")
    upright, turned = (line.partition(": ")[2] for line in out.splitlines())
    assert status == 0 and upright == turned


def test_predict_takes_names_from_a_file(capsys, weights, pictures, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"name{i}" for i in range(10)))
    flags = ["--model", MODEL, "--pretrained", weights, "--classes", 10]
    status, out, _ = call(capsys, "predict", *flags, "--classes-file", names, pictures / "2.png")
    assert status == 0 and out.count("name") == 5
    names.write_text("one\ntwo\n")
    status, _, err = call(capsys, "predict", *flags, "--classes-file", names, pictures / "2.png")
    assert status == 2 and "has 2 class names and the network 10 outputs" in err


def test_classes_are_named_by_the_data_set_that_the_weights_know():
    entry = zoo_weights.choose("aff_resnet50", "openaff")
    names = class_names(1000, named_by(entry))
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet tissue")
    assert class_names(2) == ["class 0", "class 1"]


def test_pictures_are_found_in_natural_order(pictures):
    assert [path.name for path in find_pictures([pictures, pictures / "2.png"])] == [
        "2.png",
        "10.png",
        "1.png",
        "2.png",
    ]


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


def test_images_are_prepared_as_for_the_weights():
    digits, flags = data.get_dataset("digits", "test"), SimpleNamespace(model=MODEL, dataset="digits", image_size=None)
    own = preprocessing(flags, None, digits)
    assert (own["mean"], own["input_size"], own["crop_pct"]) == (digits.mean, 32, 1.0)
    entry = table.choose("iaff_resnext50_32x4d")
    published = preprocessing(flags, entry, digits)
    assert published == entry.preprocessing
    assert repr(transform_for(published)).startswith("Centre(size=224, resize=256, interpolation='bilinear')")
    flags.image_size = 288
    assert preprocessing(flags, entry, digits)["input_size"] == 288


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


@pytest.mark.parametrize("name,message", [("empty", "No pictures below"), ("absent", "There is no file or folder")])
def test_missing_pictures_are_one_sentence(name, message, capsys, weights, tmp_path):
    (tmp_path / "empty").mkdir()
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits"]
    status, _, err = call(capsys, "predict", *flags, tmp_path / name)
    assert status == 2 and message in err


@pytest.mark.parametrize(
    ("batch_size", "engine"), [(1, []), (2, []), (64, []), (2, ["--engine", "onnxruntime", "--classes", 10])]
)
def test_predict_goes_on_past_bad_pictures(capsys, weights, pictures, tmp_path, batch_size, engine):
    """They are named, the others are predicted as without them, and the status says that some were not."""
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--batch-size", batch_size, *engine]
    whole = sorted(path for path in pictures.rglob("*.png"))[:3]
    for number, path in zip((1, 3, 5), whole):
        (tmp_path / f"{number}.png").write_bytes(path.read_bytes())
    _, expected, _ = call(capsys, "predict", *flags, *(tmp_path / f"{number}.png" for number in (1, 3, 5)))
    for number in (0, 2, 4, 6):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG nothing")
    (tmp_path / "7.png").symlink_to("nowhere")
    (tmp_path / "8.png").mkdir()
    status, out, err = call(capsys, "predict", *flags, tmp_path, "--picture", tmp_path / "drawn" / "all.png")
    assert status == 1, err
    assert expected and out.startswith(expected) and len(out.splitlines()) == 4
    lines = err.splitlines()
    named = [f"gluon-attn: Cannot read image {tmp_path / f'{number}.png'}: " for number in (0, 2, 4, 6, 7)]
    assert len(lines) == 6 and all(line.startswith(name) for line, name in zip(lines, named))
    assert lines[-1] == "gluon-attn: 5 of 8 pictures could not be read."


def test_predict_with_bad_pictures_only(capsys, weights, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--picture", tmp_path / "b.png"]
    status, out, err = call(capsys, "predict", *flags, tmp_path)
    assert (status, out) == (1, "") and f"Cannot read image {tmp_path / 'a.png'}" in err
    assert not (tmp_path / "b.png").exists()


def test_dollars_in_a_class_name_are_drawn(tmp_path):
    from PIL import Image

    Image.new("RGB", (3000, 40)).save(tmp_path / "a.png")
    draw([Prediction(tmp_path / "a.png", [("$\\frac$ <b>", 1.0)])], tmp_path / "drawn.png")
    assert Image.open(tmp_path / "drawn.png").size > (10, 10)


def test_list_shows_names_and_weights(capsys):
    status, out, _ = call(capsys, "list", "cifar_aff_resnext??_32x4d")
    assert status == 0 and out.split() == ["cifar_aff_resnext38_32x4d", "cifar_aff_resnext47_32x4d"]
    _, out, _ = call(capsys, "list", "--pretrained", "*iaff_resnext50*")
    head, row = out.splitlines()
    assert head.split()[:3] == ["model", "tag", "source"]
    assert row.split()[:6] == ["iaff_resnext50_32x4d", "openaff", "openaff", "19.78", "5.19", "1000"]
    assert "git-blob-sha1:769c7032" in row and "licence" in row
    status, _, err = call(capsys, "list", "nothing*")
    assert status == 2 and "No name matches 'nothing*'" in err


def test_info_shows_costs_and_weights(capsys):
    status, out, _ = call(capsys, "info", "se_resnet50")
    assert status == 0
    for fact in ("28.088 M", "at 224 x 224", "0.485, 0.456, 0.406", "21.07", "5.60", "sha1:e75ef498", "MIT", "timm"):
        assert fact in out
    assert "weights     none known" in call(capsys, "info", "cbam_resnet18")[1]


def test_env_tells_versions_and_devices(capsys, monkeypatch):
    monkeypatch.setenv("GLUON_ATTN_REPO", "http://mirror")
    out = call(capsys, "env")[1]
    lines = dict(line.split(None, 1) for line in out.splitlines() if "mxnet" not in line.split(None, 1)[1])
    assert lines["numpy"] == np.__version__ and lines["GLUON_ATTN_REPO"] == "http://mirror"
    assert "MKLDNN" in out and "GPUs that mxnet sees" in out


# --- stored runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(weights, expected, tmp_path):
    """The folder of a finished run, as training leaves it."""
    logits, labels = expected
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "last.params").write_bytes(weights.read_bytes())
    (folder / "train.log").write_text("log\n")
    (folder / "history.csv").write_text("epoch,top1,top5\n0,0.1,0.5\n1,0.2,0.75\n")
    recipe = dict(dataset_options={}, data_root="", classes=0, arch={}, image_size=0)
    metrics = dict(
        model=MODEL,
        dataset="digits",
        best_epoch=0,
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
        ["weights.params", "train.log", "history.csv", "metrics.json", "command.txt"]
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


def test_a_stored_run_keeps_its_architecture(run, tmp_path, monkeypatch):
    """Without alpha the weights would load into another function of the same shapes."""
    name = "cifar_inv_se_resnet20"
    net = gluon_attn.get_model(name, variant="inverse_attention", classes=10, alpha=0.5)
    net.initialize(mx.init.MSRAPrelu())
    net.save_parameters(str(run / "last.params"))
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["model"] = name
    metrics["recipe"].update(variant="inverse_attention", arch={"alpha": 0.5})
    (run / "metrics.json").write_text(json.dumps(metrics))
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
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["last_accuracy"] += 0.01
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert store.main([str(run), "--params", str(tmp_path / "params"), "--float16"]) == 2
    assert "store it without --float16" in capsys.readouterr().err and not list((tmp_path / "params").rglob("*.params"))


def test_a_folder_that_is_no_run_is_not_stored(capsys, run, tmp_path):
    (run / "last.params").write_bytes(b"nothing")
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    (run / "metrics.json").unlink()
    assert store.main([str(run), "--params", str(tmp_path / "params")]) == 2
    assert "is no finished run" in capsys.readouterr().err
    assert not (tmp_path / "params").exists()


def test_info_says_what_the_paper_calls_a_network(capsys):
    assert set(LABELS) <= set(SPECS)
    assert gluon_attn.model_info("cifar_abn_resnet164bn").label == "ResNet110"
    _, out, _ = call(capsys, "info", "cifar_abn_resnet164bn")
    assert out.startswith("cifar_abn_resnet164bn (arXiv 1812.10025, which calls it ResNet110)\n")
    _, out, _ = call(capsys, "info", MODEL)
    assert out.startswith(f"{MODEL} (arXiv 1512.03385)\n")


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-c", "from gluon_attn.cli import main; print('first', flush=True); main(['list'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 0
