"""The images of a recipe: data sets, transforms and loaders, with what each data set needs by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from gluon_attn import data, zoo
from gluon_attn.catalogue.datasets import centre_share, for_recipes
from gluon_attn.data.loader import check_batches
from gluon_attn.data.native import NativeLoader
from gluon_attn.data.seen import Seen
from gluon_attn.data.sources import own_splits
from gluon_attn.data.transforms import PADDING, ByEpoch
from gluon_attn.errors import GluonAttnError
from gluon_attn.weights.card import Card
from gluon_attn.weights.origin import Origin


@dataclass(frozen=True)
class Inputs:
    """Loaders of a run. `chosen_on` names the split that picks the best epoch; `test` is what it must not see.

    card : what the weights will say of themselves; evaluation prepares pictures as it says
    """

    train: object
    evaluation: object
    test: object
    chosen_on: str
    card: Card
    images: int
    division: str = ""  # how a folder of pictures is divided
    identity: str = ""  # of the training images
    seen: Optional[Seen] = None  # the pictures of a folder that nobody has divided

    @property
    def classes(self):
        return len(self.card.classes)


def open_inputs(recipe, rank=0, workers=1):
    """The loaders of worker `rank` of `workers`; only the first worker evaluates."""
    if recipe.batch_size % workers:
        raise GluonAttnError(
            f"--batch-size {recipe.batch_size} cannot be shared by {workers} workers: take a multiple of {workers}."
        )
    train_set, evaluation_set, test_set, chosen_on = open_datasets(recipe)
    check_fits(recipe, train_set, rank, workers)
    card = card_of(recipe, train_set)
    return Inputs(
        training_loader(recipe, train_set, card, rank, workers),
        evaluation_loader(recipe, evaluation_set, card),
        test_set and evaluation_loader(recipe, test_set, card),
        chosen_on,
        card,
        images=len(train_set),
        division=train_set.division,
        identity=train_set.identity(),
        seen=_seen(train_set, evaluation_set),
    )


def _seen(train_set, evaluation_set):
    halves = train_set.marks, evaluation_set.marks
    return Seen(*map(frozenset, halves)) if all(halves) else None


def check_fits(recipe, dataset, rank=0, workers=1):
    """GluonAttnError where the recipe and the training images do not go together; --dry-run asks it, too."""
    dataset.check_labels()
    known = len(dataset.classes)
    if 0 < recipe.classes < known:
        raise GluonAttnError(
            f"--classes {recipe.classes} is fewer than the {known} classes of {recipe.dataset}: leave it out, or give "
            f"{known} or more."
        )
    check_batches(len(dataset), recipe.batch_size // workers, (rank, workers), recipe.last_batch)


def card_of(recipe, dataset, names=None):
    """The card of the weights that the recipe trains, but for the network's own keywords.

    dataset : anything that has mean and std; names : of the classes, by default its `classes`
    """
    names = list(map(str, names or dataset.classes))
    names += [f"class {number}" for number in range(len(names), recipe.classes)]
    return Card(
        zoo.find(recipe.model).name,
        names[: recipe.classes or None],
        **_normalisation(recipe, dataset),
        input_size=image_size(recipe),
        crop_pct=centre_share(training_crop(recipe)),
        dataset=facts(recipe).name,
        source="run",
    )


def image_size(recipe):
    """The recipe's; else that of the weights which it starts from; else what is usual for the network."""
    return recipe.image_size or _expected(recipe)["input_size"]


def _expected(recipe):
    """What the weights are fed from which the recipe starts; else what is usual for the network."""
    spec = zoo.find(recipe.model)
    return {**spec.preprocessing, **Origin.of(spec.name, recipe.pretrained).preprocessing}


def _normalisation(recipe, dataset):
    """mean and std of the data set. Somebody's own folder has none: what the network expects is as good."""
    known = _expected(recipe) if recipe.dataset == "folder" else dict(mean=dataset.mean, std=dataset.std)
    return {key: known[key] for key in ("mean", "std")}


def open_datasets(recipe):
    """(train, the one that chooses the best epoch, test where that is another one, name of the choosing split)."""
    options = dict(recipe.dataset_options, root=recipe.data_root or None)
    own = own_splits(recipe.dataset, options["root"])
    if not own:
        held_out = dict(options, validation=recipe.validation)
        train, chosen = (data.get_dataset(recipe.dataset, split, **held_out) for split in ("train", "validation"))
        return train, chosen, None, "validation"
    if not recipe.validation and "validation" in own:
        splits = (data.get_dataset(recipe.dataset, split, **options) for split in ("train", "validation", "test"))
        return (*splits, "validation")
    if not recipe.validation:
        train, test = (data.get_dataset(recipe.dataset, split, **options) for split in ("train", "test"))
        return train, test, None, "test"
    held_out = dict(options, validation=recipe.validation)
    train, validation = (data.get_dataset(recipe.dataset, split, **held_out) for split in ("train", "validation"))
    return train, validation, data.get_dataset(recipe.dataset, "test", **options), "validation"


def training_loader(recipe, dataset, card, rank=0, workers=1):
    sharing = dict(train=True, shard=(rank, workers), seed=recipe.seed, workers=recipe.workers)
    batch_size = recipe.batch_size // workers
    if recipe.reader == "native":
        steps = dict(flip=_flip(recipe), jitter=recipe.jitter, lighting=recipe.lighting)
        steps.update(image_size=card.input_size, last_batch=recipe.last_batch)
        return NativeLoader(dataset, batch_size, **steps, **sharing)
    transform = progressive_transform(recipe, card)
    return data.Loader(
        dataset, batch_size, transform, last_batch=recipe.last_batch, on_bad_image=recipe.on_bad_image, **sharing
    )


def evaluation_loader(recipe, dataset, card):
    batch_size = recipe.eval_batch_size or recipe.batch_size
    common = dict(train=False, seed=recipe.seed, workers=recipe.workers)
    if recipe.reader == "native":
        return NativeLoader(dataset, batch_size, image_size=card.input_size, resize=card.resize, **common)
    return data.Loader(dataset, batch_size, card.transform(), on_bad_image=recipe.on_bad_image, **common)


def progressive_transform(recipe, card):
    """The training transform, or one for each of the sizes that the recipe's epochs have."""
    usual = card.input_size
    if not recipe.progressive:
        return training_transform(recipe, card, usual)
    sizes = [recipe.size_at(epoch, usual) for epoch in range(recipe.epochs)]
    by_size = {size: training_transform(recipe, card, size) for size in sorted(set(sizes))}
    return ByEpoch([by_size[size] for size in sizes])


def training_transform(recipe, card, size):
    """At another size than the card's, the padding is as large in proportion."""
    crop = training_crop(recipe)
    return data.train_transform(
        size,
        card.mean,
        card.std,
        crop=None if crop == "none" else crop,
        padding=max(1, round(PADDING * size / card.input_size)),
        flip=_flip(recipe),
        auto_aug=None if recipe.auto_aug in ("", "none") else recipe.auto_aug,
        auto_aug_variant=recipe.auto_aug_variant,
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
