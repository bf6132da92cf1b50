"""The images of a recipe: data sets, transforms and loaders, with what each data set needs by default."""

from __future__ import annotations

from dataclasses import dataclass

from gluon_attn import data
from gluon_attn.catalogue.datasets import centre_share, for_recipes
from gluon_attn.data.native import NativeLoader
from gluon_attn.data.transforms import PADDING, ByEpoch
from gluon_attn.errors import GluonAttnError


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
    """The loaders of worker ``rank`` of ``workers``; only the first worker evaluates."""
    if recipe.batch_size % workers:
        raise GluonAttnError(
            f"--batch-size {recipe.batch_size} cannot be shared by {workers} workers: take a multiple of {workers}."
        )
    train_set, evaluation_set, test_set, chosen_on = open_datasets(recipe)
    return Inputs(
        training_loader(recipe, train_set, rank, workers),
        evaluation_loader(recipe, evaluation_set),
        test_set and evaluation_loader(recipe, test_set),
        chosen_on,
        classes=recipe.classes or len(train_set.classes),
        image_size=size_of(recipe, train_set),
        images=len(train_set),
    )


def size_of(recipe, dataset):
    return recipe.image_size or dataset.image_size


def open_datasets(recipe):
    """(train, the one that chooses the best epoch, test where that is another one, name of the choosing split)."""
    options = dict(recipe.dataset_options, root=recipe.data_root or None)
    if not recipe.validation:
        train, test = (data.get_dataset(recipe.dataset, split, **options) for split in ("train", "test"))
        return train, test, None, "test"
    held_out = dict(options, validation=recipe.validation)
    train, validation = (data.get_dataset(recipe.dataset, split, **held_out) for split in ("train", "validation"))
    return train, validation, data.get_dataset(recipe.dataset, "test", **options), "validation"


def training_loader(recipe, dataset, rank=0, workers=1):
    sharing = dict(train=True, shard=(rank, workers), seed=recipe.seed, workers=recipe.workers)
    batch_size = recipe.batch_size // workers
    if recipe.reader == "native":
        steps = dict(flip=_flip(recipe), jitter=recipe.jitter, lighting=recipe.lighting)
        return NativeLoader(dataset, batch_size, image_size=recipe.image_size, **steps, **sharing)
    transform = progressive_transform(recipe, dataset)
    return data.Loader(
        dataset, batch_size, transform, last_batch=recipe.last_batch, on_bad_image=recipe.on_bad_image, **sharing
    )


def evaluation_loader(recipe, dataset):
    batch_size, resize = recipe.eval_batch_size or recipe.batch_size, _resize(recipe, dataset)
    common = dict(train=False, seed=recipe.seed, workers=recipe.workers)
    if recipe.reader == "native":
        return NativeLoader(dataset, batch_size, image_size=recipe.image_size, resize=resize, **common)
    transform = data.eval_transform(size_of(recipe, dataset), dataset.mean, dataset.std, resize=resize)
    return data.Loader(dataset, batch_size, transform, on_bad_image=recipe.on_bad_image, **common)


def progressive_transform(recipe, dataset):
    """The training transform, or one for each of the sizes that the recipe's epochs have."""
    usual = size_of(recipe, dataset)
    if not recipe.progressive:
        return training_transform(recipe, dataset, usual)
    sizes = [recipe.size_at(epoch, usual) for epoch in range(recipe.epochs)]
    by_size = {size: training_transform(recipe, dataset, size) for size in sorted(set(sizes))}
    return ByEpoch([by_size[size] for size in sizes])


def training_transform(recipe, dataset, size):
    """At another size than the images', what is padded and cropped is resized first."""
    usual = size_of(recipe, dataset)
    crop = training_crop(recipe)
    return data.train_transform(
        size,
        dataset.mean,
        dataset.std,
        crop=None if crop == "none" else crop,
        padding=max(1, round(PADDING * size / usual)),
        shrink=size != usual,
        flip=_flip(recipe),
        auto_aug=None if recipe.auto_aug in ("", "none") else recipe.auto_aug,
        variant=recipe.auto_aug_variant,
        jitter=recipe.jitter,
        lighting=recipe.lighting,
        erasing=recipe.erasing,
    )


def facts(recipe):
    """The record of the recipe's data set."""
    return for_recipes(recipe.dataset, recipe.dataset_options)


def training_crop(recipe):
    """'pad', 'resized' or 'none': the recipe's, else what is usual for its data set."""
    return recipe.crop or facts(recipe).crop


def _flip(recipe):
    return recipe.flip == "on" if recipe.flip else facts(recipe).flip


def _resize(recipe, dataset):
    """The shorter side before the centre crop of evaluation, as large as training showed objects."""
    return round(size_of(recipe, dataset) / centre_share(training_crop(recipe)))
