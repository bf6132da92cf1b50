"""Attention Branch Network's PyTorch checkpoints: four families of names, one branch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gluon_attn.weights.layouts.rewrite import STAGE, torch_leaf

SUFFIX = ".pth.tar"
COUNTS_BATCHES = True
_PREFIX = "module."  # saved from nn.DataParallel
_STATISTIC = ".running_mean"
_NORM = {"weight": "gamma", "bias": "beta"}

_BRANCH = {
    "bn_att": "branch.norm",
    "att_conv": "branch.evidence.0",
    "bn_att2": "branch.evidence.1",
    "att_conv2": "branch.score.1",
    "att_conv3": "branch.map.0",
    "bn_att3": "branch.map.1",
    "fc": "head.fc",
}


@dataclass(frozen=True)
class Family:
    """The layers by name, and those of a block: `block` catches the stage's number (none: the branch's), the block's
    and the layer's, `inside` says which layer of ours that is."""

    layers: dict
    block: str
    path: str
    inside: dict

    def place(self, layer):
        """Our path of a layer of theirs, or None."""
        match = re.fullmatch(self.block, layer)
        if match is None:
            return {**_BRANCH, **self.layers}.get(layer)
        stage, number, inner = match.groups()
        if inner not in self.inside:
            return None
        parent = "branch.stage" if stage is None else f"stages.{int(stage) - 1}"
        return self.path.format(stage=parent, number=number, inside=self.inside[inner])


_BOTTLENECK = {f"{kind}{i + 1}": f"body.{3 * i + j}" for i in range(3) for j, kind in enumerate(("conv", "bn"))}
_REDUCE_EXPAND = ("conv_reduce", "bn_reduce", None, "conv_conv", "bn", None, "conv_expand", "bn_expand")

# Keyed by a layer that only this family has.
FAMILIES = {
    "layer1.0.conv1": Family(
        layers={"conv1": "stem.0", "bn1": "stem.1"},
        block=r"(?:layer(\d)|att_layer\d)\.(\d+)\.(.+)",
        path="{stage}.{number}.{inside}",
        inside={**_BOTTLENECK, "downsample.0": "shortcut.0", "downsample.1": "shortcut.1"},
    ),
    "block1.layer.0.conv1": Family(
        layers={"conv1": "stem.0", "bn1": "head.norm.0"},
        block=r"(?:block(\d)|att_block\d)\.layer\.(\d+)\.(.+)",
        path="{stage}.{number}.{inside}",
        inside={
            "bn1": "norm.0",
            "conv1": "body.0",
            "bn2": "body.1",
            "conv2": "body.4",
            "convShortcut": "shortcut.0",
        },
    ),
    "dense1.0.conv1": Family(
        layers={
            "conv1": "stem.0",
            "bn": "head.norm.0",
            **{
                f"trans{i}.{layer}": f"stages.{i - 1}.1.body.{j}"
                for i in (1, 2)
                for layer, j in (("bn1", 0), ("conv1", 2))
            },
        },
        block=r"(?:dense(\d)|att_dense\d)\.(\d+)\.(.+)",
        path="{stage}.0.body.{number}.body.{inside}",
        inside={"bn1": "0", "conv1": "2", "bn2": "3", "conv2": "5"},
    ),
    "conv_1_3x3": Family(
        # Its forward never applies bn_att: our name says so.
        layers={"conv_1_3x3": "stem.0", "bn_1": "stem.1", "bn_att": "branch.unused_norm", "classifier": "head.fc"},
        block=r"stage_(?:(\d)|att)\.stage_\w+?_bottleneck_(\d+)\.(.+)",
        path="{stage}.{number}.{inside}",
        inside={
            **{layer: f"body.{i}" for i, layer in enumerate(_REDUCE_EXPAND) if layer},
            "shortcut.shortcut_conv": "shortcut.0",
            "shortcut.shortcut_bn": "shortcut.1",
        },
    ),
}


# Of an ABN family's blocks: theirs for a stage {s} (from 1; {n}: the last) and block {b}, in the trunk and the branch.
_BLOCKS = {
    "layer1.0.conv1": ("layer{s}.{b}", "att_layer{n}.{b}"),
    "block1.layer.0.conv1": ("block{s}.layer.{b}", "att_block{n}.layer.{b}"),
    "dense1.0.conv1": ("dense{s}.{b}", "att_dense{n}.{b}"),
    "conv_1_3x3": ("stage_{s}.stage_{s}_bottleneck_{b}", "stage_att.stage_att_bottleneck_{b}"),
}


def recognises(names):
    plain = {_plain(name) for name in names}
    return {"att_conv.weight", "bn_att2.weight"} <= plain and _family(plain) is not None


def key_map(names):
    plain = {name: _plain(name) for name in names}
    norms = {name[: -len(_STATISTIC)] for name in plain.values() if name.endswith(_STATISTIC)}
    family = _family(set(plain.values()))
    mapped = {}
    for name, theirs in plain.items():
        layer, parameter = theirs.rpartition(".")[::2]
        place = family.place(layer) if family else None
        if parameter == "num_batches_tracked":
            mapped[name] = None
        elif place is not None:
            mapped[name] = f"{place}.{_NORM.get(parameter, parameter) if layer in norms else parameter}"
    return mapped


def published_names(names, stem_length=2):
    """{our name: theirs}. By each family in turn: the one whose layers all names fit."""
    found = {}
    for key, family in FAMILIES.items():
        layers = {ours: theirs for theirs, ours in {**_BRANCH, **family.layers}.items()}
        theirs = _names_of(names, family, _BLOCKS[key], layers)
        found = max(found, theirs, key=len)
    return found


def _names_of(names, family, blocks, layers):
    inside = {ours: theirs for theirs, ours in family.inside.items()}
    pattern = re.escape(family.path).replace(r"\{stage\}", r"(?:stages\.(\d)|branch\.stage)")
    pattern = pattern.replace(r"\{number\}", r"(\d+)").replace(r"\{inside\}", "(.+)")
    last = 1 + max(int(m[1]) for m in map(STAGE.match, names) if m)
    result = {}
    for name in names:
        layer, leaf = name.rpartition(".")[::2]
        match = re.fullmatch(pattern, layer)
        if layer in layers:
            result[name] = f"{layers[layer]}.{torch_leaf(leaf)}"
        elif match and match[3] in inside:
            trunk = match[1] is not None
            place = blocks[0 if trunk else 1].format(s=int(match[1] or 0) + 1, b=match[2], n=last)
            result[name] = f"{place}.{inside[match[3]]}.{torch_leaf(leaf)}"
    return result


def _plain(name):
    return name[len(_PREFIX) :] if name.startswith(_PREFIX) else name


def _family(names):
    return next((family for layer, family in FAMILIES.items() if f"{layer}.weight" in names), None)
