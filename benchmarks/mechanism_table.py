"""The table of mechanisms: slot, formula, paper, published weights, and the cost on one common backbone.

python benchmarks/mechanism_table.py        # writes docs/mechanisms.md
"""

from __future__ import annotations

from pathlib import Path

from gluon_attn import get_model, weights, zoo
from gluon_attn.catalogue.backbones import BACKBONES
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import OWN, SPECS, with_attention
from gluon_attn.complexity import complexity
from gluon_attn.files import write_text

ROOT = Path(__file__).resolve().parent.parent
BACKBONE = "resnet50"


def rows():
    """(label, slot, formula, paper, weights, parameters, MACs, network that was counted) of every mechanism."""
    yield "(none)", "", MECHANISMS["add"].formula, zoo.find(BACKBONE).paper, published(""), *cost("")
    for label, record in MECHANISMS.items():
        if record.on and label in OWN:
            yield label, " + ".join(record.slots), record.formula, record.paper, published(label), *cost(label)


def cost(label):
    """(parameters, MACs, name) on the common backbone, or, where no name has it, of the slot's arguments on it."""
    name = with_attention(BACKBONE, label)
    if name in SPECS:
        net, shown = get_model(name), f"`{name}`"
    else:
        slot = MECHANISMS[label].slot
        net, shown = get_model(BACKBONE, **{slot: label}), f"`{BACKBONE}`, {slot}={label!r}"
    counted = complexity(net, zoo.find(BACKBONE).input_size)
    return f"{counted.parameters / 1e6:.2f}", f"{counted.macs / 1e9:.2f}", shown


def published(label):
    """What published weights load: the sources, and how many files of each."""
    names = [name for name in zoo.list_models() if zoo.find(name).attention == label]
    files = [entry for name in names for entry in weights.entries(name) if entry.url or entry.by_hand]
    sources = sorted({entry.source for entry in files})
    return ", ".join(f"{source} ({sum(entry.source == source for entry in files)})" for source in sources) or "none"


def document():
    yield "# Mechanisms"
    yield ""
    yield "Written by `python benchmarks/mechanism_table.py`. Cost: one 224x224 image, 1000 classes. Weights:"
    yield "how many published ones load, by source (`gluon-attn list --pretrained` names them)."
    yield ""
    yield "| name | slot | formula | paper | weights | parameters (M) | MACs (G) | counted on |"
    yield "| --- | --- | --- | --- | --- | ---: | ---: | --- |"
    for row in rows():
        yield "| " + " | ".join(row) + " |"
    others = [name for name, backbone in BACKBONES.items() if backbone.slots == ("its own",)]
    yield ""
    for name in others:
        size, paper = zoo.find(name).input_size, zoo.find(name).paper
        counted = complexity(get_model(name), size)
        yield f"`{name}` ({paper}) has its mechanism built in: {counted.parameters / 1e6:.2f} M parameters,"
        yield f"{counted.macs / 1e9:.2f} G MACs at {size}x{size}."
    yield ""
    yield "AFF and iAFF are counted as published: ResNet-D form, stages 3 and 4."


def main():
    text = "\n".join(document()) + "\n"
    print(text)
    write_text(ROOT / "docs" / "mechanisms.md", text)


if __name__ == "__main__":
    main()
