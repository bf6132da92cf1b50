"""Every keyword of every network: a wrong value is a sentence that names it."""

from __future__ import annotations

import functools
import importlib
import inspect

import pytest

import gluon_attn
from gluon_attn import cli
from gluon_attn.attention.slots import PLACES, made_by
from gluon_attn.catalogue import arguments
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.recipe import Recipe

FAMILIES = {"ResNet": "resnet18", "DenseNet": "cifar_densenet40_k12", "MobileNet": "cifar_mobilenet"}
FAMILIES.update(VGG="cifar_ltpa_vgg", FullFaceGaze="fullface_gaze")
WORDS = {key for table in (arguments.STAGED, arguments.SINGLE) for key, kind in table.items()}
WORDS = {key for key in WORDS if {**arguments.STAGED, **arguments.SINGLE}[key] in (arguments.WORD, arguments.BLOCK)}


def keywords(made):
    parameters = inspect.signature(made).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]


def cases():
    """(name of a network, a keyword that it takes)."""
    for family, name in FAMILIES.items():
        module, _, cls = SPECS[name].family.partition(":")
        assert cls == family
        for keyword in keywords(getattr(importlib.import_module(module), cls)):
            yield name, keyword
    for mechanism in MECHANISMS.values():
        networks = [spec.name for spec in SPECS.values() if spec.attention == mechanism.name]
        if mechanism.block and mechanism.slot in PLACES and networks:
            made = made_by(mechanism.slot, mechanism.name)
            made = made.func if isinstance(made, functools.partial) else made
            for keyword in keywords(made):
                if keyword not in PLACES[mechanism.slot]:
                    yield min(networks, key=len), keyword


CASES = sorted(set(cases()))


def wrong_values(keyword):
    yield from ({"no": "dictionary"}, "no such word", -1, 0, float("nan"), (1,) * 9, object())
    if keyword not in arguments.MAY_BE_NONE:
        yield None


def right(keyword, value):
    """Whether that is no mistake for this keyword."""
    kind = {**arguments.STAGED, **arguments.SINGLE}.get(keyword)
    return kind not in (None, arguments.WORD, arguments.BLOCK) and kind.fits(value)


@pytest.mark.parametrize(("name", "keyword"), CASES)
def test_a_wrong_value_is_a_sentence_that_names_the_keyword(name, keyword):
    for value in wrong_values(keyword):
        if right(keyword, value) or (keyword == "classes" and value is None):
            continue
        if (name, keyword) == ("cifar_densenet40_k12", "layers") and value == (1,) * 9:  # nine stages, then
            continue
        with pytest.raises(GluonAttnError) as caught:
            gluon_attn.get_model(name, **{keyword: value})
        sentence = str(caught.value)
        named = keyword in sentence or (keyword in WORDS and repr(value) in sentence)
        assert named and "\n" not in sentence, (value, sentence)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_what_the_records_say_is_right(name):
    assert len(arguments.checked(name, SPECS[name].arch)) == len(SPECS[name].arch)


def test_every_keyword_has_a_kind():
    known = {*arguments.STAGED, *arguments.SINGLE, *arguments.LISTS, "stage_after"}
    assert {keyword for _, keyword in CASES} <= known


def test_what_yaml_says_is_what_the_network_takes(capsys):
    arch = Recipe.of({"arch": "widths=[32,64,128,256],stages=[3,4],reduction=[4,4,8,8]"}).arch
    net = gluon_attn.get_model("se_resnet18", **arch)
    assert net.stages[3][0].body[0].weight.shape[0] == 256
    same = gluon_attn.get_model("se_resnet18", widths=(32, 64, 128, 256), stages=(3, 4), reduction=(4, 4, 8, 8))
    shapes = [[p.shape for p in each.collect_params().values()] for each in (net, same)]
    assert shapes[0] == shapes[1]
    for places in ({2: (1,)}, {"2": [1]}):
        bam = gluon_attn.get_model("bam_resnet18", stage_after=places)
        assert len(bam.stages[1]) == 3 and len(bam.stages[0]) == 2
    train = ["train", "--dry-run", "--model", "resnet18", "--dataset", "digits"]
    assert cli.main([*train, "--arch", "widths=[32,64]"]) == 2
    assert "widths=(32, 64) has 2 entries for the 4 stages" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arch", "said"),
    [
        ("resnet18", {"widths": (64, 128, 0, 512)}, "0 is not a whole number from 1"),
        ("resnet18", {"stem_widths": (32, 32, 64)}, "takes 1"),
        ("resnet18d", {"stem_widths": (64,)}, "'deep' takes 3"),
        ("resnet18", {"stages": 3}, r"stages=\[3, 4\]"),
        ("se_resnet18", {"stages": (5,)}, "there is no stage 5"),
        ("bam_resnet18", {"stage_after": {2: (7,)}}, "stage 2 has the blocks 0 to 1"),
        ("eca_resnet18", {"kernel": 4}, "an odd number"),
        ("se_resnet18", {"reduction": (4, 4)}, "2 entries for 4 stages"),
        ("cifar_densenet40_k12", {"dropout": 1.5}, "from 0 to below 1"),
    ],
)
def test_sentences(name, arch, said):
    with pytest.raises(GluonAttnError, match=said):
        gluon_attn.get_model(name, **arch)
