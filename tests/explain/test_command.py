"""`gluon-attn explain` from picture files and data to a picture, a page and a table."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from gluon_attn import GluonAttnError, cli, data
from gluon_attn.commands import explain as command
from gluon_attn.data import canvas
from gluon_attn.explain import pictures
from gluon_attn.explain.methods import shown
from gluon_attn.explain.pictures import overlay
from tests.helpers import build


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for name in ("cifar_cbam_resnet20", "cifar_se_resnet20"):
        build(name, classes=10, layers=(1, 1, 1)).save_parameters(str(folder / f"{name}.params"))
    return folder


def explain(weights, *flags):
    names = ["cifar_cbam_resnet20", "cifar_se_resnet20"]
    files = ",".join(str(weights / f"{name}.params") for name in names)
    small = ["--arch", "layers=[1,1,1]", "--devices", "cpu:0"]
    return cli.main(["explain", "--model", ",".join(names), "--pretrained", files, *small, *flags])


def test_picture_and_page_of_files(weights, tmp_path):
    for number, folder in enumerate(("0", "1", "1")):
        (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(number).randint(0, 255, (40, 50, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / "in" / folder / f"{number}.png")
    out, page = tmp_path / "new" / "out.png", tmp_path / "out.html"
    flags = ["--image", str(tmp_path / "in"), "--dataset", "digits", "--method", "gradcam,attention"]
    assert explain(weights, *flags, "-o", str(out), "--html", str(page)) == 0
    width, height = Image.open(out).size
    assert height > width  # a line of pictures and two for each network, three columns
    text = page.read_text(encoding="utf-8")
    # Three pictures and their maps: two methods of CBAM, one of SE, which weighs no places.
    assert text.count("data:image/png;base64,") == 3 * (1 + 3) and text.count('"label": "1"') == 2


def test_score_table(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(canvas.COUNTS, "test", 12)
    flags = ["--dataset", "clutter", "--score", "--count", "3", "--method", "gradcam,attention", "--batch-size", "2"]
    assert explain(weights, *flags, "-o", str(tmp_path / "score.csv")) == 0
    assert "| cifar_se_resnet20 | attention |" in capsys.readouterr().out
    with open(tmp_path / "score.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["method"]) for row in rows] == [
        (f"cifar_{name}_resnet20", method) for name in ("cbam", "se") for method in ("gradcam", "attention")
    ]
    assert rows[3]["pointing"] == "" and 0 <= float(rows[0]["pointing"]) <= 1
    assert 0.3 < float(rows[0]["test_error"]) <= 1  # random weights, ten classes


def test_bad_pictures_are_named_and_left_out(weights, tmp_path, capsys):
    """As predict does: one bad file in a folder ended the command."""
    folder, page = tmp_path / "in", tmp_path / "page.html"
    folder.mkdir()
    (folder / "._a.png").write_bytes(b"hidden")
    (folder / "bad.png").write_bytes(b"no picture")
    flags = ["--image", str(folder), "--dataset", "digits", "--html", str(page)]
    assert explain(weights, *flags) == 1 and not page.exists()
    Image.new("RGB", (40, 40)).save(folder / "a.png")
    assert explain(weights, *flags) == 1
    assert re.findall(r'"name": "(.*?)"', page.read_text(encoding="utf-8")) == ["in/a.png"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith(f"gluon-attn: Cannot read image {folder / 'bad.png'}: ")
    assert lines[-1] == "gluon-attn: 1 of 2 pictures could not be read."


@pytest.mark.parametrize("size", [64, 96])
def test_the_box_is_on_the_object_at_any_size_of_the_input(weights, tmp_path, monkeypatch, size):
    """At 96 the frame of a picture of 64 lay beside the digit, and the page had none."""
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path, dpi: figures.append(figure))
    page, digit = tmp_path / "out.html", np.array(data.get_dataset("clutter", "test").box(7))
    flags = ["--dataset", "clutter", "--indices", "7", "--image-size", str(size), "--html", str(page)]
    assert explain(weights, *flags, "-o", str(tmp_path / "out.png")) == 0
    frames = [patch for axes in figures[0].axes for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(frames) == 3  # on the picture, and on a map of each network
    for frame in frames:
        x0, y0, x1, y1 = digit * size / 64
        assert frame.get_bbox().bounds == pytest.approx((x0 - 0.5, y0 - 0.5, x1 - x0, y1 - y0), abs=1)
    (box,) = re.findall(r'"box": (\[.*?\])', page.read_text(encoding="utf-8"))
    left, top, width, height = json.loads(box)
    assert [left, top, left + width, top + height] == pytest.approx(digit / 64, abs=0.5 / size)


def test_no_network_is_a_sentence(capsys):
    assert cli.main(["explain", "--dataset", "digits", "-o", "a.png"]) == 2
    assert "Which network? Give --model NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--image", "a.png"], "Nowhere to write"),
        (["-o", "a.png"], "Nothing to explain"),
        (["--dataset", "clutter", "-o", "a.png", "--method", "gradcamm"], "Did you mean 'gradcam'"),
        (["--dataset", "digits", "--score"], "digits has none"),
        (["--dataset", "clutter", "-o", "a.png", "--indices", "5000"], "no image 5000"),
        (["--dataset", "clutter", "--score", "--indices", "5000"], "no image 5000: choose 0 to 999"),
        (["--dataset", "clutter", "--score", "--indices", "-1"], "'-1' cannot be: give a whole number from 0"),
        (["--dataset", "clutter", "-o", "a.png", "--indices", "1,a"], "'a' cannot be: give a whole number from 0"),
        (["--dataset", "clutter", "-o", "a.png", "--count", "0"], "'0' cannot be: give a whole number from 1"),
        (["--dataset", "clutter", "-o", "a.png", "--count", "-3"], "'-3' cannot be: give a whole number from 1"),
        (["--dataset", "clutter", "-o", "a.png", "--indices", "1", "--count", "2"], "so how many: leave out --count"),
        (["--image", "a.png", "-o", "a.png", "--indices", "1", "--count", "2"], "leave out --indices and --count"),
        (["--image", "a.png", "-o", "a.png", "--data-root", "d"], "No --dataset is named: leave out --data-root"),
        (["--dataset", "clutter", "--score", "--html", "p.html"], "and no page: leave out --html"),
        (["--dataset", "clutter", "--score", "--target", "0"], "the true class of every image: leave out --target"),
        (["--dataset", "clutter", "-o", "a.png", "--target", "0", "--method", "attention"], "leave out --target"),
        (["--dataset", "clutter", "-o", "a.png", "--stage", "x", "--method", "attention,occlusion"], "out --stage"),
        (["--dataset", "clutter", "-o", "a.png", "--stage", "7"], "stage=7 does not exist"),
        (["--dataset", "clutter", "-o", "a.png", "--stage", "stage5"], "Did you mean 'stage"),
        (["--dataset", "clutter", "-o", "a.png", "--target", "11"], "target=11 is no class"),
    ],
)
def test_mistakes_are_sentences(weights, capsys, flags, sentence):
    assert explain(weights, *flags) == 2
    assert sentence in capsys.readouterr().err


def test_overlay_by_hand():
    """Seven tenths of the colour map, three tenths of the picture's grey."""
    image = np.full((1, 3, 3), 100, "uint8")
    got = overlay(image, np.array([[0.0, 1.0, 2.0]]))
    darkest, brightest = np.array([0, 0, 4]), np.array([252, 255, 164])  # inferno's ends
    np.testing.assert_allclose(got[0], np.array([darkest, brightest, brightest]) * 0.7 + 30, atol=1)


def test_the_picture_behind_an_input():
    image = np.random.RandomState(0).randint(0, 256, (4, 4, 3)).astype("uint8")
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    x = ((image / 255 - mean) / std).transpose(2, 0, 1)[None].astype("float32")
    np.testing.assert_array_equal(shown(x, mean, std)[0], image)


def test_the_class_that_was_asked_for_is_said(weights, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path, dpi: seen.append(figure))
    page = tmp_path / "out.html"
    flags = [
        "--image",
        "docs/digits/digit-3.png",
        "--dataset",
        "digits",
        "--method",
        "gradcam,attention",
        "--target",
        "7",
    ]
    assert explain(weights, *flags, "-o", str(tmp_path / "out.png"), "--html", str(page)) == 0
    lines = [axes.get_ylabel().split("\n")[-1] for axes in seen[0].axes]
    assert [line for line in lines if line and line != "picture"] == ["gradcam for 7", "attention", "gradcam for 7"]
    assert '"methods": ["gradcam for 7", "attention"]' in page.read_text(encoding="utf-8")


NAMES = ["bee", "ant", "3", "1", "1997", "bee"]


@pytest.mark.parametrize(
    ("word", "number"),
    [(None, None), ("0", 0), ("ant", 1), ("1", 1), ("3", 3), ("1997", 4), ("1998", 1998), ("-1", -1)],
)
def test_a_class_is_asked_for_by_its_number_or_its_name(word, number):
    """A number that no class has is refused by whoever looks (test_mistakes_are_sentences)."""
    assert command._class_of(word, NAMES) == number


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("an", "Unknown class in --target 'an'. Did you mean 'ant'. Choices: .* A number from 0 names one, too."),
        ("bee", "--target bee is the name of the classes 0 and 5: give the number"),
    ],
)
def test_a_name_that_is_no_class_is_a_sentence(word, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        command._class_of(word, NAMES)


def test_a_class_is_asked_for_by_name_on_the_command_line(weights, tmp_path):
    classes, page = tmp_path / "classes.txt", tmp_path / "out.html"
    classes.write_text("\n".join(f"class {letter}" for letter in "abcdefghij"))
    flags = ["--image", "docs/digits/digit-3.png", "--classes-file", str(classes), "--html", str(page)]
    assert explain(weights, *flags, "--target", "class h") == 0
    assert '"methods": ["gradcam for class h"]' in page.read_text(encoding="utf-8")


def test_long_labels_do_not_run_into_each_other():
    wide = "cifar_se_resnet20 runs/of-november/with-a-very-long-name/best.params"
    (label, *_), *_ = pictures._lines({wide: [shown_view()], "b": [shown_view()]})
    assert max(map(len, label.split("\n"))) <= pictures.LETTERS and label.replace("\n", "") == wide.replace(" ", "")


def shown_view():
    return type("View", (), {"maps": {"gradcam": np.zeros((2, 2))}})()


def test_the_page_does_not_replace_the_picture(weights, tmp_path, capsys):
    both = str(tmp_path / "both.svg")
    assert explain(weights, "--image", "docs/digits/digit-3.png", "-o", both, "--html", both) == 2
    assert "-o and --html both name" in capsys.readouterr().err and not (tmp_path / "both.svg").exists()
