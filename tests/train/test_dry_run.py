"""What `--dry-run` approves can begin."""

from __future__ import annotations

from unittest import mock

import mxnet as mx
import pytest

import gluon_attn
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train import fit
from gluon_attn.train.dry_run import _augmentation, plan
from gluon_attn.train.inputs import facts
from tests.train.tiny import tiny


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Weights for three classes, without a card."""
    path = tmp_path_factory.mktemp("three") / "net.params"
    net = gluon_attn.get_model("cifar_resnet20", classes=3)
    net.initialize(mx.init.Xavier())
    net.save_parameters(str(path))
    return str(path)


REFUSED = {
    "policy": (dict(auto_aug="foo"), "Unknown auto_aug 'foo'"),
    "sync": (dict(sync_bn=True, devices="cpu:0,cpu:1"), "--sync-bn needs GPUs"),
    "batch": (dict(batch_size=1000, last_batch="discard"), "40 images, which make no batch of 1000"),
    "classes": (dict(classes=5), "--classes 5 is fewer than the 10 classes of digits: leave it out"),
    "size": (dict(model="cifar_ge_resnet20", image_size=64), "cannot take images of 3x64x64"),
    "size of an epoch": (
        dict(model="cifar_ge_resnet20", image_size=32, progressive={0: 16}),
        "cannot take images of 3x16x16",
    ),
    "teacher of other classes": (
        dict(classes=12, teacher="cifar_resnet20", teacher_weights="digits"),
        r"teacher cifar_resnet20 \(--teacher-weights digits\) know 10 classes, the student 12: give weights",
    ),
    "teacher's file of other classes": (
        dict(teacher="cifar_resnet20", teacher_weights="three"),
        r"know 3 classes, the student 10",
    ),
    "teacher of nothing": (
        dict(teacher="cifar_resnet20", teacher_weights="false"),
        "--teacher-weights false leaves the teacher cifar_resnet20 without weights: give true",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_run_refuses_its_plan_refuses(tmp_path, three, case):
    changes, sentence = REFUSED[case]
    if changes.get("teacher_weights") == "three":
        changes = {**changes, "teacher_weights": three}
    for function in (plan, lambda recipe: fit(recipe, progress=False)):
        with pytest.raises(GluonAttnError, match=sentence):
            function(tiny(tmp_path, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_an_output_that_is_a_file_is_said_before_anything_is_built(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    recipe = tiny(tmp_path / "file" / below)
    with mock.patch("gluon_attn.train.run.open_inputs") as opened, pytest.raises(
        GluonAttnError, match="can be no folder: '.*file' is a file. Take another --output"
    ):
        fit(recipe, progress=False)
    assert not opened.called and "\noutput    TAKEN: " in plan(recipe)


def test_missing_weights_are_said_of_student_and_teacher(tmp_path):
    taught = dict(model="cifar_resnet20", teacher="cifar_resnet110", pretrained="digits", teacher_weights="digits")
    said = plan(tiny(tmp_path, **{**taught, "arch": {}})).splitlines()
    assert [line for line in said if line.startswith("weights")] == [said[-1]] and "'cifar_resnet110'" in said[-1]
    missing = {**taught, "model": "cifar_resnet110", "teacher": "cifar_resnet20", "arch": {}, "image_size": 32}
    assert "'cifar_resnet110'" in plan(tiny(tmp_path, **missing)).splitlines()[-1]
    assert "MISSING" not in plan(tiny(tmp_path, **{**taught, "teacher": "cifar_resnet20", "arch": {}}))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("imagenet", "mirror, auto-augment imagenet (increasing), r"),
        ("rand", "auto-augment rand, r"),
        ("", "mirror, r"),
    ],
)
def test_the_form_of_autoaugment_is_said_where_there_is_one(policy, said):
    recipe = Recipe(dataset="cifar10", auto_aug=policy, auto_aug_variant="increasing")
    assert f"{said}eader pil" in _augmentation(recipe, facts(recipe))
