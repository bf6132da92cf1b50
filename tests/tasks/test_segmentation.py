"""Segmentation networks, their loss and metric against numpy, and a loop that learns."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import GluonAttnError
from gluon_attn.tasks.segmentation import fit as segmentation
from gluon_attn.tasks.segmentation import script
from gluon_attn.tasks.segmentation.model import METHODS, create, stage_channels
from tests.helpers import images, randomise

TINY = dict(layers=(1, 1, 1), widths=(8, 16, 32), stem_widths=(8,))


def tiny(method, outputs="logits", classes=4):
    arch = dict(output_stride=2) if method in ("dilated", "danet") else {}
    return create(method, "cifar_resnet20", classes, outputs=outputs, **arch, **TINY)


def enlarge(x, size):
    """Bilinear, corners aligned."""
    for axis, side in zip((2, 3), size):
        at = np.linspace(0, x.shape[axis] - 1, side)
        low = np.minimum(at.astype(int), x.shape[axis] - 2)
        t = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - t) + np.take(x, low + 1, axis) * t
    return x


@pytest.mark.parametrize("method", sorted(METHODS))
def test_shapes_and_gradients(method):
    net, x = randomise(tiny(method, outputs="all")), mx.nd.array(images(2, 3, 24, 20))
    imperative = [y.asnumpy() for y in net(x)]
    assert len(imperative) == len(net.gives) and all(y.shape == (2, 4, 24, 20) for y in imperative)
    net.hybridize()
    for got, expected in zip(net(x), imperative):
        np.testing.assert_allclose(got.asnumpy(), expected, rtol=1e-3, atol=1e-4)
    with mx.autograd.record():
        loss = segmentation.SegmentationLoss()(net(x), mx.nd.array(np.arange(960).reshape(2, 24, 20) % 4))
    loss.backward()
    for path, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            assert abs(parameter.grad().asnumpy()).max() > 0, f"no gradient reaches {path}"


def test_danet_on_a_dilated_resnet():
    net = create("danet", "resnet50", 19, outputs="all", output_stride=8, multi_grid=(1, 2, 4))
    outputs = mx.sym.Group(list(net(mx.sym.Variable("data"))))
    assert outputs.infer_shape(data=(1, 3, 480, 480))[1] == [(1, 19, 480, 480)] * 3
    internals = outputs.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=(1, 3, 480, 480))[1]))
    assert (1, 3600, 3600) in shapes.values() and (1, 512, 512) in shapes.values()  # positions, channels
    backbone = gluon_attn.get_model("resnet50")._collect_params_with_prefix()
    own = net._collect_params_with_prefix()
    shared = [name for name in own if name.startswith(("stem.", "stages."))]
    assert shared == [name for name in backbone if not name.startswith("head.")]
    assert all(own[name].shape == backbone[name].shape for name in shared)


def test_the_prediction_is_the_first_output():
    one, all_of_them = tiny("danet"), tiny("danet", outputs="all")
    randomise(one), randomise(all_of_them)
    x = mx.nd.array(images(1, 3, 16, 16))
    np.testing.assert_allclose(one(x).asnumpy(), all_of_them(x)[0].asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["fcn", "aff_fcn", "iaff_fcn"])
def test_skip_connections_are_fused_from_coarse_to_fine(method):
    net, x = randomise(tiny(method)), mx.nd.array(images(1, 3, 16, 16))
    features = [net.stem(x)]
    for stage in net.stages:
        features.append(stage(features[-1]))
    fine, middle, coarse = (lateral(y) for lateral, y in zip(net.lateral, features[1:]))
    for number, skip in ((1, middle), (0, fine)):
        up = mx.nd.array(enlarge(coarse.asnumpy(), skip.shape[2:]))
        fused = skip + up if method == "fcn" else net.fuse[number](skip, up)
        coarse = mx.nd.relu(fused)
    logits = net.classify(net.smooth(coarse))
    np.testing.assert_allclose(net(x).asnumpy(), logits.asnumpy(), rtol=1e-4, atol=1e-4)
    kinds = {"fcn": "Add", "aff_fcn": "AFF", "iaff_fcn": "IAFF"}
    assert {type(fuse).__name__ for fuse in net.fuse} == {kinds[method]}


def test_stage_channels():
    assert stage_channels(gluon_attn.get_model("resnet50")) == (256, 512, 1024, 2048)


def test_loss_leaves_unknown_pixels_out():
    rng, logits = np.random.RandomState(0), [images(2, 3, 4, 5, seed=i) for i in range(3)]
    mask = rng.randint(-1, 3, (2, 4, 5))
    expected = np.zeros(2)
    for z in logits:
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        for n in range(2):
            known = np.argwhere(mask[n] >= 0)
            expected[n] -= np.mean([log_p[n, mask[n][i, j], i, j] for i, j in known])
    got = segmentation.SegmentationLoss()(tuple(mx.nd.array(z) for z in logits), mx.nd.array(mask))
    np.testing.assert_allclose(got.asnumpy(), expected, rtol=1e-5)


class Answer(mx.gluon.HybridBlock):
    """The image is the answer: logits of three classes in its three channels."""

    def hybrid_forward(self, F, x):
        return x


def test_metric_is_pixel_accuracy_and_mean_iou():
    pytest.importorskip("gluoncv")
    rng = np.random.RandomState(0)
    truth, scores = rng.randint(-1, 3, (5, 6, 7)), rng.uniform(size=(5, 3, 6, 7)).astype("float32")
    answer, known = scores.argmax(1), truth >= 0
    iou = [((answer == c) & (truth == c)).sum() / (((answer == c) & known) | (truth == c)).sum() for c in range(3)]
    got = segmentation.evaluate(Answer(), scores, truth, 3, batch_size=2)
    np.testing.assert_allclose(got["pixel_accuracy"], (answer == truth).sum() / known.sum())
    np.testing.assert_allclose(got["miou"], np.mean(iou))


def bright_squares(side):
    """Images (24, 3, side, side) with a bright square each, and its masks."""
    rng = np.random.RandomState(0)
    x, y = rng.normal(0, 0.3, (24, 3, side, side)).astype("float32"), np.zeros((24, side, side), "float32")
    for image, mask, (i, j) in zip(x, y, rng.randint(0, 10, (24, 2))):
        image[:, i : i + 6, j : j + 6] += 2
        mask[i : i + 6, j : j + 6] = 1
    return x, y


def seeded():
    mx.random.seed(0)
    net = tiny("danet", outputs="all", classes=2)
    net.initialize(mx.init.MSRAPrelu())
    net.hybridize(static_alloc=True)
    return net


def same_bits():
    """Two runs, and one that is evaluated on other images."""
    x, y = bright_squares(16)
    runs = []
    for test in ((x, y), (x, y), (x[:4], y[:4])):
        net, history = segmentation.fit(seeded, (x, y), test, 2, epochs=6, batch_size=4, lr=0.05, log=str)
        weights = [parameter.data().asnumpy() for parameter in net.collect_params().values()]
        runs.append((weights, [row["loss"] for row in history], [row.get("miou") for row in history]))
    assert runs[0][1:] == runs[1][1:], (runs[0][1:], runs[1][1:])
    assert runs[0][1] == runs[2][1] and runs[0][2] != runs[2][2], "other test images leave the training alone"
    for again in runs[1:]:
        assert all((a == b).all() for a, b in zip(runs[0][0], again[0]))


def test_the_same_seed_gives_the_same_bits():
    """Evaluations between the updates included, which must not touch the network that is trained. On one core:
    with more, MXNet's own order of summation differs from run to run in DANet."""
    pytest.importorskip("gluoncv")
    if os.environ.get("OMP_NUM_THREADS") == "1":
        same_bits()
    else:
        code = "from tests.tasks.test_segmentation import same_bits; same_bits()"
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=alone)


def test_learns_where_bright_squares_are(tmp_path):
    pytest.importorskip("gluoncv")
    x, y = bright_squares(16)
    net, history = segmentation.fit(seeded, (x, y), (x, y), 2, epochs=5, batch_size=4, lr=0.05, log=str)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"] and history[-1]["miou"] > 0.75, history
    segmentation.write_run(tmp_path / "run", net, history, {"miou": history[-1]["miou"]})
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["miou"] == history[-1]["miou"]
    again = tiny("danet", classes=2)
    again.load_parameters(str(tmp_path / "run" / "last.params"))
    predictions = segmentation.predict(again, x[:2]).asnumpy().argmax(1)
    shown = np.uint8(np.clip(x[:2].transpose(0, 2, 3, 1) * 80 + 40, 0, 255))
    segmentation.draw(tmp_path / "masks.png", shown, y[:2], [predictions], ["danet"], ["nothing", "square"])
    picture = np.asarray(Image.open(tmp_path / "masks.png").convert("RGB"))
    for colour in segmentation.class_colours(2)[:2]:
        assert (abs(picture - 255 * colour) < 1).all(-1).sum() > 1000, "a class is not to be seen"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: tiny("unet"), ["segmentation method 'unet'", "aff_fcn"]),
        (lambda: tiny("fcn", outputs="both"), ["outputs 'both'", "logits"]),
        (
            lambda: segmentation.fit(None, (np.zeros((3, 1)), None), None, 2, epochs=1, batch_size=4, lr=1),
            ["batch_size=4"],
        ),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--epochs", "0"], "--epochs: '0' cannot be: give a whole number from 1"),
        (["--batch-size", "-4"], "--batch-size: '-4' cannot be: give a whole number from 1"),
        (["--lr", "nan"], "--lr: 'nan' cannot be: give a number above 0"),
        (["--lr", "-1"], "--lr: '-1' cannot be: give a number above 0"),
        (["--seed", "-1"], "--seed: '-1' cannot be: give a whole number from 0"),
        (["--seed", str(1 << 40)], "--seed: '1099511627776' cannot be"),
        (["--width", "1.5"], "--width: '1.5' cannot be: give a whole number from 1"),
        (["--test-images", "0"], "--test-images: '0' cannot be"),
        (["--methods", "fcn, dilate", "--dry-run"], "Unknown segmentation method 'dilate'. Did you mean 'dilated'"),
        (["--model", "resnet", "--dry-run"], "Unknown model 'resnet'"),
        (["--image-size", "17"], "does not fit a canvas of 17"),
        (["--output-stride", "3"], "output_stride=3: this network can have one of [1, 2, 4]"),
        (["--methods", "fcn", "--layers", "1", "1"], "has 3 entries for the 2 stages of layers=(1, 1)"),
        (["--methods", "fcn", "--batch-size", "1001"], "batch_size=1001 is more than the 1000 training images"),
        (["--methods", "danet", "--model", "cifar_ge_resnet20"], "cannot take images of 3x48x48"),
    ],
)
def test_mistakes_of_the_command_are_sentences(words, sentence, tmp_path, capsys):
    """Before anything is trained; the plan finds what the run finds."""
    from gluon_attn.tasks.segmentation import script as train_segmentation

    for how in ([], ["--dry-run"]):
        assert train_segmentation.main([*words, *how, "--output", str(tmp_path / "run")]) == 2
        assert sentence in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_run_is_not_written_over(tmp_path, capsys):
    """Nor is that of another method: the table in the same folder would lose it."""
    (tmp_path / "run" / "danet").mkdir(parents=True)
    (tmp_path / "run" / "danet" / "metrics.json").write_text("{}")
    argv = ["--methods", "fcn", "--train-images", "8", "--test-images", "4", "--epochs", "1"]
    argv += ["--output", str(tmp_path / "run")]
    sentence = "danet' holds a run already (metrics.json), which this one would destroy"
    assert script.main(argv) == 2 and sentence in capsys.readouterr().err
    assert script.main([*argv, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "model     cifar_resnet20, fcn: 90,811 parameters, 52.2 M MACs at 48x48\n" in said
    assert "1 epochs of 1 updates of 8" in said and f"output    TAKEN: '{tmp_path}" in said and sentence in said


def test_help_says_the_defaults(capsys):
    with pytest.raises(SystemExit):
        script.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"(default: {value})" in said for value in ("48", "10", "0.1", "runs/segmentation", "cifar_resnet20"))


def test_a_backbone_that_is_tied_to_its_images_can_be_one():
    net = create("fcn", "cifar_ge_resnet20", classes=3)
    assert net(mx.sym.Variable("data")).infer_shape(data=(1, 3, 32, 32))[1] == [(1, 3, 32, 32)]
    with pytest.raises(GluonAttnError, match="cannot take images of 3x64x64"):
        create("fcn", "cifar_ge_resnet20", classes=3, input_size=64)


def test_the_command_writes_what_it_says(tmp_path, capsys):
    pytest.importorskip("gluoncv")
    from gluon_attn.tasks.segmentation import script as train_segmentation

    argv = ["--methods", "dilated, aff_fcn", "--layers", "1", "1", "1", "--train-images", "4", "--test-images", "4"]
    argv += ["--epochs", "1", "--batch-size", "2"]
    train_segmentation.main([*argv, "--image-size", "40", "--output", str(tmp_path)])
    with open(tmp_path / "segmentation.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["dilated", "aff_fcn"] and [row["output_stride"] for row in rows] == [
        "2",
        "",
    ]
    for row in rows:
        stored = json.loads((tmp_path / row["method"] / "metrics.json").read_text())
        assert float(row["miou"]) == stored["miou"] and (tmp_path / row["method"] / "last.params").is_file()
    assert f"| dilated | {int(rows[0]['parameters']):,} |" in (tmp_path / "segmentation.md").read_text()
    assert (tmp_path / "segmentation.png").stat().st_size > 2000 and "pixel_accuracy" in capsys.readouterr().out


def test_a_class_that_occurs_nowhere_is_left_out_of_the_mean():
    """Of 5 classes, 0 and 1 are in the truth and 2 is predicted alone: IoU 1/2, 1 and 0."""
    truth = np.array([[[0, 0], [1, 1]]], "float32")
    logits = np.zeros((1, 5, 2, 2), "float32")
    for (row, column), label in {(0, 0): 0, (0, 1): 2, (1, 0): 1, (1, 1): 1}.items():
        logits[0, label, row, column] = 1
    found = segmentation.evaluate(mx.gluon.nn.HybridLambda(lambda F, x: x), logits, truth, classes=5)
    assert found == {"pixel_accuracy": 0.75, "miou": pytest.approx((0.5 + 1 + 0) / 3)}


def test_a_branch_has_no_place_in_a_segmenter():
    with pytest.raises(GluonAttnError, match="looks through a branch"):
        create("fcn", "cifar_abn_resnet20", classes=3)


def test_a_segmentation_that_diverges_is_not_scored(tmp_path):
    words = ["--methods", "fcn", "--train-images", "16", "--test-images", "2", "--epochs", "3", "--lr", "1e38"]
    assert script.main([*words, "--output", str(tmp_path)]) == 2
    assert not list(tmp_path.glob("*.csv"))
