"""Names as other zoos write them, and words for many names."""

from __future__ import annotations

import pytest

import gluon_attn
from gluon_attn import zoo
from gluon_attn.catalogue import spellings
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import GluonAttnError


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("seresnet50", "se_resnet50"),  # timm
        ("seresnext50_32x4d", "se_resnext50_32x4d"),
        ("legacy_seresnet101", "se_resnet101"),
        ("ecaresnet50d", "eca_resnet50d"),
        ("skresnext50_32x4d", "sk_resnext50_32x4d"),
        ("resnet50.a1_in1k", "resnet50"),
        ("resnet50_v1b", "resnet50"),  # GluonCV
        ("resnet50_v1d", "resnet50d"),
        ("cifar_resnet20_v1", "cifar_resnet20"),
        ("cifar_wideresnet28_10", "cifar_wrn28_10"),
        ("seresnet20_cifar10", "cifar_se_resnet20"),  # imgclsmob
        ("densenet40_k12_cifar100", "cifar_densenet40_k12"),
        ("CBAM-ResNet50", "cbam_resnet50"),
        ("cbam", "cbam_resnet18"),
    ],
)
def test_the_error_names_ours(theirs, ours):
    with pytest.raises(GluonAttnError, match=f"Did you mean '{ours}'"):
        gluon_attn.get_model(theirs)


def test_every_name_without_its_underscores_is_found():
    for name in SPECS:
        assert name in spellings.nearest(name.replace("_", "").upper(), SPECS)


def test_nonsense_gets_no_guess_out_of_thin_air():
    assert spellings.nearest("qqqqq", SPECS) == [] == spellings.nearest("", SPECS)


def test_words_and_patterns_of_any_case():
    found = gluon_attn.list_models("AFF")
    assert {"aff_resnet50", "cifar_aff_resnet20"} <= set(found) and not any("iaff" in name for name in found)
    assert gluon_attn.list_models("resnet50") == ["resnet50"]
    assert gluon_attn.list_models("*AFF_ResNet50") == ["aff_resnet50", "iaff_resnet50"]
    both = gluon_attn.list_models(["se", "eca"], exclude=["cifar", "*next*"])
    assert set(both) == {n for n in SPECS if {"se", "eca"} & set(n.split("_")) and n[:5] != "cifar" and "next" not in n}
    assert gluon_attn.list_models("mixer") == []


@pytest.mark.parametrize(("theirs", "ours"), sorted(spellings.KEYWORDS.items()))
def test_keywords_of_other_zoos_are_told_ours(theirs, ours):
    with pytest.raises(GluonAttnError) as caught:
        gluon_attn.get_model("cifar_resnet20", **{theirs: 3})
    assert theirs in str(caught.value) and ours in str(caught.value)


def test_functions_of_other_zoos_are_told_ours():
    with pytest.raises(AttributeError, match=r"create_model.*get_model\("):
        _ = gluon_attn.create_model
    assert not hasattr(gluon_attn, "nothing_of_the_kind")


def test_info_is_short_as_text_and_whole_as_a_dict():
    info = zoo.model_info("cifar_aff_preresnet32_w4")
    assert len(str(info).splitlines()) == 4 and "AFF-ResNet-32" in str(info)
    assert len(repr(info)) < 200 and f"{info.parameters / 1e6:.3f}" in repr(info)
    stored = info.as_dict()
    assert stored["stages"]["stem"]["macs"] == info.stages["stem"].macs
    assert [entry["tag"] for entry in stored["weights"]] == [entry.tag for entry in info.weights]
