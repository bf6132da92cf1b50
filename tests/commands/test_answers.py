"""What commands say to programs, and how mistakes in a command line end."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import cli, data
from gluon_attn.commands.evaluate import COLUMNS, append
from gluon_attn.commands.export import written_as
from gluon_attn.errors import GluonAttnError, WriteError
from gluon_attn.explain.subjects import of_each_class
from tests.commands.calling import MODEL, call


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / 'a, "b".png'
    Image.fromarray(data.get_dataset("digits", "test")[0][0]).save(path)
    return path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", "--dataset"], "expected one argument"),
        (["train", "--modle", "resnet50"], "There is no option --modle. Did you mean --model?"),
        (["evaluate", "--model", MODEL], "Give --dataset NAME"),
        (["predict", "--batch-size", "x", "a.png"], "'x' cannot be: give a whole number from 1"),
        (["info"], "required: NAME"),
        (["export", "--model", MODEL, "-o", "x", "stray"], "'stray' is one word too many"),
        (["predict", "a.png", "--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_the_error_is_one_line_and_the_last(capsys, argv, said):
    status, out, err = call(capsys, *argv)
    assert status == 2 and not out
    assert len(err.splitlines()) == 1 and err.startswith("gluon-attn: ") and said in err
    assert f"gluon-attn {argv[0]} --help" in err


def test_scripts_say_it_as_briefly(capsys):
    from gluon_attn.commands import train
    from gluon_attn.tasks.gaze import script as gaze
    from gluon_attn.tasks.segmentation import script as segmentation

    for main in (lambda argv: train.main("cifar", argv), gaze.main, segmentation.main):
        assert main(["--epohcs", "3"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_of_all_and_of_one(capsys):
    assert call(capsys, "help") == call(capsys, "--help") and "evaluate" in call(capsys, "help")[1]
    with pytest.raises(SystemExit) as ended:
        cli.main(["help", "predict"])
    assert ended.value.code == 0 and "--format" in capsys.readouterr().out
    assert call(capsys, "help", "pedict")[0] == 2
    with pytest.raises(SystemExit):
        cli.main(["help", "export"])
    assert "\nONNX, PyTorch or symbol files." in capsys.readouterr().out


def test_python_m():
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    found = subprocess.run(
        [sys.executable, "-m", "gluon_attn", "list", "AFF", "--exclude", "cifar", "*next*"],
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
    )
    assert found.stdout.decode().split()[:2] == ["aff_resnet18", "aff_resnet18d"]


def test_list_takes_words(capsys):
    assert "cifar_se_resnet20\n" in call(capsys, "list", "resnet20")[1]  # a name is a word here, too
    status, _, err = call(capsys, "list", "seresnet50")
    assert status == 2 and "Did you mean se_resnet50?" in err


def test_info_for_programs_and_side_by_side(capsys):
    one = json.loads(call(capsys, "info", MODEL, "--json")[1])
    assert one["name"] == MODEL and one["parameters"] == gluon_attn.model_info(MODEL).parameters
    two = json.loads(call(capsys, "info", MODEL, "cifar_aff_resnet20", "--json")[1])
    assert [each["name"] for each in two] == [MODEL, "cifar_aff_resnet20"]
    table = call(capsys, "info", MODEL, "cifar_aff_resnet20")[1].splitlines()
    assert table[0].split() == [MODEL, "cifar_aff_resnet20"]
    (row,) = [line for line in table if line.startswith("parameters")]
    assert f"({two[1]['parameters'] / two[0]['parameters']:.2f}x)" in row


def test_predictions_for_programs(capsys, weights, picture):
    flags = ["predict", "--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--top", 3, picture]
    status, out, _ = call(capsys, *flags, "--format", "json")
    (found,) = json.loads(out)
    assert status == 0 and found["path"] == str(picture) and len(found["classes"]) == 3
    rows = list(csv.DictReader(io.StringIO(call(capsys, *flags, "--format", "csv")[1])))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] and {row["path"] for row in rows} == {str(picture)}
    for row, entry in zip(rows, found["classes"]):
        assert row["class"] == entry["class"] and float(row["probability"]) == pytest.approx(entry["probability"], 1e-5)
    assert f"{found['classes'][0]['class']} {100 * found['classes'][0]['probability']:.1f} %" in call(capsys, *flags)[1]


def test_export_adds_the_suffix(capsys, weights, tmp_path):
    flags = ["export", "--model", MODEL, "--pretrained", weights, "--dataset", "digits"]
    status, out, _ = call(capsys, *flags, "-o", tmp_path / "net")
    assert status == 0 and (tmp_path / "net.onnx").is_file() and out.startswith(str(tmp_path / "net.onnx"))
    assert written_as("net.v2", "onnx") == "net.v2.onnx" and written_as("net.onnx", "onnx") == "net.onnx"
    for name in ("net", "net-symbol.json", "net-0000.params"):
        assert written_as(name, "symbol") == "net"
    for name, format in (("out/", "onnx"), (".onnx", "onnx"), ("..", "torch"), ("out/-symbol.json", "symbol")):
        with pytest.raises(GluonAttnError, match="names no file: give one"):
            written_as(name, format)
    assert repr(gluon_attn.deploy.Predictor(tmp_path / "net.onnx", engine="onnxruntime")).count("\n") == 0


def test_export_in_int8_is_what_quantize_makes(capsys, tmp_path):
    flags = ["export", "--model", MODEL, "--pretrained", "digits", "--precision", "int8"]
    status, out, _ = call(capsys, *flags, "--calibration", "docs/digits", "-o", tmp_path / "net")
    assert status == 0 and "in int8 it answers 10 of the 10 pictures as before" in out
    predict = gluon_attn.deploy.Predictor(tmp_path / "net.onnx", engine="onnxruntime")
    assert predict.precision == "int8" and [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    given = dict(pretrained="digits", engine="onnxruntime", precision="int8", calibration="docs/digits")
    found, pictures = gluon_attn.deploy.Predictor(MODEL, **given), ["docs/digits/digit-3.png"]
    assert (predict.logits(pictures) == found.logits(pictures)).all()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dataset", "clutter"], "were trained on digits: leave out --dataset clutter"),
        (["--batch-size", 4], "There is no option --batch-size"),
        (["--dtype", "float16"], "There is no option --dtype"),
        (["--precision", "int8"], "--precision int8 needs --calibration PATH"),
        (["--calibration", "docs/digits"], "--calibration is for --precision int8"),
        (["--precision", "bfloat16"], "Choices: float32, int8"),
        (["--precision", "int8", "--calibration", "docs/digits", "--format", "torch"], "is for --format onnx"),
        (["--precision", "int8", "--calibration", "gluon_attn/deploy/run"], "No pictures below"),
    ],
)
def test_export_has_no_flag_that_it_would_pass_over(capsys, tmp_path, flags, said):
    status, _, err = call(capsys, "export", "--model", MODEL, "--pretrained", "digits", "-o", tmp_path / "net", *flags)
    assert status == 2 and said in err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["evaluate", "--dataset", "digits", "--workers", 3], "--workers is for networks in MXNet"),
        (["evaluate", "--dataset", "digits", "--reader", "native"], "--reader is for networks in MXNet"),
        (
            ["predict", "--run", gluon_attn.weights.choose(MODEL, "digits").path[: -len("weights.params")], "a.png"],
            "two",
        ),
        (["benchmark", "--no-memory"], "no names, --run, --image-size, --devices, --no-memory"),
    ],
)
def test_what_a_file_does_not_take_is_refused(capsys, picture, argv, said):
    command, *flags = argv
    flags = [picture if flag == "a.png" else flag for flag in flags]
    status, _, err = call(capsys, command, *flags, "--file", "net.onnx")
    assert status == 2 and said in err, err


@pytest.mark.parametrize("argv", [["benchmark"], ["evaluate", "--dataset", "digits"]])
def test_a_name_is_no_file(capsys, argv):
    status, _, err = call(capsys, *argv, "--file", MODEL)
    assert status == 2 and f"--file {MODEL} is no file of `gluon-attn export`" in err


def test_explained_pictures_are_of_different_classes():
    labels = np.repeat(np.arange(10), 40)
    assert labels[of_each_class(labels, 10)].tolist() == list(range(10))
    assert len(set(labels[of_each_class(labels, 6)])) == 6
    assert sorted(labels[of_each_class([0, 0, 0, 1], 3)]) == [0, 0, 0] and of_each_class([0, 0, 0, 1], 3) == [0, 3, 1]
    assert of_each_class([0, 0, -1], 9) == [0, 1]


def test_an_older_table_of_evaluations_gets_the_new_columns(tmp_path):
    path = tmp_path / "evaluations.csv"
    path.write_text("model,top1_error,mxnet\na,1.00,1.9.1\n", encoding="utf-8")
    append(path, {"model": "b", "top1_error": "2.00", "top1_error_interval": "1-3"})
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [(r["model"], r["top1_error"], r["top1_error_interval"]) for r in rows] == [
        ("a", "1.00", ""),
        ("b", "2.00", "1-3"),
    ]


def test_a_row_begins_its_own_line(tmp_path):
    path = tmp_path / "evaluations.csv"
    for number in range(3):
        append(path, {"model": f"net{number}", "dataset": "a\nb"})
        path.write_bytes(path.read_bytes()[:-1])  # an editor that leaves out the last newline
    with path.open(newline="") as file:
        assert [(row["model"], row["dataset"]) for row in csv.DictReader(file)] == [
            (f"net{number}", "a\nb") for number in range(3)
        ]


@pytest.mark.parametrize(
    "content",
    [
        b"my notes\n",
        b"model,comment,top1_error\na,best,1.00\n",
        b"model,model\na,b\n",
        b"\xff\xfe,\x00",
        b"model\na,1\n",
    ],
)
def test_a_file_that_is_no_table_of_evaluations_stays(capsys, monkeypatch, weights, tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    monkeypatch.setattr("gluon_attn.commands.evaluate.load_network", None)  # it is said before the work
    flags = ["evaluate", "--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--results", path]
    for more in ([], ["--dry-run"], ["--engine", "onnxruntime"]):
        status, _, err = call(capsys, *flags, *more)
        assert status == 2 and "notes.txt is no table of evaluations" in err, err
    assert path.read_bytes() == content


def test_a_table_that_cannot_be_written_is_said_before_the_work(capsys, monkeypatch, weights, tmp_path):
    monkeypatch.setattr("gluon_attn.commands.evaluate.load_network", None)
    flags = ["evaluate", "--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--results"]
    assert "is a folder: name a file" in call(capsys, *flags, tmp_path)[2]
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)  # a folder to read from
    assert "r.csv cannot be written" in call(capsys, *flags, tmp_path / "new" / "r.csv")[2]


def test_a_full_disk_does_not_cost_the_answer(capsys, monkeypatch, weights, few_digits, tmp_path):
    def full(*_):
        raise WriteError("r.csv was not written")

    monkeypatch.setattr("gluon_attn.commands.evaluate.append", full)
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--results", tmp_path / "r.csv"]
    status, out, err = call(capsys, "evaluate", *flags)
    assert status == 2 and "accuracy" in out and "was not written" in err


def test_a_loader_is_a_loop_of_its_own():
    digits = data.get_dataset("digits", "test")
    assert repr(digits) == "<digits: 400 images for 32x32, 10 classes (0, 1, 2, ...)>"
    transform = data.eval_transform(32, digits.mean, digits.std, resize=32)
    loader = data.Loader(digits, 100, transform, train=True)
    first, second = ([labels.asnumpy() for _, labels in loader] for _ in range(2))
    assert len(first) == 4 and not np.array_equal(np.concatenate(first), np.concatenate(second))
    for epoch, given in enumerate((first, second)):
        expected = np.concatenate([labels.asnumpy() for _, labels in loader.epoch(epoch)])
        np.testing.assert_array_equal(np.concatenate(given), expected)
    still = data.Loader(digits, 400, transform, train=False)
    for _ in range(2):
        ((images, labels),) = still
        assert images.shape == (400, 3, 32, 32) and labels.asnumpy().tolist() == digits.labels.tolist()


def test_a_map_prints_as_one_line():
    from gluon_attn.explain import attention_maps

    net = gluon_attn.get_model("cifar_se_resnet20", classes=10)
    net.initialize()
    name, found = next(iter(attention_maps(net, mx.nd.ones((2, 3, 32, 32))).items()))
    assert repr(found).startswith(f"<SE at {name}: channel 2 x 16 x 1 x 1") and "\n" not in repr(found)
