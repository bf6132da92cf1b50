"""imgclsmob: one spelling for ImageNet and CIFAR. `features.0` is the stem, `features.1` and on the stages."""

from __future__ import annotations

import re

from gluon_attn.weights.layouts.rewrite import any_matches, rewrite

SUFFIX = ".params"
COUNTS_BATCHES = False
_BAM = {
    "ch_att.init_fc.fc": "channel.1",
    "ch_att.init_fc.bn": "channel.2",
    "ch_att.final_fc": "channel.4",
    "sp_att.init_conv.conv": "spatial.0",
    "sp_att.init_conv.bn": "spatial.1",
    "sp_att.dil_convs.0.conv": "spatial.3",
    "sp_att.dil_convs.0.bn": "spatial.4",
    "sp_att.dil_convs.1.conv": "spatial.6",
    "sp_att.dil_convs.1.bn": "spatial.7",
    "sp_att.final_conv": "spatial.9",
}
_GATE = {
    "se.conv1": "gate.mlp.0",
    "se.conv2": "gate.mlp.2",
    "cbam.ch_gate.mlp.fc1": "gate.channel.mlp.0",
    "cbam.ch_gate.mlp.fc2": "gate.channel.mlp.2",
    "cbam.sp_gate.conv.conv": "gate.spatial.conv",
    "cbam.sp_gate.conv.bn": "gate.spatial.bn",
    "identity_conv.conv": "shortcut.0",
    "identity_conv.bn": "shortcut.1",
}


def recognises(names):
    return any_matches(names, r"^features\.\d+\.\d+\.(?:res_unit\.)?body\.conv\d\.(?:conv|bn)\.")


def key_map(names):
    depths = _depths(names)

    def convolution(match):
        stage, block, number, layer, rest = match.groups()
        position = 3 * int(number) - (3 if layer == "conv" else 2)
        return f"stages.{int(stage) - 1}.{block}.body.{position}.{rest}"

    def bam(match):
        """It stands in the first block of a stage, before its convolutions: for us behind the stage before."""
        before = int(match.group(1)) - 1
        return f"stages.{before - 1}.{depths[before]}.{_BAM[match.group(2)]}.{match.group(3)}"

    def gate(match):
        return f"stages.{int(match.group(1)) - 1}.{match.group(2)}.{_GATE[match.group(3)]}.{match.group(4)}"

    block = r"features\.([1-9]\d*)\.(\d+)\.(?:res_unit\.)?"
    return rewrite(
        names,
        [
            (r"features\.0\.(?:conv\.)?conv\.(weight)", r"stem.0.\1"),
            (r"features\.0\.(?:conv\.)?bn\.(\w+)", r"stem.1.\1"),
            (block + r"body\.conv(\d)\.(conv|bn)\.(\w+)", convolution),
            (block + rf"({_either(_GATE)})\.(\w+)", gate),
            (rf"features\.([2-9])\.0\.bam\.({_either(_BAM)})\.(\w+)", bam),
            (r"output\.1\.(weight|bias)", r"head.fc.\1"),
        ],
    )


def untold(names):
    """Where a bottleneck strides, of which it has both."""
    known = {"stride_in": "its resnet50 has '1x1', its resnet50b '3x3'"}
    return known if any_matches(names, r"body\.conv3\.") else {}


def published_names(names, stem_length=2):
    """{our name: theirs}.

    On ImageNet the stem's convolution is a block of its own; BAM's units stand before the stage that they end.
    """
    imagenet = any_matches(names, r"^stages\.3\.")
    bams = {int(m[1]): int(m[2]) for m in (re.match(r"stages\.(\d)\.(\d+)\.channel\.", name) for name in names) if m}
    unit = "res_unit." if bams else ""
    inner = {ours: theirs for theirs, ours in _BAM.items()}
    gates = {ours: theirs for theirs, ours in _GATE.items()}

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


def _either(table):
    return "|".join(re.escape(key) for key in table)


def _depths(names):
    """{stage: blocks in it}, from the names."""
    depths = {}
    for match in (re.match(r"features\.(\d+)\.(\d+)\.", name) for name in names):
        if match:
            stage, block = int(match.group(1)), int(match.group(2))
            depths[stage] = max(depths.get(stage, 0), block + 1)
    return depths
