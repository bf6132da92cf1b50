"""Choices that contradict each other, found before anything is built."""

from __future__ import annotations

import dataclasses
import re

from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.values import refuse_keys, shown


def check(recipe):
    """Raise a sentence for the first choice of the recipe that cannot work."""
    check_numbers(recipe)
    for spec in dataclasses.fields(recipe):
        refuse_keys(spec, getattr(recipe, spec.name))
    for wrong, sentence in _faults(recipe):
        if wrong:
            raise GluonAttnError(sentence)


def check_repeated(recipe, runs):
    """Raise a sentence where the recipe cannot be trained `runs` times, with a seed each."""
    if runs < 1:
        raise GluonAttnError(f"--runs {runs} trains nothing: give 1 or more.")
    if recipe.resume not in ("", "auto"):
        raise GluonAttnError(
            f"--resume {recipe.resume} would make every run go on from the same one, and they would not be {runs}: "
            "--resume auto goes on with each from its own."
        )


def idle(recipe):
    """A sentence for each option that was set and that nothing reads, as the others stand.

    >>> from gluon_attn.train import Recipe
    >>> idle(Recipe(temperature=4.0))
    ['--temperature 4.0 changes nothing without --teacher.']
    """
    changed, mixed = recipe.as_dict(changed_only=True), recipe.mixup > 0 or recipe.cutmix > 0
    needs = {  # options: whether they are read, and what they are read with
        ("lr_decay",): (recipe.schedule == "step", "--schedule step"),
        ("momentum",): (recipe.optimizer != "adamw", "--optimizer sgd or nag"),
        ("teacher_weights", "temperature", "hard_weight"): (recipe.teacher, "--teacher"),
        ("auto_aug_variant",): (recipe.auto_aug not in ("", "none", "rand"), "--auto-aug cifar10 or imagenet"),
        ("mixup_off_epochs",): (mixed, "--mixup or --cutmix"),
        ("amx",): (recipe.dtype == "bfloat16", "--dtype bfloat16"),
    }
    return [
        f"--{name.replace('_', '-')} {changed[name]} changes nothing without {need}."
        for names, (read, need) in needs.items()
        for name in names
        if name in changed and not read
    ]


def check_numbers(recipe):
    """Raise a sentence for the first number that is none, or not within the bounds of its field."""
    for spec in dataclasses.fields(recipe):
        if spec.metadata["kind"] in (int, float):
            value = getattr(recipe, spec.name)
            for number in value if isinstance(value, list) else [value]:
                if not _within(number, spec.metadata):
                    raise GluonAttnError(
                        f"--{spec.name.replace('_', '-')} cannot be {shown(number)} ({spec.metadata['help']}): "
                        f"give {_range(spec.metadata)}."
                    )


def _within(number, bounds):
    """Whether it is a number (NaN is none), and within the bounds."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != number:
        return False
    if bounds["kind"] is int and not isinstance(number, int):
        return False
    low = bounds["least"] <= number if bounds["above"] is None else bounds["above"] < number
    return low and (number <= bounds["most"] if bounds["below"] is None else number < bounds["below"])


def _range(bounds):
    """'a whole number from 1 to 1,000', 'a number above 0 and below 1'."""
    kind = "a whole number" if bounds["kind"] is int else "a number"
    low = f"from {bounds['least']:,}" if bounds["above"] is None else f"above {bounds['above']:,}"
    if bounds["below"] is not None:
        return f"{kind} {low} to below {bounds['below']:,}"
    return f"{kind} {low} to {bounds['most']:,}"


def _faults(r):
    augmented = r.auto_aug not in ("", "none")
    mixed = r.mixup > 0 or r.cutmix > 0
    yield from _progressive_faults(r)
    yield (
        r.validation > 1 and r.validation != int(r.validation),
        f"--validation {r.validation:g} is neither a share (0.2) nor a number of images of each class (20).",
    )
    yield (
        r.patience > 0 and r.kvstore.startswith("dist"),
        f"--patience with --kvstore {r.kvstore}: only the first worker evaluates, so the others would not end. Leave "
        "it out.",
    )
    yield (
        (bool(r.freeze) or r.new_head) and r.pretrained in ("", "false"),
        f"--{'freeze' if r.freeze else 'new-head'} is for trained weights: give --pretrained true, TAG or FILE, too.",
    )
    yield (
        r.warmup_epochs > r.epochs,
        f"--warmup-epochs {r.warmup_epochs} leaves none of the {r.epochs} epochs at full rate: give fewer.",
    )
    yield (
        r.schedule == "step" and not r.milestones,
        "--schedule step needs --milestones, the epochs at which the rate drops, as in --milestones 60,120,160.",
    )
    yield (
        r.schedule == "cosine" and bool(r.milestones),
        "--milestones belong to --schedule step; the cosine schedule has none. Leave one of the two out.",
    )
    yield (
        mixed and r.mixup_off_epochs >= r.epochs,
        f"--mixup-off-epochs {r.mixup_off_epochs} of {r.epochs} epochs leaves no epoch to mix in: give fewer.",
    )
    yield from _reader_faults(r, augmented)


def _progressive_faults(r):
    starts = [start for start in r.progressive if not _is_epoch(start, r.epochs)]
    yield (
        bool(starts),
        f"--progressive names epoch {shown(starts[:1])}: give whole numbers from 0 to {r.epochs - 1}, as in "
        "0=32,6=48,8=64.",
    )
    wrong = [size for size in r.progressive.values() if not isinstance(size, int) or isinstance(size, bool) or size < 1]
    yield (
        bool(wrong),
        f"--progressive has the size {shown(wrong[:1])}: give the side of the images in pixels, as in 0=32,8=64.",
    )
    yield (
        bool(r.progressive) and r.reader == "native",
        "MXNet's native .rec reader has one image size a run: use --reader pil, or leave out --progressive.",
    )


def _is_epoch(start, epochs):
    """Whether it is, as a number or as JSON's word for it, one of so many epochs."""
    if isinstance(start, str) and re.fullmatch("[0-9]{1,7}", start):
        start = int(start)
    return type(start) is int and 0 <= start < epochs


def _reader_faults(r, augmented):
    native = r.reader == "native"
    yield (
        native and r.dataset != "imagenet-rec",
        f"--reader native reads RecordIO only, not {r.dataset!r}: use --dataset imagenet-rec, or --reader pil.",
    )
    yield (
        native and (augmented or r.erasing > 0),
        "MXNet's native .rec reader has no AutoAugment and no random erasing: use --reader pil (it has both), "
        "or --auto-aug none --erasing 0.",
    )
    yield (
        native and r.crop not in ("", "resized"),
        f"MXNet's native .rec reader trains on random pieces alone, not --crop {r.crop}: use --reader pil, or --crop "
        "resized.",
    )
    yield (
        native and r.validation,
        "MXNet's native .rec reader cannot hold images out of a file: use --reader pil, or --validation 0.",
    )
    yield (
        native and r.on_bad_image == "skip",
        "MXNet's native .rec reader cannot skip a bad image: use --reader pil with --on-bad-image skip.",
    )
