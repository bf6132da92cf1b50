"""Recipes: files, flags, and the sentences for what cannot be."""

from __future__ import annotations

import argparse

import pytest

from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.arguments import add_arguments, recipe_from
from gluon_attn.recipe.check import check
from gluon_attn.train import Recipe, list_recipes
from gluon_attn.train import build as network


def parse(*words, **defaults):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return recipe_from(parser.parse_args(words), **defaults)


def test_flags_override_the_file_and_the_file_overrides_the_script():
    words = ["--recipe", "openaff_cifar100", "--model", "cifar_aff_preresnet32_w4", "--lr", "0.3"]
    recipe = parse(*words, "--milestones", "1,2", "--arch", "reduction=8,gating=reciprocal", epochs=5, dataset="digits")
    assert (recipe.epochs, recipe.dataset, recipe.lr) == (640, "cifar100", 0.3)
    assert recipe.milestones == [1, 2] and recipe.arch == {"reduction": 8, "gating": "reciprocal"}


def test_switches_and_resume_take_their_word_or_none():
    recipe = parse("--model", "m", "--dataset", "d", "--no-wd", "--resume", "--last-gamma", "false")
    assert recipe.no_wd is True and recipe.resume == "auto" and recipe.last_gamma is False


def test_a_recipe_survives_its_own_file(tmp_path):
    recipe = Recipe.load("abn_cifar_wrn", model="cifar_abn_wrn28_10", arch={"reduction": 4}, seed=3)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert Recipe.load(tmp_path / "again.yaml") == recipe


def test_every_built_in_recipe_is_consistent():
    for name in list_recipes():
        check(Recipe.load(name))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"leaning-rate": 1}, "Unknown option of a recipe 'leaning-rate'.*Choices"),
        ({"lr": "fast"}, "--lr cannot be 'fast': it takes a number"),
        ({"epochs": 1.5}, "--epochs cannot be 1.5: it takes a whole number"),
        ({"no-wd": "perhaps"}, "--no-wd cannot be 'perhaps': it takes true or false"),
        ({"milestones": "a,b"}, "--milestones cannot be 'a,b': it takes ints, as in 60,120"),
        ({"schedule": "cosin"}, "Unknown --schedule 'cosin'. Did you mean 'cosine'"),
        ({"arch": "reduction"}, "--arch cannot be 'reduction': it takes name=value"),
    ],
)
def test_values_that_cannot_be_read(values, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        Recipe.of(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (dict(epochs=0), "trains nothing"),
        (dict(schedule="step"), "needs --milestones"),
        (dict(milestones=[3]), "belong to --schedule step"),
        (dict(epochs=3, warmup_epochs=4), "leaves none of the 3 epochs"),
        (dict(label_smoothing=1.0), "at least 0 and below 1"),
        (dict(mixup=-1.0), "0 \\(off\\) or more"),
        (dict(mixup=1.0, epochs=5, mixup_off_epochs=5), "no epoch to mix in"),
        (dict(dataset="imagenet-rec", reader="native", auto_aug="imagenet"), "no AutoAugment.*--reader pil"),
        (dict(dataset="cifar10", reader="native"), "RecordIO only, not 'cifar10'"),
    ],
)
def test_choices_that_contradict_each_other(values, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        check(Recipe(**values))


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(GluonAttnError, match="Unknown recipe 'digit'. Did you mean 'digits'"):
        Recipe.load("digit")
    with pytest.raises(GluonAttnError, match="There is no recipe file.*Built-in recipes: abn_cifar"):
        Recipe.load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("lr: [")
    with pytest.raises(GluonAttnError, match="is not valid YAML"):
        Recipe.load(tmp_path / "bad.yaml")
    with pytest.raises(GluonAttnError, match="No model: give --model"):
        parse("--dataset", "digits")


def test_sizes_by_epoch():
    recipe = parse("--model", "m", "--dataset", "d", "--progressive", "2=32,6=48")
    assert [recipe.size_at(epoch, 64) for epoch in (0, 1, 2, 5, 6, 200)] == [64, 64, 32, 32, 48, 48]
    again = Recipe.of(recipe.as_dict())  # as JSON has it, in checkpoints: with words for keys
    assert again.size_at(5, 64) == 32 and again.as_dict() == recipe.as_dict()


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"progressive": {"5": 32}}, "--progressive names epoch .'5'.: give whole numbers from 0 to 4"),
        ({"progressive": {"first": 32}}, "--progressive names epoch .'first'."),
        ({"progressive": {0: 0}}, "--progressive has the size .0.: give the side"),
        ({"progressive": {0: 32}, "reader": "native", "dataset": "imagenet-rec"}, "one image size a run"),
    ],
)
def test_sizes_that_cannot_be(changes, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        check(Recipe.of({"model": "m", "dataset": "d", "epochs": 5, **changes}))


def test_keywords_of_the_network_are_added_to_the_recipes_own():
    recipe = parse("--recipe", "tiny_imagenet", "--arch", "alpha=0.5,widths=[8,8,8,8]")
    usual = Recipe.load("tiny_imagenet").arch
    assert recipe.arch == {**usual, "alpha": 0.5, "widths": [8, 8, 8, 8]} and "stem" in recipe.arch


@pytest.mark.parametrize(
    ("recipe", "model", "zeros"),
    [
        ("openaff_cifar100", "cifar_aff_resnext47_32x4d", 15),
        ("openaff_cifar100", "cifar_aff_resnext38_32x4d", 12),
        ("openaff_cifar100", "cifar_aff_preresnet32_w4", 0),
        ("openaff_imagenet", "aff_resnet50", 16),
        ("openaff_imagenet_resnext", "aff_resnext50_32x4d", 0),
    ],
)
def test_gammas_that_start_at_0_in_open_aff(recipe, model, zeros):
    """Counted in the authors' own networks, whose ResNeXt has its flag inverted."""
    net = network.create(Recipe.load(recipe, model=model), classes=100)
    gammas = [p for name, p in net._collect_params_with_prefix().items() if name.endswith("gamma")]
    for gamma in gammas:
        gamma.initialize()
    found = [gamma.data().asnumpy() for gamma in gammas]
    assert sum((gamma == 0).all() for gamma in found) == zeros
    if model.endswith("47_32x4d"):
        assert len(found) == 109


def test_learning_to_ignore_has_one_form_on_cifar_and_imagenet():
    for recipe, model in (("inverse_cifar", "cifar_inv_cbam_resnet20"), ("inverse_imagenet", "inv_cbam_resnet50")):
        gate = network.create(Recipe.load(recipe, model=model), classes=10).stages[2][0].gate
        channels = gate.channel.mlp[2].weight.shape[0]
        assert gate.spatial.bn is None and gate.channel.mlp[0].weight.shape[0] == channels // 8
