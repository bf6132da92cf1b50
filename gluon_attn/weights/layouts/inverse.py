"""Our names in the published layouts: the inverse of the key maps, which check every name that is made here."""

from __future__ import annotations

import re

from gluon_attn.errors import WeightsError
from gluon_attn.weights.layouts import SOURCES, abn, imgclsmob
from gluon_attn.weights.layouts.rewrite import any_matches, rewrite

_STATISTICS = ("running_mean", "running_var")


def published_names(layout, names, stem_length=2):
    """{our name: name in files of `layout`}; a WeightsError where the layout has no place for one of them.

    stem_length : layers of the stem, pooling and all, by which open-aff counts its stages
    """
    names = list(names)
    theirs = _INVERSES[layout](names, stem_length)
    back = SOURCES["timm" if layout == "torchvision" else layout].key_map(list(theirs.values()))
    lost = [name for name in names if back.get(theirs.get(name)) != name]
    if lost:
        raise WeightsError(
            f"Files of {layout!r} have no place for {', '.join(lost[:4])}{', ...' if len(lost) > 4 else ''}: save the "
            "network with format='gluon', or take it to PyTorch whole (deploy.to_torch, `gluon-attn export`)."
        )
    return theirs


def _timm(names, _):
    deep = any_matches(names, r"^stem\.6\.")

    def body(match):
        at, leaf = int(match[3]), _torch_leaf(match[4])
        return f"layer{int(match[1]) + 1}.{match[2]}.{'conv' if at % 3 == 0 else 'bn'}{at // 3 + 1}.{leaf}"

    def stem(match):
        at, leaf = int(match[1]), _torch_leaf(match[2])
        if deep:
            return f"bn1.{leaf}" if at == 7 else f"conv1.{at}.{leaf}"
        return f"{'bn1' if at else 'conv1'}.{leaf}"

    gates = {"gate.mlp.0": "se.fc1", "gate.mlp.2": "se.fc2", "gate.conv": "se.conv"}
    return rewrite(
        names,
        [
            (r"stem\.(\d+)\.(\w+)", stem),
            (r"stages\.(\d)\.(\d+)\.body\.(\d)\.(\w+)", body),
            (
                r"stages\.(\d)\.(\d+)\.shortcut\.(\d)\.(\w+)",
                lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample.{m[3]}.{_torch_leaf(m[4])}",
            ),
            (
                rf"stages\.(\d)\.(\d+)\.({'|'.join(gates)})\.(\w+)",
                lambda m: f"layer{int(m[1]) + 1}.{m[2]}.{gates[m[3]]}.{m[4]}",
            ),
            (r"head\.fc\.(\w+)", r"fc.\1"),
        ],
    )


def _torch_leaf(leaf):
    return {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)


def _imgclsmob(names, _):
    """On ImageNet the stem's convolution is a block of its own; BAM's units stand before the stage that they end."""
    imagenet = any_matches(names, r"^stages\.3\.")
    bams = {int(m[1]): int(m[2]) for m in (re.match(r"stages\.(\d)\.(\d+)\.channel\.", name) for name in names) if m}
    unit = "res_unit." if bams else ""
    inner = {ours: theirs for theirs, ours in imgclsmob._BAM.items()}
    gates = {ours: theirs for theirs, ours in imgclsmob._GATE.items()}

    def body(match):
        at = int(match[3])
        layer = f"conv{at // 3 + 1}.{'conv' if at % 3 == 0 else 'bn'}"
        return f"features.{int(match[1]) + 1}.{match[2]}.{unit}body.{layer}.{match[4]}"

    def bam(match):
        return f"features.{int(match[1]) + 2}.0.bam.{inner[match[3]]}.{match[4]}"

    stem = "features.0.conv" if imagenet else "features.0"
    return rewrite(
        names,
        [
            (r"stem\.0\.(\w+)", rf"{stem}.conv.\1"),
            (r"stem\.1\.(\w+)", rf"{stem}.bn.\1"),
            (r"stages\.(\d)\.(\d+)\.body\.(\d)\.(\w+)", body),
            (rf"stages\.(\d)\.(\d+)\.({_either(inner)})\.(\w+)", bam),
            (
                rf"stages\.(\d)\.(\d+)\.({_either(gates)})\.(\w+)",
                lambda m: f"features.{int(m[1]) + 1}.{m[2]}.{unit}{gates[m[3]]}.{m[4]}",
            ),
            (r"head\.fc\.(\w+)", r"output.1.\1"),
        ],
    )


def _openaff(names, stem_length):
    """ResNets of ImageNet as `layer1..4`, everything else as `features`, whose body is `resfwd` before activation."""
    # Only the grouped and the pre-activated count `features`; a grouped bottleneck has narrow weights, which names do
    # not show, so that the caller says it by the length of the stem (0: `layer`).
    layers, last = stem_length == 0, 1 + max(int(m[1]) for m in map(_STAGE.match, names) if m)
    deep = any_matches(names, r"^stem\.6\.")
    body = "resfwd" if any_matches(names, r"^head\.norm\.") else "body"

    def place(number):
        return f"layer{number + 1}" if layers else f"features.{number + stem_length}"

    def inside(match):
        at = int(match[3])
        layer = f"{'conv' if at % 3 == 0 else 'bn'}{at // 3 + 1}" if layers else f"{body}.{at}"
        return f"{place(int(match[1]))}.{match[2]}.{layer}.{match[4]}"

    def fuse(match):
        branch = f"{match[4]}_att{'2' if match[3] == 'second' else ''}"
        return f"{place(int(match[1]))}.{match[2]}.attention.{branch}.{match[5]}"

    def stem(match):
        if not layers:
            return f"features.{match[1]}.{match[2]}"
        if deep and match[1] != "7":
            return f"conv1.{match[1]}.{match[2]}"
        return f"{'conv1' if match[1] == '0' else 'bn1'}.{match[2]}"

    return rewrite(
        names,
        [
            (r"stem\.(\d+)\.(\w+)", stem),
            (r"stages\.(\d)\.(\d+)\.body\.(\d)\.(\w+)", inside),
            (
                r"stages\.(\d)\.(\d+)\.shortcut\.(.+)",
                lambda m: f"{place(int(m[1]))}.{m[2]}.downsample.{m[3]}",
            ),
            (r"stages\.(\d)\.(\d+)\.fuse\.(context|first|second)\.(local|global)_branch\.(.+)", fuse),
            (r"head\.norm\.0\.(\w+)", rf"features.{stem_length + last}.\1"),
            (r"head\.fc\.(\w+)", ("fc" if layers else "output") + r".\1"),
        ],
    )


_STAGE = re.compile(r"stages\.(\d)\.")
# Of an ABN family's blocks: theirs for a stage {s} (from 1; {n}: the last) and block {b}, in the trunk and the branch.
_ABN_BLOCKS = {
    "layer1.0.conv1": ("layer{s}.{b}", "att_layer{n}.{b}"),
    "block1.layer.0.conv1": ("block{s}.layer.{b}", "att_block{n}.layer.{b}"),
    "dense1.0.conv1": ("dense{s}.{b}", "att_dense{n}.{b}"),
    "conv_1_3x3": ("stage_{s}.stage_{s}_bottleneck_{b}", "stage_att.stage_att_bottleneck_{b}"),
}


def _abn(names, _):
    """By each family in turn: the one whose layers all names fit."""
    found = {}
    for key, family in abn.FAMILIES.items():
        layers = {ours: theirs for theirs, ours in {**abn._BRANCH, **family.layers}.items()}
        theirs = _abn_names(names, family, _ABN_BLOCKS[key], layers)
        found = max(found, theirs, key=len)
    return found


def _abn_names(names, family, blocks, layers):
    inside = {ours: theirs for theirs, ours in family.inside.items()}
    pattern = re.escape(family.path).replace(r"\{stage\}", r"(?:stages\.(\d)|branch\.stage)")
    pattern = pattern.replace(r"\{number\}", r"(\d+)").replace(r"\{inside\}", "(.+)")
    last = 1 + max(int(m[1]) for m in map(_STAGE.match, names) if m)
    result = {}
    for name in names:
        layer, leaf = name.rpartition(".")[::2]
        match = re.fullmatch(pattern, layer)
        if layer in layers:
            result[name] = f"{layers[layer]}.{_torch_leaf(leaf)}"
        elif match and match[3] in inside:
            trunk = match[1] is not None
            place = blocks[0 if trunk else 1].format(s=int(match[1] or 0) + 1, b=match[2], n=last)
            result[name] = f"{place}.{inside[match[3]]}.{_torch_leaf(leaf)}"
    return result


def _either(table):
    return "|".join(re.escape(key) for key in table)


_INVERSES = {"timm": _timm, "torchvision": _timm, "imgclsmob": _imgclsmob, "openaff": _openaff, "abn": _abn}
FORMATS = ("gluon", *_INVERSES)
