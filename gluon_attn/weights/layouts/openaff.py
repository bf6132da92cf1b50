"""open-aff (and GluonCV's resnet*_v1b, whose names its ResNets keep): seven layouts in three spellings.

Stages are `layer1..4` (ResNet), or the `features` from the first that has blocks (ResNeXt, CIFAR); what comes before is
the stem, and the one after the stages, in the pre-activation network, the last BatchNorm.
"""

from __future__ import annotations

from gluon_attn.weights.layouts.rewrite import STAGE, any_matches, first_stage, rewrite

SUFFIX = ".params"
COUNTS_BATCHES = False
_BLOCK = r"features\.(\d+)\.\d+\.(?:body|resfwd|downsample|attention)\."
_LAYER = r"layer[1-4]\.\d+\.(?:conv|bn)\d\.(?:weight|gamma)"


def recognises(names):
    return any_matches(names, r"\.gamma$") and any_matches(names, rf"^(?:{_BLOCK}\d|{_LAYER}$|{_BLOCK}local_att)")


def key_map(names):
    first = first_stage(names, _BLOCK)
    iterative = any_matches(names, r"attention\.local_att2\.")

    def stage(match):
        number = int(match.group(1)) - (first if match.group(0).startswith("features") else 1)
        return f"stages.{number}.{match.group(2)}.{_inside(match.group(3), iterative)}"

    def outside(match):
        """A layer of `features` that is no stage: before them the stem, behind them the head's BatchNorm."""
        number, rest = int(match.group(1)), match.group(2)
        return f"stem.{number}.{rest}" if number < first else f"head.norm.0.{rest}"

    return rewrite(
        names,
        [
            (r"conv1\.(\d+\.\w+)", r"stem.\1"),
            (r"conv1\.weight", "stem.0.weight"),
            (r"bn1\.(\w+)", "stem.7." + r"\1" if any_matches(names, r"^conv1\.6\.") else r"stem.1.\1"),
            (r"(?:layer|features\.)(\d+)\.(\d+)\.(.+)", stage),
            (r"features\.(\d+)\.(\w+)", outside),
            (r"(?:fc|output)\.(weight|bias)", r"head.fc.\1"),
        ],
    )


def told(names):
    """GluonCV's CIFAR ResNets have a convolution and a BatchNorm before their stages; a ReLU would be counted."""
    return {"stem": "linear"} if first_stage(names, _BLOCK) == 2 and "features.0.weight" in names else {}


def published_names(names, stem_length=2):
    """{our name: theirs}.

    ResNets of ImageNet as `layer1..4`, everything else as `features`, whose body is `resfwd` before activation.
    """
    # Only the grouped and the pre-activated count `features`; a grouped bottleneck has narrow weights, which names do
    # not show, so that the caller says it by the length of the stem (0: `layer`).
    if stem_length == 0:
        return _as_layers(names)
    last = 1 + max(int(m[1]) for m in map(STAGE.match, names) if m)
    body = "resfwd" if any_matches(names, r"^head\.norm\.") else "body"

    def place(match):
        return f"features.{int(match[1]) + stem_length}.{match[2]}"

    rules = [
        (r"stem\.(\d+)\.(\w+)", r"features.\1.\2"),
        (r"stages\.(\d)\.(\d+)\.body\.(\d)\.(\w+)", lambda m: f"{place(m)}.{body}.{m[3]}.{m[4]}"),
        (r"head\.norm\.0\.(\w+)", rf"features.{stem_length + last}.\1"),
        (r"head\.fc\.(\w+)", r"output.\1"),
    ]
    return rewrite(names, [*rules, *_in_blocks(place)])


def _as_layers(names):
    deep = any_matches(names, r"^stem\.6\.")

    def place(match):
        return f"layer{int(match[1]) + 1}.{match[2]}"

    def inside(match):
        at = int(match[3])
        return f"{place(match)}.{'conv' if at % 3 == 0 else 'bn'}{at // 3 + 1}.{match[4]}"

    def stem(match):
        if deep and match[1] != "7":
            return f"conv1.{match[1]}.{match[2]}"
        return f"{'conv1' if match[1] == '0' else 'bn1'}.{match[2]}"

    rules = [
        (r"stem\.(\d+)\.(\w+)", stem),
        (r"stages\.(\d)\.(\d+)\.body\.(\d)\.(\w+)", inside),
        (r"head\.fc\.(\w+)", r"fc.\1"),
    ]
    return rewrite(names, [*rules, *_in_blocks(place)])


def _in_blocks(place):
    """The rules that both spellings have; place : match -> their name of stage and block."""

    def fuse(match):
        return f"{place(match)}.attention.{match[4]}_att{'2' if match[3] == 'second' else ''}.{match[5]}"

    yield r"stages\.(\d)\.(\d+)\.shortcut\.(.+)", lambda m: f"{place(m)}.downsample.{m[3]}"
    yield r"stages\.(\d)\.(\d+)\.fuse\.(context|first|second)\.(local|global)_branch\.(.+)", fuse


def _inside(name, iterative):
    """The name of a tensor within its block."""
    context = {"": "fuse.first", "2": "fuse.second"} if iterative else {"": "fuse.context"}
    rules = [
        (r"conv(\d)\.(\w+)", lambda m: f"body.{3 * int(m.group(1)) - 3}.{m.group(2)}"),
        (r"bn(\d)\.(\w+)", lambda m: f"body.{3 * int(m.group(1)) - 2}.{m.group(2)}"),
        (r"(?:body|resfwd)\.(\d+\.\w+)", r"body.\1"),
        (r"se\.(\d\.\w+)", r"gate.mlp.\1"),
        (r"downsample\.(\d+\.\w+)", r"shortcut.\1"),
        (r"attention\.(local|global)_att(2?)\.(.+)", lambda m: f"{context[m[2]]}.{m[1]}_branch.{m[3]}"),
    ]
    return rewrite([name], rules).get(name, name)
