"""Every keyword of every network: a wrong value is a sentence that names it."""

from __future__ import annotations

import functools
import importlib
import inspect

import pytest

import gluon_attn
from gluon_attn import cli
from gluon_attn.attention.slots import GATES, PLACES, accepted, made_by
from gluon_attn.catalogue import arguments
from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.kinds import BLOCK, WORD
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.recipe import Recipe


def smallest_of_each_family():
    """{"module:Class": the name of the network of that family with the fewest blocks}."""
    found = {}
    for name, backbone in sorted(BACKBONES.items(), key=lambda item: sum(item[1].arch.get("layers", ()))):
        found.setdefault(backbone.family, name)
    return found


def keywords(made):
    parameters = inspect.signature(made).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]


def cases():
    """(name of a network, a keyword that it takes)."""
    for family, name in smallest_of_each_family().items():
        module, _, cls = family.partition(":")
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
    if not arguments.may_be_none(keyword):
        yield None


def right(keyword, value):
    """Whether that is no mistake for this keyword."""
    takes = arguments.taken_by(keyword)
    return takes is not None and not is_word(keyword) and takes.kind.fits(value)


def is_word(keyword):
    """Whether a wrong value may be said as 'Unknown form ...', without the keyword."""
    takes = arguments.taken_by(keyword)
    return takes is not None and takes.kind.words in (WORD.words, BLOCK.words)


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
        named = keyword in sentence or (is_word(keyword) and repr(value) in sentence)
        assert named and "\n" not in sentence, (value, sentence)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_what_the_records_say_is_right(name):
    assert len(arguments.checked(name, SPECS[name].arch)) == len(SPECS[name].arch)


def test_every_mechanism_says_what_its_own_keywords_take():
    listed = (*arguments.LISTS, arguments.PLACES)
    unknown = {keyword for _, keyword in CASES if not arguments.taken_by(keyword) and keyword not in listed}
    assert not unknown, f"{unknown}: say in its record what it takes (`words`, gluon_attn/catalogue/kinds.py)"


def test_a_keyword_has_one_kind():
    """Of a word in a record no other record, nor the table of shared ones, says something else."""
    said = [*arguments.STAGED, *arguments.SINGLE, *arguments.LISTS, arguments.PLACES]
    said += [word for record in MECHANISMS.values() for word in record.words]
    assert sorted(said) == sorted(set(said))


def test_no_record_has_a_word_that_its_block_does_not_take():
    for record in MECHANISMS.values():
        if record.words:
            assert set(record.words) <= set(accepted(record.slot, record.name)), record.name


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
        ("cifar_resnet20", {"dropout": 0.5}, "dropout=0.5 has no effect on block='basic': it is for 'wide'"),
        ("resnet50", {"dropout": 0.5}, "no effect on block='bottleneck'"),
        ("cifar_resnet20", {"groups": 4}, "groups=4 has no effect .* for 'bottleneck', 'lip'"),
        ("cifar_resnet20", {"group_width": 8}, "group_width=8 has no effect"),
        ("cifar_wrn28_10", {"stride_in": "1x1"}, "stride_in='1x1' has no effect on block='wide'"),
        ("cifar_resnet20", {"stage_after": {1: (0,)}}, "give stage= as well"),
        ("cifar_resnet20", {"stages": (1,)}, r"stages=\(1,\) .* there is none: give gate= or fuse= or conv="),
        ("cifar_densenet40_k12", {"stages": (1,)}, "there is none: give gate="),
        ("resnet50", {"head": "pyramid"}, "head='pyramid' learns one score a position: give map_size="),
        ("resnet50", {"stage": "nonlocal", "dims": 3}, "dims=3 cannot be: the maps of this network have 2 dimensions"),
        ("resnet50", {"stage": "nonlocal", "dims": [2, 2, 3, 2]}, "the maps of this network have 2 dimensions"),
        ("resnet50", {"gate": GATES["se"], "reduction": 0}, "reduction=0 cannot be: give a whole number from 1"),
        (
            "resnext50_32x4d",
            {"conv": "aa", "map_size": (56, 28, 14, 7)},
            "give 16 of 128 channels to the attention .* and 112 to its 3x3: it needs a multiple of its groups .32.",
        ),
    ],
)
def test_sentences(name, arch, said):
    with pytest.raises(GluonAttnError, match=said):
        gluon_attn.get_model(name, **arch)
