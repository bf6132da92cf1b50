"""The command lines of GluonCV's train_imagenet.py and train_cifar10.py in our words.

What is not given has the original's default.

>>> words, notes = translate("imagenet", ["--model", "se_resnet50", "--num-gpus", "2", "--mixup"])
"""

from __future__ import annotations

import dataclasses

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.recipe.legacy import Old, decay_epochs, listed_epochs, read_flags, records, step_words
from gluon_attn.recipe.recipe import Recipe

_FOLDER = "the run's folder holds the log, the weights and the curves"
_EPOCHS = "every epoch is checkpointed; last and best weights are kept"
_RESUME = "that file is a pickle, or a number: runs made here go on with --resume auto"
_OURS = {f"--{spec.name.replace('_', '-')}" for spec in dataclasses.fields(Recipe)}

COMMON = {
    "--model": Old("", "--model"),
    "--batch-size": Old(32),
    "--num-gpus": Old(0),
    "--num-data-workers": Old(4, "--workers"),
    "--num-epochs": Old(3, "--epochs"),
    "--lr": Old(0.1, "--lr"),
    "--momentum": Old(0.9, "--momentum"),
    "--wd": Old(0.0001, "--wd"),
    "--lr-decay": Old(0.1),
    "--lr-decay-period": Old(0),
    "--lr-decay-epoch": Old("40,60"),
    "--mode": Old(None, note="networks are hybridized"),
    "--save-dir": Old(None, "--output"),
}
CIFAR = {
    **COMMON,
    "--drop-rate": Old(0.0),
    "--save-period": Old(None, note=_EPOCHS),
    "--resume-from": Old(None, "--pretrained"),
    "--save-plot-dir": Old(None, note=_FOLDER),
}
IMAGENET = {
    **COMMON,
    "--data-backend": Old("mxnet"),
    "--data-dir": Old("~/.mxnet/datasets/imagenet"),
    "--use-rec": Old(False),
    **{f"--rec-{part}": Old(None) for part in ("train", "train-idx", "val", "val-idx")},
    "--dtype": Old("float32", "--dtype"),
    "--lr-mode": Old("step"),
    "--warmup-lr": Old(0.0),
    "--warmup-epochs": Old(0, "--warmup-epochs"),
    "--last-gamma": Old(False),
    "--input-size": Old(224, "--image-size"),
    "--crop-ratio": Old(0.875),
    "--use-pretrained": Old(False),
    "--use_se": Old(False),
    "--mixup": Old(False),
    "--mixup-alpha": Old(0.2),
    "--mixup-off-epoch": Old(0),
    "--label-smoothing": Old(False),
    "--no-wd": Old(False),
    "--teacher": Old(None, "--teacher"),
    "--temperature": Old(20.0, "--temperature"),
    "--hard-weight": Old(0.5, "--hard-weight"),
    "--batch-norm": Old(False, note="it is for VGG; every network here has its own"),
    "--use-gn": Old(False),
    "--save-frequency": Old(None, note=_EPOCHS),
    "--resume-epoch": Old(None, note=_RESUME),
    "--resume-params": Old(None, "--pretrained"),
    "--resume-states": Old(None, note=_RESUME),
    "--log-interval": Old(None, note="the bar shows the loss"),
    "--logging-file": Old(None, note=_FOLDER),
    "--rgb-mean": Old(None, note="pictures are normalised with ImageNet's mean"),
    "--rgb-std": Old(None, note="pictures are normalised with ImageNet's standard deviation"),
    "--num-training-samples": Old(None, note="the pictures are counted"),
}
TABLES = {"cifar": CIFAR, "imagenet": IMAGENET}
_SWITCHES = ("--mixup", "--label-smoothing")  # which take a value in our words


def is_gluoncv(kind, argv):
    """Whether there is a word that is GluonCV's and not ours, or a switch of its that takes a value here."""
    flags = [word.split("=", 1)[0] for word in argv]
    if any(flag == "-j" or (flag in TABLES[kind] and flag not in _OURS) for flag in flags):
        return True
    values = (*argv[1:], "--")
    return any(word in _SWITCHES and after.startswith("-") for word, after in zip(argv, values))


def translate(kind, argv):
    """(our words, notes for the user). Words that are not GluonCV's stay as they are."""
    table = TABLES[kind]
    given, rest = read_flags(table, argv)
    if not given["--model"]:
        raise GluonAttnError("No model: give --model, a name of `gluon-attn list`.")
    left_out = (flag for flag, row in table.items() if row.note and given[flag] not in (None, False))
    notes = [f"{flag} is left out: {table[flag].note}" for flag in left_out]
    kept = (flag for flag, row in table.items() if row.new and given[flag] is not None)
    words = [part for flag in kept for part in (table[flag].new, str(given[flag]))]
    count = given["--num-gpus"]
    devices = ",".join(f"gpu:{number}" for number in range(count)) or "cpu:0"
    words += ["--batch-size", str(given["--batch-size"] * max(count, 1)), "--lr-batch", "0", "--devices", devices]
    words += ["--optimizer", "nag", "--last-batch", "discard"]
    (_cifar if kind == "cifar" else _imagenet)(given, notes, words)
    return [*words, *rest], notes


def _cifar(given, notes, words):
    if given["--lr-decay-period"]:
        notes.append("--lr-decay-period is left out: it has no effect in the original")
    if given["--drop-rate"]:
        words += ["--arch", f"dropout={given['--drop-rate']}"]
    words += ["--dataset", "cifar10", "--init", "xavier", *step_words(given, listed_epochs(given))]


def _imagenet(given, notes, words):
    _refuse(given)
    if given["--use_se"] and given["--model"].startswith("resnext"):
        words[words.index("--model") + 1] = f"se_{given['--model']}"
    if given["--warmup-lr"]:
        notes.append("--warmup-lr is left out: warm-up starts at 0, also in the original")
    if given["--crop-ratio"] != 0.875:
        notes.append("--crop-ratio is left out: evaluation keeps 7/8 of the shorter side")
    found = ["--jitter", "0.4", "--lighting", "0.1"]
    for flag in ("--no-wd", "--last-gamma"):
        found += [flag] if given[flag] else []
    if given["--use-pretrained"]:
        found += ["--pretrained", "true"]
    if given["--mixup"]:
        found += ["--mixup", str(given["--mixup-alpha"]), "--mixup-off-epochs", str(given["--mixup-off-epoch"])]
    if given["--label-smoothing"]:
        found += ["--label-smoothing", "0.1"]
    words += [*found, *_schedule(given), *_data(given, notes)]


def _refuse(given):
    if given["--use-gn"]:
        raise GluonAttnError(
            "--use-gn has no flag here: in Python, get_model(name, norm_layer=gluoncv.nn.GroupNorm) builds it."
        )
    if given["--data-backend"] != "mxnet":
        raise GluonAttnError(f"--data-backend {given['--data-backend']} is not read here: leave it out, or give mxnet.")
    if given["--lr-mode"] not in ("cosine", "step"):
        raise unknown("--lr-mode", given["--lr-mode"], ("cosine", "step"))


def _schedule(given):
    """Milestones are epochs of the run: the original takes the warm-up off them, and begins to count after it."""
    if given["--lr-mode"] == "cosine":
        return ["--schedule", "cosine"]
    return step_words(given, decay_epochs(given))


def _data(given, notes):
    if given["--use-rec"]:
        return records(given, notes)
    return ["--dataset", "imagenet-folder", "--data-root", given["--data-dir"]]
