"""predict, as a user calls it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gluon_attn import GluonAttnError
from gluon_attn import weights as zoo_weights
from gluon_attn.data import eval_transform
from gluon_attn.predict import Prediction, class_names, draw, find_pictures, predict
from gluon_attn.weights.origin import Origin
from tests.commands.calling import MODEL, call
from tests.helpers import build


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
    flags = ["--model", MODEL, "--pretrained", weights]  # which has no card: the file says how many classes there are
    status, out, _ = call(capsys, "predict", *flags, "--classes-file", names, pictures / "2.png")
    assert status == 0 and out.count("name") == 5
    names.write_text("one\ntwo\n")
    status, _, err = call(capsys, "predict", *flags, "--classes-file", names, pictures / "2.png")
    assert status == 2 and "has 2 class names and the network 10 outputs" in err


def test_a_file_of_names_of_another_program(tmp_path):
    """A mark before the first name is none of its letters; what is no text in UTF-8 is a sentence."""
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert class_names(2, file=tmp_path / "marked.txt") == ["one", "two"]
    (tmp_path / "latin.txt").write_bytes("grün\nblau".encode("latin-1"))
    for path, reason in [("latin.txt", "not in UTF-8"), (".", "Is a directory"), ("absent.txt", "No such file")]:
        with pytest.raises(GluonAttnError, match=f"cannot be read.*{reason}.*a class name a line"):
            class_names(2, file=tmp_path / path)


def test_classes_are_named_by_the_data_set_that_the_weights_know():
    entry = zoo_weights.choose("aff_resnet50", "openaff")
    names = Origin(entry.model, entry).class_names(1000)
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet tissue")
    assert class_names(2) == ["class 0", "class 1"]


def test_pictures_are_found_in_natural_order(pictures):
    assert [path.name for path in find_pictures([pictures, pictures / "2.png"])] == [
        "2.png",
        "10.png",
        "1.png",
        "2.png",
    ]


def test_a_raised_digit_in_a_name_is_no_number(tmp_path):
    for name in ("10²3.png", "9.png"):
        (tmp_path / name).touch()
    assert [path.name for path in find_pictures([tmp_path])] == ["9.png", "10²3.png"]


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
    flags = ["--model", MODEL, "--pretrained", weights, "--batch-size", batch_size]
    flags += engine or ["--dataset", "digits"]  # a deployed network knows its classes itself
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


@pytest.mark.parametrize("flag", ["--top", "--batch-size", "--image-size", "--classes"])
@pytest.mark.parametrize("count", [0, -1])
def test_counts_that_are_none(capsys, weights, pictures, flag, count):
    status, out, err = call(capsys, "predict", "--model", MODEL, "--pretrained", weights, flag, count, pictures)
    assert (status, out) == (2, "") and f"Argument {flag}: '{count}' cannot be: give a whole number from 1." in err


@pytest.mark.parametrize(
    "given, words",
    [
        (dict(names=["one"]), "1 class names and the network 10 outputs"),
        (dict(batch_size=-1), "batch_size=-1 cannot be"),
        (dict(top=-1), "top=-1 cannot be"),
    ],
)
def test_what_the_function_refuses(pictures, given, words):
    net, options = build(MODEL, classes=10, layers=(1, 1, 1)), {"names": list("0123456789"), **given}
    with pytest.raises(GluonAttnError, match=words):
        next(predict(net, [pictures / "2.png"], eval_transform(32, (0.5,) * 3, (0.5,) * 3), **options))


def test_an_image_size_that_the_network_cannot_take(capsys, pictures, tmp_path):
    build("cifar_ge_resnet20", classes=10).save_parameters(str(tmp_path / "ge.params"))
    flags = ["--model", "cifar_ge_resnet20", "--pretrained", tmp_path / "ge.params", "--classes", 10]
    status, out, err = call(capsys, "predict", *flags, "--image-size", 64, pictures)
    assert (status, out) == (2, "") and "cannot take images of 3x64x64" in err


def test_predict_with_bad_pictures_only(capsys, weights, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG nothing")
    flags = ["--model", MODEL, "--pretrained", weights, "--dataset", "digits", "--picture", tmp_path / "b.png"]
    status, out, err = call(capsys, "predict", *flags, tmp_path)
    assert (status, out) == (1, "") and f"Cannot read image {tmp_path / 'a.png'}" in err
    assert not (tmp_path / "b.png").exists()


def test_nothing_to_draw(tmp_path):
    with pytest.raises(GluonAttnError, match="no prediction to draw"):
        draw([], tmp_path / "drawn.png")


def test_dollars_in_a_class_name_are_drawn(tmp_path):
    from PIL import Image

    Image.new("RGB", (3000, 40)).save(tmp_path / "a.png")
    draw([Prediction(tmp_path / "a.png", [("$\\frac$ <b>", 1.0)])], tmp_path / "drawn.png")
    assert Image.open(tmp_path / "drawn.png").size > (10, 10)
