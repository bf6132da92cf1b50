"""Recipes: files, flags, and the sentences for what cannot be."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import math
import time
from pathlib import Path

import pytest
import yaml

from gluon_attn import data, zoo
from gluon_attn.commands.train import DEFAULTS
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.arguments import add_arguments, recipe_from
from gluon_attn.recipe.check import check, idle
from gluon_attn.train import Recipe, list_recipes
from gluon_attn.train import build as network
from gluon_attn.train.dry_run import plan


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


@pytest.mark.parametrize("changed_only", [False, True], ids=["now", "as earlier versions kept it"])
def test_resuming_is_by_the_kept_recipe_and_not_by_the_defaults_of_the_script(tmp_path, changed_only):
    recipe = Recipe(model="resnet18", dataset="clutter", epochs=1, output=str(tmp_path))
    text = yaml.safe_dump(recipe.as_dict(changed_only=True)) if changed_only else recipe.to_yaml()
    (tmp_path / "recipe.yaml").write_text(text)
    assert parse("--output", str(tmp_path), "--resume", **DEFAULTS["imagenet"]) == recipe.replace(resume="auto")


def test_a_kept_recipe_is_the_same_under_the_defaults_of_any_script(tmp_path):
    recipe = Recipe(model="resnet18", dataset="clutter", epochs=1)
    (tmp_path / "kept.yaml").write_text(recipe.to_yaml())
    assert parse("--recipe", str(tmp_path / "kept.yaml"), **DEFAULTS["imagenet"]) == recipe
    assert recipe.to_yaml().startswith("model: resnet18\ndataset: clutter\nepochs: 1\n"), "what was chosen stands first"


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
        ({"arch": "reduction=8,reduction=4"}, "it takes name=value,name=value, and 'reduction' stands twice"),
    ],
)
def test_values_that_cannot_be_read(values, sentence):
    with pytest.raises(GluonAttnError, match=sentence):
        Recipe.of(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (dict(epochs=0), "--epochs cannot be 0 .*: give a whole number from 1 to 1,000,000"),
        (dict(schedule="step"), "needs --milestones"),
        (dict(milestones=[3]), "belong to --schedule step"),
        (dict(epochs=3, warmup_epochs=4), "leaves none of the 3 epochs"),
        (dict(label_smoothing=1.0), "--label-smoothing cannot be 1.0 .*: give a number from 0 to below 1"),
        (dict(mixup=-1.0), "--mixup cannot be -1.0 .*: give a number from 0 to"),
        (dict(mixup=1.0, epochs=5, mixup_off_epochs=5), "no epoch to mix in"),
        (dict(dataset="imagenet-rec", reader="native", auto_aug="imagenet"), "no AutoAugment.*--reader pil"),
        (dict(dataset="imagenet-rec", reader="native", crop="pad"), "not --crop pad: use --reader pil, or --crop res"),
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


NOT_KEYWORDS = {
    "arch": (zoo.get_model, {"arch"}),
    "dataset_options": (data.get_dataset, {"options", "validation", "per_class"}),
}


@pytest.mark.parametrize("field", NOT_KEYWORDS)
def test_what_other_flags_say_is_no_keyword_of_network_or_data(field):
    function, keywords = NOT_KEYWORDS[field]
    for name in set(inspect.signature(function).parameters) - keywords:
        with pytest.raises(GluonAttnError, match=f"--{field.replace('_', '-')} takes no '{name}': "):
            Recipe.of({field: {name: "a"}})
        with pytest.raises(GluonAttnError, match=f"takes no '{name}'"):
            check(Recipe(**{field: {name: 3}}))


def test_a_base_lies_beside_the_recipe_that_names_it(tmp_path, monkeypatch):
    for folder, lr in (("here", 0.3), ("there", 0.4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "base.yaml").write_text(f"base: digits\nlr: {lr}\n")
    (tmp_path / "there" / "own.yaml").write_text("base: base.yaml\nmodel: cifar_resnet20\n")
    monkeypatch.chdir(tmp_path / "here")
    assert Recipe.load("../there/own.yaml").lr == 0.4
    (tmp_path / "there" / "base.yaml").unlink()
    assert Recipe.load("../there/own.yaml").lr == 0.3, "else in the working directory, as before"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.yaml").write_text("base: digits\nmodel: cifar_resnet20\noutput: ~/x\n")
    recipe = parse("--recipe", "~/own.yaml")
    assert recipe.folder == tmp_path / "x" and recipe.output == "~/x"
    assert recipe.replace(output="~nobody-at-all/x").folder == Path("~nobody-at-all/x")


@pytest.mark.parametrize("word", ["on", "off"])
def test_on_and_off_are_words_where_they_are_choices(tmp_path, word):
    (tmp_path / "own.yaml").write_text(f"flip: {word}\n")  # which YAML reads as true and false
    assert Recipe.load(tmp_path / "own.yaml").flip == word


def test_a_text_that_yaml_reads_as_true_or_false(tmp_path):
    """`output: no` would train into a folder `false`; `pretrained: true` is meant."""
    (tmp_path / "own.yaml").write_text("pretrained: true\nteacher-weights: false\n")
    assert Recipe.load(tmp_path / "own.yaml").pretrained == "true"
    for line in ("output: no", "resume: on", "data-root: yes", "auto-aug: off"):
        (tmp_path / "own.yaml").write_text(line)
        with pytest.raises(GluonAttnError, match=f"--{line.split(':')[0]} cannot be (True|False).*in quotes"):
            Recipe.load(tmp_path / "own.yaml")


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
        ({"progressive": {"²": 32}}, "--progressive names epoch .'²'."),
        ({"progressive": {"1" * 5000: 32}}, "--progressive names epoch .'1+... .5,004 characters"),
        ({"progressive": {10**5000: 32}}, "--progressive names epoch a value too long"),
        ({"progressive": {-1: 32}}, "--progressive names epoch .-1."),
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


NUMBERS = [spec for spec in dataclasses.fields(Recipe) if spec.metadata["kind"] in (int, float)]
NO_NUMBERS = [".nan", ".inf", "-.inf", "1" * 400, "-" + "1" * 400, "1e400", "1" * 5000, "-1", "true", "[]", "{}", "a",
              "~", "2001-99-99", "0x" + "f" * 6000, "!!binary aGE="]  # fmt: skip


@pytest.mark.parametrize("spec", NUMBERS, ids=lambda spec: spec.name)
def test_every_number_has_bounds_and_no_other_value_passes(tmp_path, spec):
    """Whatever stands in a file or behind a flag: one sentence, or a recipe whose numbers are within their bounds."""
    flag = spec.name.replace("_", "-")
    for text in NO_NUMBERS:
        if text in ("[]", "{}") and spec.name == "milestones":
            continue
        for item in [text, f"[{text}]"] if spec.name == "milestones" and text != "[]" else [text]:
            (tmp_path / "a.yaml").write_text(f"model: cifar_resnet20\ndataset: digits\n{flag}: {item}\n")
            with pytest.raises(GluonAttnError) as error:
                check(Recipe.load(tmp_path / "a.yaml"))
            assert len(str(error.value)) < 500, text
        with pytest.raises(GluonAttnError):
            parse("--model", "m", "--dataset", "d", f"--{flag}={text}")
    for value in (math.nan, math.inf, -1, 10**400, None, "1", True):
        with pytest.raises(GluonAttnError, match=f"--{flag} cannot be .*: give a (whole )?number (from|above)"):
            check(Recipe(**{spec.name: [value] if spec.name == "milestones" else value}))


def test_float16_on_a_cpu_is_refused_before_the_run():
    recipe = Recipe(model="cifar_resnet20", dataset="digits", dtype="float16", devices="cpu:0")
    with pytest.raises(GluonAttnError, match="--dtype float16 does not run on a CPU"):
        plan(recipe)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{'bcdefghi'[i]}: &{'bcdefghi'[i]} [{', '.join(['*' + 'abcdefgh'[i]] * 9)}]\n" for i in range(8)
)
FILES = {
    "laughs": (LAUGHS, "aliases .* are not read: write the value again"),
    "laughs in a value": ("arch: {a: &a [1, 1], b: &b [*a, *a], c: [*b, *b]}", "aliases"),
    "a value in itself": ("arch: &a {b: *a}", "aliases"),
    "brackets": ("arch: " + "[" * 5000, "nested too deeply"),
    "maps in lines": ("\n".join(" " * depth + "a:" for depth in range(150)), "nested too deeply"),
    "maps": ("arch: " + "{a: " * 4000, "nested too deeply"),
    "long": ("# " + "x" * 10**6, "it has 16,385 characters, and a recipe has 16,384 at most"),
    "number as key": ("5: 1", "the option 5, which is no word"),
    "nothing as key": ("~: 1", "the option None, which is no word"),
    "list as key": ("[1, 2]: 1", "is not valid YAML: (.|\\n)*unhashable"),
    "option of another type": ("? !!binary aGE=\n: 1", "the option b'ha', which is no word"),
    "twice": ("lr: 1\nlr: 2", "an option stands twice"),
    "base of a number": ("base: 5", "has the base 5: it takes the name of a recipe"),
    "base of a list": ("base: [digits]", "has the base \\['digits'\\]"),
    "base of nan": ("base: .nan", "has the base nan"),
    "long base": ("base: " + "a" * 5000, "Unknown recipe 'aaa"),
    "long base file": ("base: " + "a" * 5000 + ".yaml", "There is no recipe file '.aaaa|There is no recipe file 'aaa"),
    "itself": ("base: a.yaml", "cannot be its own base: .*a.yaml -> .*a.yaml"),
    "date": ("lr: 2001-13-45", "a value cannot be read: month must be"),
    "object": ("lr: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    "list": ("- 1", "must hold lines of the form"),
    "key in arch": ("arch: {1: 2}", "--arch cannot be {1: 2}: it takes name=value"),
    "nan in arch": ("arch: {reduction: .nan}", "--arch cannot be"),
    "date in arch": ("arch: {reduction: 2001-01-01}", "--arch cannot be"),
    "long number in arch": ("arch: {reduction: " + "1" * 400 + "}", "--arch cannot be .*characters\\)"),
    "list as model": ("model: [1]", "--model cannot be \\[1\\]: it takes a word"),
    "nothing as model": ("model: ~", "--model cannot be None"),
    "zero byte": ('output: "a\\0b"', "--output cannot be"),
    "word as arch": ("base: with_arch.yaml\narch: reduction", "--arch cannot be 'reduction'"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_attack(tmp_path, monkeypatch, case):
    text, sentence = FILES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "with_arch.yaml").write_text("arch: {reduction: 4}")
    (tmp_path / "a.yaml").write_text(text)
    begun = time.process_time()
    with pytest.raises(GluonAttnError, match=sentence) as error:
        check(Recipe.load("a.yaml"))
    assert time.process_time() - begun < 1 and len(str(error.value)) < 1000


def test_files_that_are_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_bytes(b"lr: \xff\xfe")
    with pytest.raises(GluonAttnError, match="is no text in UTF-8"):
        Recipe.load("a.yaml")
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: ./a.yaml")
    with pytest.raises(GluonAttnError, match="cannot be its own base: .*a.yaml -> .*b.yaml -> .*a.yaml"):
        Recipe.load("a.yaml")


@pytest.mark.parametrize("key", [5, None, (1, 2), 10**5000], ids=["5", "None", "tuple", "long"])
def test_options_that_are_no_text(key):
    with pytest.raises(GluonAttnError, match="Unknown option of a recipe"):
        Recipe.of({key: 1})


@pytest.mark.parametrize("name", list_recipes())
def test_every_option_of_a_built_in_recipe_is_read(name):
    assert idle(Recipe.load(name)) == []


@pytest.mark.parametrize(
    "option, needs",
    [
        ({"lr_decay": 0.5}, {"schedule": "step", "milestones": [1]}),
        ({"momentum": 0.5}, {"optimizer": "nag"}),
        ({"hard_weight": 0.7}, {"teacher": "cifar_resnet20"}),
        ({"auto_aug_variant": "increasing"}, {"auto_aug": "cifar10"}),
        ({"mixup_off_epochs": 3}, {"cutmix": 1.0}),
        ({"amx": "off"}, {"dtype": "bfloat16"}),
    ],
)
def test_an_option_that_nothing_reads_is_named(option, needs, tmp_path):
    name, value = next(iter(option.items()))
    others = {"optimizer": "adamw", "auto_aug": "rand", **option}
    (said,) = idle(Recipe(**others))
    assert said.startswith(f"--{name.replace('_', '-')} {value} changes nothing without --")
    assert idle(Recipe(**{**others, **needs})) == []
    lines = plan(Recipe(model="cifar_resnet20", dataset="digits", output=str(tmp_path), **others)).splitlines()
    assert f"idle      {said}" in lines
