"""`--dry-run`: build what a recipe needs, say what it would do, report what is missing, train nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gluon_attn import matrix_units, weights, zoo
from gluon_attn.complexity import complexity
from gluon_attn.devices import check_arithmetic, parse_devices
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.check import check, idle
from gluon_attn.train import build as network
from gluon_attn.train.folder import refuse_another_run
from gluon_attn.train.inputs import card_of, check_fits, facts, open_datasets, progressive_transform
from gluon_attn.train.parts import freeze
from gluon_attn.train.update import learning_rate

if TYPE_CHECKING:
    from gluon_attn.recipe.recipe import Recipe

_ANY = 1000  # updates an epoch, where nobody knows how many pictures there will be


def plan(recipe: Recipe) -> str:
    """The plan as text. Mistakes in the recipe raise; a missing data set, device or weights file is reported.

    >>> from gluon_attn.train import Recipe
    >>> print(plan(Recipe.load("digits", model="cifar_aff_resnet20")).splitlines()[0])
    model     cifar_aff_resnet20: 10 classes, 291,122 parameters, 42.0 M MACs at 32x32
    """
    check(recipe)
    known = facts(recipe)
    missing, untaught = _missing_weights(recipe.model, recipe.pretrained), []
    if recipe.teacher:
        untaught = _missing_weights(recipe.teacher, recipe.teacher_weights)
    data, images, card = _data(recipe, known, taught=bool(recipe.teacher) and not untaught)
    classes, size = len(card.classes), card.input_size
    progressive_transform(recipe, card)  # what is wrong with it is said here as by the run
    net = network.create(recipe.replace(pretrained=""), classes)
    network.check_sizes(recipe, net, card)
    freeze(net, recipe.freeze)
    cost = complexity(net, size)
    steps = images // recipe.batch_size + (recipe.last_batch == "keep" and images % recipe.batch_size > 0)
    lines = [
        f"model     {recipe.model}: {classes} classes, {cost.parameters:,} parameters, {cost.macs / 1e6:,.1f} M MACs "
        f"at {size}x{size}",
        f"data      {data}",
        f"augment   {_augmentation(recipe, known)}",
        f"evaluate  {card.preparation}",
        f"optimise  {_optimiser(recipe)}",
        f"schedule  {recipe.epochs} epochs of {steps or 'as yet unknown'} updates of {recipe.batch_size}; "
        + _rates(recipe, steps or _ANY),
        f"run       {_arithmetic(recipe, _devices(recipe))}, seed {recipe.seed}, into {recipe.folder}",
        *_taken(recipe),
        *(f"idle      {sentence}" for sentence in idle(recipe)),
        *missing,
        *untaught,
    ]
    return "\n".join(lines)


def _taken(recipe):
    try:
        refuse_another_run(recipe.folder, recipe.resume)
    except GluonAttnError as error:
        return [f"output    TAKEN: {error}"]
    return []


def _data(recipe, known, taught):
    """(one line, training images, card of what would be trained), from the files where they are there.

    taught : whether a teacher's weights are there, which must be for the same classes
    """
    try:
        train, chosen, test, split = open_datasets(recipe)
    except (GluonAttnError, OSError) as error:
        names = known.class_names or range(known.classes)
        return f"MISSING: {error}", known.images, card_of(recipe, known, names)
    check_fits(recipe, train)
    card = card_of(recipe, train)
    if taught:
        network.check_teacher(recipe, card)
    sizes = f"{len(train)} training images, {len(chosen)} of split {split!r}" + (f", {len(test)} test" if test else "")
    sizes += f"; {train.division}" if train.division else ""
    return f"{recipe.dataset}: {sizes}", len(train), card


def _augmentation(recipe, known):
    policy = "" if recipe.auto_aug == "none" else recipe.auto_aug
    if policy not in ("", "rand") and recipe.auto_aug_variant != "paper":  # RandAugment has one form
        policy += f" ({recipe.auto_aug_variant})"
    parts = [
        f"crop {recipe.crop or known.crop}",
        recipe.progressive and "sizes " + ", ".join(f"{v} from epoch {k}" for k, v in recipe.progressive.items()),
        "mirror" if (recipe.flip or ("on" if known.flip else "off")) == "on" else "",
        policy and f"auto-augment {policy}",
        recipe.jitter and f"jitter {recipe.jitter:g}",
        recipe.lighting and f"PCA noise {recipe.lighting:g}",
        recipe.erasing and f"erasing {recipe.erasing:g}",
        recipe.mixup and f"mixup {recipe.mixup:g}",
        recipe.cutmix and f"cutmix {recipe.cutmix:g}",
        recipe.mixup_off_epochs and f"(no mixing in the last {recipe.mixup_off_epochs} epochs)",
        recipe.label_smoothing and f"label smoothing {recipe.label_smoothing:g}",
        f"reader {recipe.reader}",
    ]
    return ", ".join(part for part in parts if part)


def _optimiser(recipe):
    parts = [
        recipe.optimizer,
        recipe.optimizer != "adamw" and f"momentum {recipe.momentum:g}",
        f"wd {recipe.wd:g}" + (" (none on biases and normalisations)" if recipe.no_wd else ""),
        recipe.head_lr != 1 and f"rate of the head x {recipe.head_lr:g}",
        recipe.freeze and f"frozen: {', '.join(recipe.freeze)}",
        recipe.patience and f"ends after {recipe.patience} evaluations without a better accuracy",
    ]
    return ", ".join(part for part in parts if part)


def _rates(recipe, steps):
    """The learning rate at the start, the end of warm-up, the middle and the end."""
    warm, end = round(recipe.warmup_epochs * steps), recipe.epochs * steps
    points = {"start": 0, "after warm-up": warm, "middle": end // 2, "end": end - 1}
    if not warm:
        del points["after warm-up"]
    return ", ".join(f"{name} {learning_rate(recipe, steps, step):.4g}" for name, step in points.items())


def _arithmetic(recipe, devices):
    """The devices stand before the reason that the words on the matrix units may give."""
    units, _, why = matrix_units.words().partition(": ") if recipe.dtype == "bfloat16" else ("", "", "")
    return " ".join(filter(None, (recipe.dtype, units, "on", devices, why and f"({why})")))


def _devices(recipe):
    try:
        devices = parse_devices(recipe.devices)
    except GluonAttnError as error:
        return f"{recipe.devices} (MISSING: {error})"
    check_arithmetic(recipe.dtype, devices)
    network.refuse_sync_on_cpu(recipe, devices)
    return ", ".join(map(str, devices))


def _missing_weights(model, word):
    name = zoo.find(model).name
    try:
        weights.Origin.of(name, word)
    except (GluonAttnError, OSError) as error:
        return [f"weights   MISSING: {error}"]
    return []
