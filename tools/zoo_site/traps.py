"""What somebody who takes a network by its name should know before it costs an afternoon."""

from __future__ import annotations

from gluon_attn.catalogue.names import Spec

# Names that GluonCV has: in its zoo they stay its own.
OF_GLUONCV = ("resnext50_32x4d", "resnext101_32x4d", "se_resnext50_32x4d", "se_resnext101_32x4d")
# attention: sentences
OF_ATTENTION = {
    "aff": [
        "The factor 2 is in the released code and its weights, not in the paper's formula.",
        "The global branch normalises one value an image: a training batch needs more than one image.",
    ],
    "ms_cam": ["The global branch normalises one value an image: a training batch needs more than one image."],
    "eca": ["The released models have other kernels than the paper's formula: `variant='ecanet'` builds those."],
    "abn": [
        "Training needs both losses, as the recipes abn_* have: `outputs='all'` gives (attention logits, logits, map)."
    ],
    "inv_se": ["With alpha 1, the default, `1 - sigmoid` is SE with its last layer negated: the same functions."],
    "inv_cbam": ["With alpha 1, the default, this is CBAM with the last layers of its gates negated."],
    "cbam": [
        "Its map of places need not be bright on the object: docs/explain.md shows a network that does the opposite."
    ],
    "danet": ["Trained on a CPU with more than one thread, two runs differ in their last digits."],
    "nonlocal": [
        "It has max poolings: on a CPU take gradients of your own from `explain.differentiable(net)`, not from `net`."
    ],
    "pyramid": ["No code was published: docs/systems.md says what was decided where the paper is open."],
}
ALIKE = {"iaff": "aff", "abn_se": "abn"}


def of(spec: Spec, entries) -> list:
    """Sentences of Markdown, the ones that bite first in front.

    >>> of(SPECS["resnext50_32x4d"], ())[0].startswith("GluonCV has a network of this name")
    True
    """
    return [
        *_of_name(spec),
        *OF_ATTENTION.get(ALIKE.get(spec.attention, spec.attention), ()),
        *_of_weights(spec, entries),
    ]


def _of_name(spec):
    if spec.name in OF_GLUONCV:
        yield "GluonCV has a network of this name, and its own zoo gives that; `gluon_attn.get_model` gives this one."
    if spec.label:
        yield f"Its paper's tables call it {spec.label}."
    if spec.attention in ("aff", "iaff") and spec.backbone.startswith("res"):
        yield f"Built as published, in ResNet-D form and in stages 3 and 4 only: compare it with `{spec.plain}`."
    if "map_size" in spec.arch:
        sizes = spec.arch["map_size"]
        yield f"Tied to its input's size: for other than {spec.input_size} pixels give `map_size=` (here {sizes})."
    if spec.dataset == "cifar100":
        yield "100 classes and 32 pixels unless told otherwise: `classes=10` for CIFAR-10."
    if spec.arch.get("groups", 1) > 1:
        yield "On a CPU its grouped convolutions are computed as wider ones with zeros added: faster, the same values."
    for tag in spec.variants:
        yield f"`variant={tag!r}` builds the form of that paper's code."


def _of_weights(spec, entries):
    for entry in entries:
        if entry.arch:
            words = ", ".join(f"{key}={value!r}" for key, value in entry.arch.items())
            yield f"The weights {entry.tag!r} are for another form ({words}), which `pretrained={entry.tag!r}` builds."
        if not entry.usual_labels:
            yield f"The weights {entry.tag!r} are for other labels ({entry.dataset}): only who names them gets them."
    if entries and all(entry.by_hand for entry in entries):
        yield "No program can fetch its weights: download them by hand and give the path."
