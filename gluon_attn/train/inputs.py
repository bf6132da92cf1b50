"""The images of a recipe: data sets, transforms and loaders, with what each data set needs by default."""

from __future__ import annotations

from dataclasses import dataclass

from gluon_attn import data
from gluon_attn.errors import GluonAttnError, unknown


@dataclass(frozen=True)
class Facts:
    """What is known of a data set without its files: sizes for a plan, and the default augmentation."""

    images: int
    classes: int
    image_size: int
    crop: str = "pad"
    flip: bool = True
    resize: float = 1.0  # evaluation: shorter side to image_size * resize before the centre crop


_CIFAR = dict(images=50000, image_size=32)
_IMAGENET = dict(images=1281167, classes=1000, image_size=224, crop="resized", resize=256 / 224)

# A mirrored digit is another digit, or none; the clutter canvas holds digits.
FACTS = {
    "digits": Facts(1397, 10, 32, flip=False),
    "clutter": Facts(4000, 10, 64, flip=False),
    "cifar10": Facts(classes=10, **_CIFAR),
    "cifar100": Facts(classes=100, **_CIFAR),
    "imagenet-folder": Facts(**_IMAGENET),
    "imagenet-rec": Facts(**_IMAGENET),
}


def facts(name):
    if name not in FACTS:
        raise unknown("dataset", name, FACTS)
    return FACTS[name]


@dataclass(frozen=True)
class Inputs:
    """Loaders of a run. ``chosen_on`` names the split that picks the best epoch; ``test`` is what it must not see."""

    train: object
    evaluation: object
    test: object
    chosen_on: str
    classes: int
    image_size: int
    images: int


def open_inputs(recipe, rank=0, workers=1):
    """The loaders of worker ``rank`` of ``workers``; only rank 0 evaluates."""
    if recipe.batch_size % workers:
        raise GluonAttnError(
            f"--batch-size {recipe.batch_size} cannot be shared by {workers} workers: take a multiple."
        )
    if recipe.reader == "native":
        from gluon_attn.train.native import open_native

        return open_native(recipe, rank, workers)
    train_set, evaluation_set, test_set, chosen_on = open_datasets(recipe)
    size = recipe.image_size or train_set.image_size
    train = data.Loader(
        train_set,
        recipe.batch_size // workers,
        training_transform(recipe, train_set, size),
        train=True,
        shard=(rank, workers),
        last_batch=recipe.last_batch,
        **_common(recipe),
    )
    evaluation, test = (dataset and evaluation_loader(recipe, dataset, size) for dataset in (evaluation_set, test_set))
    classes = recipe.classes or len(train_set.classes)
    return Inputs(train, evaluation, test, chosen_on, classes, size, len(train_set))


def open_datasets(recipe):
    """(train, the one that chooses the best epoch, test where that is another one, name of the choosing split)."""
    options = dict(recipe.dataset_options, root=recipe.data_root or None)
    if not recipe.validation:
        train, test = (data.get_dataset(recipe.dataset, split, **options) for split in ("train", "test"))
        return train, test, None, "test"
    held_out = dict(options, validation=recipe.validation)
    train, validation = (data.get_dataset(recipe.dataset, split, **held_out) for split in ("train", "validation"))
    return train, validation, data.get_dataset(recipe.dataset, "test", **options), "validation"


def training_transform(recipe, dataset, size):
    known = facts(recipe.dataset)
    crop = recipe.crop or known.crop
    return data.train_transform(
        size,
        dataset.mean,
        dataset.std,
        crop=None if crop == "none" else crop,
        flip=recipe.flip == "on" if recipe.flip else known.flip,
        auto_aug=None if recipe.auto_aug in ("", "none") else recipe.auto_aug,
        variant=recipe.auto_aug_variant,
        jitter=recipe.jitter,
        lighting=recipe.lighting,
        erasing=recipe.erasing,
    )


def evaluation_loader(recipe, dataset, size):
    transform = data.eval_transform(size, dataset.mean, dataset.std, resize=round(size * facts(recipe.dataset).resize))
    return data.Loader(dataset, recipe.eval_batch_size or recipe.batch_size, transform, train=False, **_common(recipe))


def _common(recipe):
    return dict(seed=recipe.seed, workers=recipe.workers, on_bad_image=recipe.on_bad_image)
