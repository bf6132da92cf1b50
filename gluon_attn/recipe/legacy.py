"""The command lines of open-aff (github.com/YimianDai/open-aff) in our words: one table, away from the parser.

>>> words, notes = translate("cifar", ["--model", "resnet", "--askc-type", "ASKCFuse", "--blocks", "5", "--cosine"])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.parser import Parser
from gluon_attn.recipe.values import shown

ATTENTION = {"ASKCFuse": "aff_", "ResGlobLocaforGlobLocaCha": "iaff_", "DirectAdd": ""}


@dataclass(frozen=True)
class Old:
    """An old flag: its default, our flag where the value goes over as it is, or a note where it has no meaning here."""

    default: Any = None
    new: str = ""
    note: str = ""

    @property
    def switch(self):
        return self.default is False


_OURS = "the run's folder holds the log, the weights and the curves"

COMMON = {
    "--model": Old("resnet"),
    "--askc-type": Old("DirectAdd"),
    "--batch-size": Old(128),
    "--num-data-workers": Old(None, "--workers"),
    "--num-epochs": Old(None, "--epochs"),
    "--lr": Old(None, "--lr"),
    "--momentum": Old(None, "--momentum"),
    "--wd": Old(None, "--wd"),
    "--lr-decay": Old(0.1),
    "--lr-decay-period": Old(0),
    "--warmup-lr": Old(None, note="warm-up starts at 0"),
    "--mixup": Old(False),
    "--auto_aug": Old(False),
    "--label-smoothing": Old(False),
    "--no-wd": Old(False),
    "--mode": Old(None, note="networks are hybridized"),
    "--save-dir": Old(None, "--output"),
    "--summary": Old(False),
}
CIFAR = {
    **COMMON,
    "--dataset": Old("cifar100", "--dataset"),
    "--channel-times": Old(4),
    "--blocks": Old(1),
    "--start-layer": Old(1),
    "--gpus": Old("0,1,2,3"),
    "--num-epochs": Old(640, "--epochs"),
    "--lr": Old(0.2, "--lr"),
    "--lr-decay-epoch": Old("300,450"),
    "--warmup-epochs": Old(10),
    "--mixup-alpha": Old(1.0),
    "--mixup-off-epoch": Old(40),
    "--cosine": Old(False),
    "--drop-rate": Old(None, note="its networks have no dropout"),
    "--deep-stem": Old(False),
    "--save-period": Old(None, note=_OURS),
    "--logging-dir": Old(None, note=_OURS),
    "--save-plot-dir": Old(None, note=_OURS),
    "--resume-from": Old(None, "--pretrained"),
}
IMAGENET = {
    **COMMON,
    "--data-dir": Old("~/.mxnet/datasets/imagenet"),
    "--use-rec": Old(False),
    **{f"--rec-{part}": Old(None) for part in ("train", "train-idx", "val", "val-idx")},
    "--num-layer": Old(50),
    "--start-layer": Old(3),
    "--num-gpus": Old(4),
    "--dtype": Old("float16", "--dtype"),
    "--num-epochs": Old(240, "--epochs"),
    "--lr": Old(0.075, "--lr"),
    "--lr-mode": Old("cosine"),
    "--lr-decay-epoch": Old("40,60"),
    "--warmup-epochs": Old(5),
    "--mixup-alpha": Old(0.2),
    "--mixup-off-epoch": Old(5),
    "--last-gamma": Old(False),
    "--input-size": Old(None, "--image-size"),
    "--crop-ratio": Old(None, note="evaluation resizes to 256/224 of the input"),
    "--use-pretrained": Old(False, note="its networks have no weights of that name"),
    "--teacher": Old(None, "--teacher"),
    "--temperature": Old(None, "--temperature"),
    "--hard-weight": Old(None, "--hard-weight"),
    "--save-frequency": Old(None, note="every epoch is checkpointed; last and best weights are kept"),
    "--log-interval": Old(None, note="the bar shows the loss"),
    "--logging-file": Old(None, note=_OURS),
    "--resume-params": Old(None, "--pretrained"),
    "--resume-states": Old(None, note="that file is a pickle; runs made here resume with --resume auto"),
    "--resume-epoch": Old(None, note="runs made here resume with --resume auto"),
    "--r": Old(None, note="the original never uses it"),
    **{
        f"--{word}": Old(False, note="the original's networks do not use it")
        for word in ("use-se", "use-gn", "batch-norm")
    },
}
TABLES = {"cifar": CIFAR, "imagenet": IMAGENET}


def is_legacy(argv):
    """Whether these are open-aff's words: only they name the fusion apart from the network."""
    words = [part for word in argv for part in word.split("=", 1)]
    models = [value for flag, value in zip(words, words[1:]) if flag == "--model"]
    return "--askc-type" in words or any(model in ("resnet", "resnext") for model in models)


def translate(kind, argv):
    """(our words, notes for the user). Words that are not open-aff's stay as they are."""
    table = TABLES[kind]
    given, rest = read_flags(table, argv)
    words, notes = [], []
    for flag, row in table.items():
        value = given[flag]
        if row.new and value is not None:
            words += [row.new, str(value)]
        elif row.note and value not in (None, False):
            notes.append(f"{flag} is left out: {row.note}")
    if given["--askc-type"] not in ATTENTION:
        raise unknown("--askc-type", given["--askc-type"], ATTENTION)
    special = _cifar if kind == "cifar" else _imagenet
    words = [*_network(kind, given), *words, *_common(given), *special(given, notes), *rest]
    return words, notes


def read_flags(table, argv):
    """({flag of the table: value}, the other words)."""
    old, rest = _parser(table).parse_known_args(argv)
    return {flag: getattr(old, _attribute(flag)) for flag in table}, rest


def _parser(table):
    parser = Parser(prog="the original's command line", add_help=False, allow_abbrev=False, imports=False)
    for flag, row in table.items():
        names = ["-j", flag] if flag == "--num-data-workers" else [flag]
        if row.switch:
            parser.add_argument(*names, action="store_true", dest=_attribute(flag))
        else:
            kind = type(row.default) if row.default is not None else str
            parser.add_argument(*names, type=kind, default=row.default, dest=_attribute(flag))
    return parser


def _attribute(flag):
    return flag.strip("-").replace("-", "_")


def _network(kind, given):
    """--model and --arch."""
    family, prefix = given["--model"], ATTENTION[given["--askc-type"]]
    if family not in ("resnet", "resnext"):
        raise unknown("--model (of open-aff)", family, ("resnet", "resnext"))
    name, arch, stages = (_cifar_network if kind == "cifar" else _imagenet_network)(family, given, prefix)
    if prefix and given["--start-layer"] > stages.start:
        arch["stages"] = list(range(given["--start-layer"], stages.stop))
    text = ",".join(f"{key}={_flow(value)}" for key, value in arch.items())
    return ["--model", name, *(["--arch", text] if arch else [])]


def _flow(value):
    return f"[{','.join(map(str, value))}]" if isinstance(value, (list, tuple)) else str(value)


def _cifar_network(family, given, prefix):
    if given["--deep-stem"]:
        raise GluonAttnError("--deep-stem has no counterpart here: no published CIFAR network has it. Leave it out.")
    blocks, times = given["--blocks"], given["--channel-times"]
    prefix = "" if given["--start-layer"] > 3 else prefix
    if family == "resnet":
        name, usual = f"cifar_{prefix}preresnet32_w4", blocks == 5 and times == 4
    else:
        name, usual = f"cifar_{prefix}resnext{47 if blocks == 5 else 38}_32x4d", blocks in (4, 5) and times == 4
    arch = (
        {} if usual else dict(layers=[blocks] * 3, widths=[16 * times * k for k in (1, 2, 4)], stem_widths=[16 * times])
    )
    if family == "resnext" and times == 8:
        arch["groups"] = 64
    return name, arch, range(1, 4)


def _imagenet_network(family, given, prefix):
    depth = given["--num-layer"]
    if depth not in (50, 101, 152):
        raise unknown("--num-layer", depth, (50, 101, 152))
    arch = dict(layers=[3, 4, 36, 3]) if depth == 152 else {}  # not ResNet-152's 3, 8, 36, 3: the original's
    if family == "resnet":
        name = f"{prefix}resnet{depth}" + ("" if prefix else "d")
    else:
        name = f"{prefix}resnext{min(depth, 101)}{'' if prefix else 'd'}_32x4d"
        arch.update({} if prefix else dict(stem_widths=[64, 64, 128], shortcut=["conv", "avg", "avg", "avg"]))
    return name, arch, range(3, 5)


def _common(given):
    words = ["--optimizer", "nag"]
    if given["--mixup"]:
        words += ["--mixup", str(given["--mixup-alpha"]), "--mixup-off-epochs", str(given["--mixup-off-epoch"])]
    if given["--label-smoothing"]:
        words += ["--label-smoothing", "0.1"]
    return words + (["--dry-run"] if given["--summary"] else [])


def listed_epochs(given):
    """Those of --lr-decay-epoch."""
    text = given["--lr-decay-epoch"]
    try:
        epochs = [int(word) for word in text.split(",")]
    except ValueError:
        epochs = [-1]
    if min(epochs) < 0:
        raise GluonAttnError(f"--lr-decay-epoch cannot be {shown(text)}: it takes epochs, as in 300,450.")
    return epochs


def decay_epochs(given):
    """The epochs, counted from the run's first, at which the rate is meant to drop."""
    period, last = given["--lr-decay-period"], given["--num-epochs"]
    return list(range(period, last, period)) if period > 0 else listed_epochs(given)


def step_words(given, epochs):
    """The step schedule with those milestones; without any, one that the run does not reach."""
    milestones = ",".join(map(str, epochs or [given["--num-epochs"]]))
    return ["--schedule", "step", "--milestones", milestones, "--lr-decay", str(given["--lr-decay"])]


def _cifar_steps(given, notes):
    """The original takes the warm-up off, which it does not run, and waits for each milestone in turn: for ever for one
    that is past.
    """
    warm, milestones = given["--warmup-epochs"], []
    for epoch in decay_epochs(given):
        if epoch - warm <= max(milestones, default=-1):
            notes.append(
                f"the original takes --warmup-epochs {warm} off epoch {epoch} and waits for epoch {epoch - warm}, "
                f"which is past: its learning rate does not drop {'again' if milestones else 'at all'}"
            )
            break
        milestones.append(epoch - warm)
    return step_words(given, milestones)


def _cifar(given, notes):
    devices = [f"gpu:{number}" for number in given["--gpus"].split(",") if number.strip()] or ["cpu:0"]
    words = ["--batch-size", str(given["--batch-size"] * len(devices)), "--devices", ",".join(devices)]
    words += ["--init", "xavier", "--last-batch", "discard", *_last_gamma(given, notes)]
    if given["--auto_aug"]:
        words += ["--auto-aug", "cifar10", "--auto-aug-variant", "increasing"]
    if given["--cosine"]:
        words += ["--schedule", "cosine", "--warmup-epochs", str(given["--warmup-epochs"])]
        words += ["--no-wd"] if given["--no-wd"] else []
    else:
        words += _cifar_steps(given, notes)
        if given["--no-wd"]:
            notes.append("--no-wd is left out: the original heeds it only together with --cosine")
    if given["--dataset"] == "cifar100":
        notes.append(
            "the original's CIFAR-100 loader gives the 20 super-classes unless it is edited; here are the 100 classes "
            "(--dataset-options coarse=true --classes 100 gives what it had)"
        )
    return words


def _imagenet(given, notes):
    count = given["--num-gpus"]
    devices = [f"gpu:{number}" for number in range(count)] or ["cpu:0"]
    words = ["--batch-size", str(given["--batch-size"] * max(count, 1)), "--lr-batch", "0"]
    words += ["--devices", ",".join(devices), "--jitter", "0.4", "--lighting", "0.1"]
    words += ["--no-wd"] if given["--no-wd"] else []
    words += _last_gamma(given, notes)
    if given["--lr-mode"] not in ("cosine", "step"):
        raise unknown("--lr-mode", given["--lr-mode"], ("cosine", "step"))
    # Its scheduler counts from the end of the warm-up, which is taken off the milestones: they are epochs of the run.
    words += ["--schedule", "cosine"] if given["--lr-mode"] == "cosine" else step_words(given, decay_epochs(given))
    words += ["--warmup-epochs", str(given["--warmup-epochs"])]
    return words + (records(given, notes) if given["--use-rec"] else _folder(given))


def _last_gamma(given, notes):
    """The original's ResNeXt block has the flag inverted: without it the last gamma of every block starts at 0."""
    zero = given.get("--last-gamma", False)
    if given["--model"] == "resnext":
        zero = not zero
        notes.append(
            f"the original's ResNeXt has its --last-gamma inverted: the last gammas start at {int(not zero)} here, too"
        )
    return ["--last-gamma"] if zero else []


def records(given, notes):
    parts = ("train", "train-idx", "val", "val-idx")
    files = {part: given[f"--rec-{part}"] or f"~/.mxnet/datasets/imagenet/rec/{_file(part)}" for part in parts}
    options = ",".join(f"rec_{part.replace('-', '_')}={path}" for part, path in files.items())
    if given.get("--auto_aug"):
        notes.append(
            "warning: with --use-rec the original reads through MXNet's native reader, which has no AutoAugment, and "
            "ignores --auto_aug; this does the same. In our words: --reader native --auto-aug none for that, or "
            "--reader pil --auto-aug imagenet for AutoAugment on the same .rec files"
        )
    return ["--dataset", "imagenet-rec", "--dataset-options", options, "--reader", "native", "--auto-aug", "none"]


def _file(part):
    return part[:-4] + ".idx" if part.endswith("-idx") else part + ".rec"


def _folder(given):
    words = ["--dataset", "imagenet-folder", "--data-root", given["--data-dir"]]
    return words + (["--auto-aug", "imagenet", "--auto-aug-variant", "increasing"] if given["--auto_aug"] else [])
