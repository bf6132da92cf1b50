"""The names, [cifar_][attention_]backbone: the product of the mechanisms and the backbones.

Pure data: this module imports no framework.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping

from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.catalogue.mechanism import SLOTS, Mechanism, matching
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.errors import GluonAttnError, unknown


@dataclass(frozen=True)
class Spec:
    """One name: how to build it and what it expects.

    attention, backbone : the names that it is made of; attention is empty for a plain network
    plain : the network that it is compared with: its backbone, in the form that this one has
    variants : {tag: arguments}: its form in one paper's code
    """

    name: str
    family: str
    arch: Mapping
    dataset: str
    paper: str
    attention: str = ""
    backbone: str = ""
    plain: str = ""
    variants: Mapping = field(default_factory=dict)

    @property
    def label(self):
        """What its paper calls it, where that is another name."""
        return LABELS.get(self.name, "")

    @property
    def record(self):
        """The data set that the paper's networks of this kind are for: classes, size and normalisation."""
        return DATASETS[self.dataset]

    @property
    def classes(self):
        return self.record.classes

    def load(self):
        """The family: a class that its `arch` makes a network of."""
        module, _, family = self.family.partition(":")
        return getattr(importlib.import_module(module), family)

    @property
    def input_size(self):
        return self.record.image_size

    @property
    def preprocessing(self):
        """What weights without a card or a row of their own are given: mean and std of RGB in 0..1, size, crop."""
        return self.record.preparation


# What the papers' own tables call a network, where our name says another depth, width or form.
LABELS = {
    "cifar_aff_preresnet32_w4": "AFF-ResNet-32",
    "cifar_aff_resnext38_32x4d": "AFF-ResNeXt-38-32x4d",
    "cifar_aff_resnext47_32x4d": "AFF-ResNeXt-47-32x4d",
    "aff_resnet50": "AFF-ResNet-50",
    "iaff_resnet50": "iAFF-ResNet-50",
    "aff_resnext50_32x4d": "AFF-ResNeXt-50-32x4d",
    "iaff_resnext50_32x4d": "iAFF-ResNeXt-50-32x4d",
    "cifar_abn_resnet164bn": "ResNet110",  # made of bottlenecks where depth >= 44
    "cifar_abn_densenet100_k12": "DenseNet",
    "cifar_abn_wrn28_10": "Wide ResNet",
    "cifar_abn_resnext29_8x64d": "ResNeXt",
    "abn_resnet50": "ResNet50",
    "abn_resnet101": "ResNet101",
    "abn_resnet152": "ResNet152",
    "cifar_resnet50basic": "ResNet50",  # 6n + 2 basic blocks, n = 8
    "cifar_ltpa_vgg": "(VGG-att3)-concat-pc",
    "sk_resnext50_32x4d": "SKNet-50",
    "sk_resnext101_32x4d": "SKNet-101",
}


# A plain network is what Learning to ignore compares with, and needs no other form for it.
_PLAIN_VARIANTS = {"inverse_attention": {}}


def specs_of(mechanism: Mechanism) -> Iterator[Spec]:
    """A Spec for every backbone that the mechanism is made for.

    >>> [spec.name for spec in specs_of(MECHANISMS["aa"])]
    ['aa_resnet50', 'aa_resnet101']
    """
    for name, backbone in BACKBONES.items():
        given = mechanism.given(name)
        if given is None or not backbone.takes({slot: given[slot] for slot in SLOTS if slot in given}):
            continue
        arch = {**backbone.arch, **given}
        plain = backbone.d_form if backbone.d_form and arch.get("stem") == "deep" else name
        variants = {tag: matching(forms, name) for tag, forms in mechanism.variants.items()}
        yield Spec(
            name=with_attention(name, mechanism.name),
            family=backbone.family,
            arch=arch,
            dataset=backbone.dataset,
            paper=mechanism.paper,
            attention=mechanism.name,
            backbone=name,
            plain=plain,
            variants={tag: form for tag, form in variants.items() if form is not None},
        )


def with_attention(backbone: str, attention: str) -> str:
    """The name of an attention, or of none, on a backbone.

    >>> with_attention("cifar_resnet20", "aff"), with_attention("resnet50", "")
    ('cifar_aff_resnet20', 'resnet50')
    """
    if not attention:
        return backbone
    prefix = "cifar_" if backbone.startswith("cifar_") else ""
    return f"{prefix}{attention}_{backbone[len(prefix) :]}"


def _plain_specs():
    for name, backbone in BACKBONES.items():
        facts = dict(backbone=name, plain=name, variants=_PLAIN_VARIANTS)
        yield Spec(name, backbone.family, backbone.arch, backbone.dataset, backbone.paper, **facts)


def _all_specs():
    yield from _plain_specs()
    for mechanism in MECHANISMS.values():
        yield from specs_of(mechanism)


SPECS: Dict[str, Spec] = {spec.name: spec for spec in _all_specs()}
OWN = frozenset(MECHANISMS)  # what the package brings


def is_own(name: str) -> bool:
    """Whether a network is the package's, and not named after a mechanism from outside.

    >>> is_own("resnet50"), is_own("se_resnet50")
    (True, True)
    """
    return SPECS[name].attention in OWN.union([""])


def add(mechanism: Mechanism) -> List[str]:
    """Enter a mechanism from outside; returns the names that it makes.

    >>> add(Mechanism("mine", "gate", "my_module:Mine"))[0]
    'mine_resnet18'
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", mechanism.name) or mechanism.name.startswith("cifar"):
        raise GluonAttnError(
            f"name={mechanism.name!r} cannot stand in names of networks: take lower-case letters, digits and single "
            "underscores, as in 'my_gate'; 'cifar' begins the names of backbones."
        )
    known = MECHANISMS.get(mechanism.name)
    if known is not None:
        remedy = "Choose another name" + (
            "." if known.name in OWN else f", or call gluon_attn.forget_attention({known.name!r}) first."
        )
        raise GluonAttnError(f"There is already a mechanism {known.name!r} (a {known.slot}: {_shown(known)}). {remedy}")
    specs = list(specs_of(mechanism))
    taken = [spec.name for spec in specs if spec.name in SPECS]
    if taken:
        raise GluonAttnError(f"name={mechanism.name!r} would make {taken[0]!r}, which is a network: choose another.")
    MECHANISMS[mechanism.name] = mechanism
    SPECS.update({spec.name: spec for spec in specs})
    return [spec.name for spec in specs]


def remove(name: str) -> List[str]:
    """Forget a mechanism from outside; returns the names that are gone.

    >>> remove("mine")[0]
    'mine_resnet18'
    """
    if name in OWN or name not in MECHANISMS:
        outside = [known for known in MECHANISMS if known not in OWN]
        raise unknown("registered attention", name, outside or ["(none)"])
    del MECHANISMS[name]
    gone = [spec.name for spec in SPECS.values() if spec.attention == name]
    for network in gone:
        del SPECS[network]
    return gone


def _shown(mechanism):
    return mechanism.block if isinstance(mechanism.block, str) else getattr(mechanism.block, "__qualname__", "")
