"""GluonCV's command lines in our words."""

from __future__ import annotations

import shlex

import pytest

from gluon_attn.commands import train
from gluon_attn.errors import GluonAttnError
from gluon_attn.parser import Parser
from gluon_attn.recipe.arguments import add_arguments, recipe_from
from gluon_attn.recipe.check import check
from gluon_attn.recipe.gluoncv import TABLES, is_gluoncv, translate

# As GluonCV's page prints it, with a network of ours.
PRINTED = (
    "--rec-train T --rec-train-idx TI --rec-val V --rec-val-idx VI --model se_resnet50 --mode hybrid --lr 0.4 "
    "--lr-mode cosine --num-epochs 120 --batch-size 64 --num-gpus 8 -j 60 --warmup-epochs 5 --use-rec --dtype float16 "
    "--last-gamma --no-wd --label-smoothing --mixup --mixup-off-epoch 20 --save-dir D --logging-file L"
)


def recipe(kind, line):
    words, notes = translate(kind, shlex.split(line))
    parser = Parser(allow_abbrev=False)
    add_arguments(parser)
    found = recipe_from(parser.parse_args(words))
    check(found)
    return found, " ".join(notes)


def test_the_printed_imagenet_command():
    got, notes = recipe("imagenet", PRINTED)
    assert (got.model, got.batch_size, got.peak_lr, got.epochs) == ("se_resnet50", 512, 0.4, 120)
    assert (got.devices.count("gpu"), got.workers, got.dtype, got.output) == (8, 60, "float16", "D")
    assert (got.schedule, got.warmup_epochs, got.no_wd, got.last_gamma) == ("cosine", 5, True, True)
    assert (got.label_smoothing, got.mixup, got.mixup_off_epochs) == (0.1, 0.2, 20)
    assert (got.jitter, got.lighting, got.last_batch, got.reader) == (0.4, 0.1, "discard", "native")
    assert got.dataset_options == {"rec_train": "T", "rec_train_idx": "TI", "rec_val": "V", "rec_val_idx": "VI"}
    assert "--mode is left out" in notes and "--logging-file" in notes


def test_imagenet_defaults_are_the_originals():
    got, notes = recipe("imagenet", "--model resnext50_32x4d --use_se --num-epochs 90 --warmup-epochs 5 --data-dir ~/i")
    assert got.model == "se_resnext50_32x4d" and got.dataset == "imagenet-folder" and got.data_root == "~/i"
    assert (got.batch_size, got.lr, got.wd, got.workers, got.dtype) == (32, 0.1, 1e-4, 4, "float32")
    assert (got.schedule, got.milestones, got.lr_decay) == ("step", [40, 60], 0.1)
    assert got.mixup == got.label_smoothing == 0 and not got.pretrained and notes == ""
    by_period, _ = recipe("imagenet", "--model resnet50 --num-epochs 90 --lr-decay-period 30")
    assert by_period.milestones == [30, 60]
    pretrained, _ = recipe("imagenet", "--model resnet50 --num-epochs 5 --use-pretrained --lr-decay-epoch 2")
    assert pretrained.pretrained == "true"


def test_the_cifar_command():
    line = "--num-epochs 240 --mode hybrid --num-gpus 1 -j 2 --batch-size 128 --wd 0.0001 --lr 0.1 --lr-decay 0.1 "
    got, _ = recipe("cifar", line + "--lr-decay-epoch 80,160 --model cifar_resnet20")
    assert (got.dataset, got.epochs, got.batch_size, got.devices) == ("cifar10", 240, 128, "gpu:0")
    assert (got.milestones, got.init, got.last_batch, got.optimizer) == ([80, 160], "xavier", "discard", "nag")
    wide, _ = recipe("cifar", "--model cifar_wrn28_10 --num-epochs 200 --drop-rate 0.3 --num-gpus 0")
    assert wide.arch == {"dropout": 0.3} and wide.devices == "cpu:0"


@pytest.mark.parametrize(
    ("line", "theirs"),
    [
        ("--model resnet50 --num-epochs 3", True),
        ("--model resnet50 -j 4", True),
        ("--model resnet50 --mixup", True),
        ("--model resnet50 --label-smoothing --lr 0.1", True),
        ("--model resnet50 --epochs 3 --mixup 0.2 --label-smoothing 0.1 --last-gamma", False),
        ("--model resnet50 --label-smoothing=0.1", False),
    ],
)
def test_whose_words_they_are(line, theirs):
    assert is_gluoncv("imagenet", line.split()) is theirs


@pytest.mark.parametrize("kind", TABLES)
def test_every_flag_is_translated_or_said(kind):
    """Nothing is dropped in silence: each flag changes our words, is noted, or raises."""
    base, start = ["--model", "resnext50_32x4d", "--num-epochs", "70"], {}
    start["plain"] = translate(kind, base)
    needs = {"--mixup-alpha": ["--mixup"], "--mixup-off-epoch": ["--mixup"], "--warmup-epochs": []}
    start["mixup"] = translate(kind, [*base, "--mixup"]) if kind == "imagenet" else None
    values = {"--lr-decay-epoch": "9", "--model": "se_resnet50", "--rec-train": "x"}
    for flag, row in TABLES[kind].items():
        extra = [*needs.get(flag, ["--use-rec"] if flag.startswith("--rec") else []), flag]
        extra += [] if row.switch else [values.get(flag, "7")]
        try:
            found = translate(kind, [*base, *extra])
        except GluonAttnError as error:
            assert flag in str(error)
            continue
        before = translate(kind, [*base, *needs.get(flag, ["--use-rec"] if flag.startswith("--rec") else [])])
        assert found != before, flag


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--num-epochs 3", "No model"),
        ("--model resnet50 --use-gn --num-epochs 3", "norm_layer="),
        ("--model resnet50 --data-backend dali-gpu", "dali-gpu is not read here"),
        ("--model resnet50 --lr-mode poly", "Unknown --lr-mode 'poly'"),
        ("--model resnet50 --num-epochs x", "invalid int value"),
    ],
)
def test_what_has_no_counterpart_is_a_sentence(capsys, line, said):
    assert train.main("imagenet", line.split()) == 2
    assert said in capsys.readouterr().err


def test_the_script_says_our_words(capsys, tmp_path):
    line = f"--model resnet50_v1b --num-epochs 3 --lr-decay-epoch 2 --data-dir {tmp_path}"
    assert train.main("imagenet", [*line.split(), "--dry-run"]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("GluonCV's words; in ours:\n  python train_imagenet.py --model resnet50_v1b")
    assert "Did you mean 'resnet50'?" in captured.err
