"""The learning-rate curve of every recipe, against figures from the papers and logs."""

from __future__ import annotations

import pytest

from gluon_attn.train import Recipe, list_recipes
from gluon_attn.train.update import learning_rate

STEPS = 100

# recipe: {epoch: rate}, written down from the papers and logs, not from the code.
EXPECTED = {
    "digits": {0: 0, 0.5: 0.1, 7.25: 0.05, 14: 0},
    "openaff_cifar100": {0: 0.2, 289.99: 0.2, 290: 0.02, 320: 0.02, 440: 0.002, 639.99: 0.002},
    "openaff_cifar100_cosine": {0: 0, 5: 0.1, 10: 0.2, 325: 0.1, 640: 0},
    "openaff_imagenet": {0: 0, 2.5: 0.0375, 5: 0.075, 122.5: 0.0375, 240: 0},
    "openaff_imagenet_resnext": {0: 0, 2.5: 0.0375, 5: 0.075, 122.5: 0.0375, 240: 0},
    "openaff_imagenet_autoaug": {0: 0, 5: 0.075, 240: 0},
    "inverse_cifar": {0: 0.1, 60: 0.1, 61: 0.02, 121: 0.004, 161: 0.0008, 199.99: 0.0008},
    "inverse_imagenet": {0: 0.1, 30: 0.1, 31: 0.01, 61: 0.001, 81: 0.0001, 99.99: 0.0001},
    "abn_cifar": {0: 0.1, 149.99: 0.1, 150: 0.01, 225: 0.001, 299.99: 0.001},
    "abn_cifar_densenet": {0: 0.1, 150: 0.01, 225: 0.001},
    "abn_cifar_resnext": {0: 0.1, 150: 0.01, 225: 0.001},
    "abn_cifar_wrn": {0: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008},
    "digits_few": {0: 0, 12: 0.05, 66: 0.025, 120: 0},
    "clutter": {0: 0, 1: 0.05, 6.5: 0.025, 12: 0},
    "inverse_cifar_densenet": {0: 0.1, 60: 0.1, 61: 0.02, 121: 0.004, 199.99: 0.0008},
    "ltpa_cifar": {0: 0.1, 24.99: 0.1, 25: 0.05, 150: 0.1 / 2**6, 299.99: 0.1 / 2**11},
    "ltpa_cifar_resnet": {0: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008, 199.99: 0.0008},
    "abn_imagenet": {0: 0.1, 30.99: 0.1, 31: 0.01, 61: 0.001},
    "finetune": {0: 0, 0.5: 5e-5, 1: 1e-4, 15.5: 5e-5, 30: 0},
    "tiny_imagenet": {0: 0, 0.25: 0.1, 0.5: 0.2, 5.25: 0.1, 10: 0},
}


def test_every_recipe_has_a_curve():
    assert sorted(EXPECTED) == list_recipes(), "write down its rates in EXPECTED, from its paper or log"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_recipe_follows_its_curve(name):
    recipe = Recipe.load(name)
    for epoch, rate in EXPECTED[name].items():
        assert learning_rate(recipe, STEPS, round(epoch * STEPS)) == pytest.approx(rate, abs=1e-12)


def test_another_batch_size_scales_the_rate_linearly():
    recipe = Recipe.load("openaff_imagenet", batch_size=128)
    assert learning_rate(recipe, STEPS, 5 * STEPS) == pytest.approx(0.075 / 4)
    assert Recipe.load("digits", batch_size=128).peak_lr == 0.1  # where the recipe names no batch, none is assumed


def test_gluoncv_counts_from_one():
    """The scheduler of open-aff's trainer: its first rate is not 0, no rate is further off than two steps of it."""
    utils = pytest.importorskip("gluoncv").utils
    recipe, warm, total = Recipe.load("openaff_imagenet", epochs=20, warmup_epochs=1), 50, 1000
    parts = [
        utils.LRScheduler("linear", base_lr=0, target_lr=0.075, nepochs=1, iters_per_epoch=warm),
        utils.LRScheduler("cosine", base_lr=0.075, target_lr=0, nepochs=19, iters_per_epoch=warm),
    ]
    theirs = [utils.LRSequential(parts)(count) for count in range(1, total + 1)]
    ours = [learning_rate(recipe, warm, step) for step in range(total)]
    assert ours[0] == 0 and theirs[0] == pytest.approx(0.075 / (warm - 1)) and theirs[-2:] == [0, 0]
    assert max(abs(a - b) for a, b in zip(ours, theirs)) < 2 * 0.075 / (warm - 1)
