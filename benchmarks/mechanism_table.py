"""The table of mechanisms: slot, formula, paper, published weights, and the cost on one common backbone.

python benchmarks/mechanism_table.py        # writes docs/mechanisms.md
"""

from __future__ import annotations

from pathlib import Path

from gluon_attn import get_model, weights, zoo
from gluon_attn.complexity import complexity

ROOT = Path(__file__).resolve().parent.parent
BACKBONE = "resnet50"

# Formulas by the prefix of a name; x is the feature map, y the shortcut, s the sigmoid, G and L one value a channel and
# one a position.
FORMULAS = {
    "": "x + y",
    "se": "x s(W2 relu(W1 gap(x)))",
    "cbam": "channel gate (gap and gmp, one MLP), then spatial gate (7x7 of max and mean)",
    "eca": "x s(conv1d over the channels of gap(x))",
    "inv_se": "x (1 - alpha s(z)), z of SE; also reciprocal, negated",
    "inv_cbam": "CBAM with the inverse gating in both gates",
    "bam": "x (1 + s(channel(x) spatial(x)))",
    "abn": "x (1 + M), M = s(map of the class evidence); two losses",
    "abn_se": "ABN with SE in the blocks",
    "ltpa": "sum of l_i softmax(l_i . g) for three depths, concatenated",
    "ms_cam": "x s(L(x) + G(x))",
    "aff": "2 (w x + (1 - w) y), w = s(L(x + y) + G(x + y))",
    "iaff": "w2 x + (1 - w2) y, w2 from an AFF of x and y",
    "nonlocal": "x_i + bn(W sum_j softmax(theta_i . phi_j) g_j)",
    "danet": "position attention + channel attention, each a softmax of products",
    "ge": "x s(W2 relu(W1 relu(bn(whole-map depthwise conv))))",
    "ge_minus": "x s(gap(x)), no parameters",
    "lip": "pools avg(x e^l) / avg(e^l), l = 12 s(IN(conv))",
    "spatial_weights": "x relu(w3 relu(w2 relu(w1 x))), its gradient / channels",
    "pyramid": "A X, A = L2 rows of softmax(F(Y_1, ..., Y_N))",
    "sk": "sum_m softmax_m(V z) conv_m(x)",
    "aa": "concat(conv(x), W multi-head attention(x)) with relative positions",
}
SLOTS = ("gate", "fuse", "stage", "head", "conv", "block")


def rows():
    """(label, slot, formula, paper, weights, parameters, MACs, network that was counted) of every mechanism."""
    yield "(none)", "", FORMULAS[""], zoo.find(BACKBONE).paper, published(""), *cost("")
    for label, attention in zoo.ATTENTIONS.items():
        slot = " + ".join(slot for slot in SLOTS if slot in attention.arch)
        yield label, slot, FORMULAS[label], attention.paper, published(label), *cost(label)


def cost(label):
    """(parameters, MACs, name) on the common backbone, or, where no name has it, of the slot's arguments on it."""
    name = f"{label}_{BACKBONE}".lstrip("_")
    if name in zoo.list_models():
        net, shown = get_model(name), f"`{name}`"
    else:
        arch = zoo.ATTENTIONS[label].arch
        net, shown = get_model(BACKBONE, **arch), f"`{BACKBONE}`, " + ", ".join(f"{k}={v!r}" for k, v in arch.items())
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
    others = [name for name, backbone in zoo.BACKBONES.items() if backbone.slots == ("its own",)]
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
    (ROOT / "docs" / "mechanisms.md").write_text(text)


if __name__ == "__main__":
    main()
