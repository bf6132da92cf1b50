"""open-aff's command lines in our words."""

from __future__ import annotations

import argparse
import re

import pytest

from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe import gluoncv
from gluon_attn.recipe.arguments import add_arguments, recipe_from
from gluon_attn.recipe.check import check
from gluon_attn.recipe.legacy import is_legacy, translate

RECORDS = "--use-rec --rec-train T --rec-train-idx TI --rec-val V --rec-val-idx VI"


def recipe(kind, line):
    words, notes = translate(kind, line.split())
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return recipe_from(parser.parse_args(words)), " ".join(notes)


@pytest.mark.parametrize(
    ("line", "model", "arch"),
    [
        ("--model resnet --askc-type ASKCFuse --blocks 5", "cifar_aff_preresnet32_w4", {}),
        ("--model resnet --askc-type ResGlobLocaforGlobLocaCha --blocks 5", "cifar_iaff_preresnet32_w4", {}),
        ("--model resnet --askc-type DirectAdd --blocks 5", "cifar_preresnet32_w4", {}),
        ("--model resnext --askc-type ASKCFuse --blocks 4", "cifar_aff_resnext38_32x4d", {}),
        ("--model resnext --askc-type ASKCFuse --blocks 5", "cifar_aff_resnext47_32x4d", {}),
        (
            "--model resnet --askc-type ASKCFuse --blocks 3 --channel-times 2 --start-layer 2",
            "cifar_aff_preresnet32_w4",
            {"layers": [3, 3, 3], "widths": [32, 64, 128], "stem_widths": [32], "stages": [2, 3]},
        ),
    ],
)
def test_cifar_networks(line, model, arch):
    got, _ = recipe("cifar", line)
    assert (got.model, got.arch) == (model, arch)


@pytest.mark.parametrize(
    ("line", "model", "arch"),
    [
        ("--model resnet --askc-type ASKCFuse", "aff_resnet50", {}),
        ("--model resnext --askc-type ResGlobLocaforGlobLocaCha", "iaff_resnext50_32x4d", {}),
        ("--model resnet --askc-type ASKCFuse --num-layer 101 --start-layer 4", "aff_resnet101", {"stages": [4]}),
        ("--model resnet --askc-type DirectAdd", "resnet50d", {}),
    ],
)
def test_imagenet_networks(line, model, arch):
    got, _ = recipe("imagenet", f"{line} {RECORDS}")
    assert (got.model, got.arch) == (model, arch)


def test_the_published_cifar_runs():
    """Without --cosine: steps shifted by the warm-up that is not run, and --no-wd without effect, as in their logs."""
    line = "--model resnet --askc-type ASKCFuse --blocks 5 --gpus 0,1 --auto_aug --mixup --label-smoothing --no-wd"
    got, notes = recipe("cifar", line)
    assert (got.schedule, got.milestones, got.warmup_epochs, got.no_wd) == ("step", [290, 440], 0, False)
    assert (got.batch_size, got.lr, got.epochs, got.wd) == (256, 0.2, 640, 1e-4)
    assert (got.auto_aug, got.auto_aug_variant) == ("cifar10", "increasing")
    assert (got.mixup, got.mixup_off_epochs, got.label_smoothing, got.init) == (1.0, 40, 0.1, "xavier")
    assert "only together with --cosine" in notes and "20 super-classes" in notes
    got, _ = recipe("cifar", line + " --cosine")
    assert (got.schedule, got.warmup_epochs, got.no_wd) == ("cosine", 10, True)


def test_the_published_imagenet_runs_read_without_autoaugment():
    line = f"--model resnext --askc-type ASKCFuse --mixup --auto_aug --last-gamma --no-wd {RECORDS}"
    got, notes = recipe("imagenet", line + " --save-dir D --save-frequency 1 --logging-file F --num-gpus 2")
    assert (got.reader, got.auto_aug, got.dataset) == ("native", "none", "imagenet-rec")
    assert "ignores --auto_aug" in notes and "--reader pil --auto-aug imagenet" in notes
    options = {"rec_train": "T", "rec_train_idx": "TI", "rec_val": "V", "rec_val_idx": "VI"}
    assert got.dataset_options == options and got.devices == "gpu:0,gpu:1"
    assert (got.batch_size, got.peak_lr, got.dtype, got.output) == (256, 0.075, "float16", "D")
    assert not got.last_gamma, "the flag is inverted in the original's ResNeXt"
    assert got.no_wd and got.warmup_epochs == 5 and got.mixup == 0.2


def test_folders_get_the_autoaugment_that_they_ask_for():
    got, notes = recipe("imagenet", "--model resnet --askc-type ASKCFuse --auto_aug --data-dir X --dtype float32")
    assert (got.dataset, got.data_root, got.auto_aug, got.dtype) == ("imagenet-folder", "X", "imagenet", "float32")
    assert not notes


def test_our_own_words_go_through_and_are_not_taken_for_theirs():
    got, _ = recipe("cifar", "--model resnet --askc-type ASKCFuse --blocks 5 --seed 7 --resume auto")
    assert got.seed == 7 and got.resume == "auto"
    assert is_legacy(["--model", "resnet"]) and is_legacy(["--askc-type=ASKCFuse"])
    assert not is_legacy(["--model", "cifar_aff_resnet20", "--mixup", "0.2"])


@pytest.mark.parametrize(
    ("kind", "words", "milestones", "note"),
    [
        ("cifar", "--lr-decay-epoch 8,15 --warmup-epochs 5", [3, 10], ""),
        ("cifar", "--lr-decay-epoch 8,15", [20], "waits for epoch -2, which is past: .* does not drop at all"),
        ("cifar", "--lr-decay-epoch 15,8", [5], "waits for epoch -2, which is past: .* does not drop again"),
        ("cifar", "--lr-decay-epoch 10,15", [0, 5], ""),
        ("cifar", "--lr-decay-period 12", [2], ""),
        ("imagenet", "--lr-mode step --lr-decay-epoch 3,15", [3, 15], ""),
        ("imagenet", "--lr-mode step --lr-decay-period 30", [20], ""),
    ],
)
def test_where_the_rate_drops(kind, words, milestones, note):
    """CIFAR's script waits for each milestone less a warm-up of 10 that it does not run; ImageNet's counts after it."""
    own = "--blocks 5" if kind == "cifar" else RECORDS
    got, notes = recipe(kind, f"--model resnet --num-epochs 20 {words} {own}")
    check(got)
    assert got.milestones == milestones
    assert re.search(note, notes) if note else "waits" not in notes


@pytest.mark.parametrize("epochs", ["a,b", "", "-5,10", "²", "1" * 5000])
def test_epochs_that_are_none(epochs):
    for translated in (translate, gluoncv.translate):
        with pytest.raises(GluonAttnError, match="--lr-decay-epoch cannot be .* it takes epochs, as in 300,450"):
            translated("cifar", ["--model", "resnet", f"--lr-decay-epoch={epochs}"])


def test_what_cannot_be_translated():
    with pytest.raises(GluonAttnError, match="Unknown --askc-type 'ASKCfuse'. Did you mean 'ASKCFuse'"):
        translate("cifar", ["--model", "resnet", "--askc-type", "ASKCfuse"])
    with pytest.raises(GluonAttnError, match="--deep-stem has no counterpart"):
        translate("cifar", ["--model", "resnet", "--askc-type", "ASKCFuse", "--deep-stem"])


@pytest.mark.parametrize(
    ("kind", "line", "zero"),
    [
        ("cifar", "--model resnext --askc-type ASKCFuse --blocks 5", True),
        ("cifar", "--model resnet --askc-type ASKCFuse --blocks 5", False),
        ("imagenet", f"--model resnext --askc-type ASKCFuse --last-gamma {RECORDS}", False),
        ("imagenet", f"--model resnext --askc-type ASKCFuse {RECORDS}", True),
        ("imagenet", f"--model resnet --askc-type ASKCFuse --last-gamma {RECORDS}", True),
    ],
)
def test_the_flag_that_open_aff_inverts_in_its_resnext(kind, line, zero):
    got, notes = recipe(kind, line)
    assert got.last_gamma is zero and ("inverted" in notes) == ("resnext" in line)
