"""The recipe that a command line means."""

from __future__ import annotations

import argparse

import pytest

from gluon_attn.commands.train import DEFAULTS
from gluon_attn.recipe.arguments import add_arguments, recipe_from
from gluon_attn.recipe.files import list_recipes


def meant(words, **defaults):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return recipe_from(parser.parse_args(words), **defaults)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_one_training_by_whatever_command(name):
    """train_imagenet.py gave some a warm-up that neither their files nor `gluon-attn train` have."""
    words = ["--recipe", name, "--model", "cifar_resnet20", "--dataset", "digits"]
    assert meant(words) == meant(words, **DEFAULTS["imagenet"]) == meant(words, **DEFAULTS["cifar"])


def test_without_a_recipe_a_script_has_its_own_values(tmp_path):
    words = ["--model", "resnet18"]
    recipe = meant(words, **DEFAULTS["imagenet"])
    assert (recipe.dataset, recipe.epochs, recipe.warmup_epochs) == ("imagenet-folder", 120, 5)
    (tmp_path / "own.yaml").write_text("model: resnet18\nepochs: 3\n")
    recipe = meant(["--recipe", str(tmp_path / "own.yaml")], **DEFAULTS["imagenet"])
    assert (recipe.dataset, recipe.epochs, recipe.warmup_epochs) == ("imagenet-folder", 3, 0)
