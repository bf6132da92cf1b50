"""timm's ResNets (and torchvision's, whose names they keep): in PyTorch gamma and beta are weight and bias."""

from __future__ import annotations

from gluon_attn.weights.layouts.rewrite import any_matches, rewrite, torch_leaf

SUFFIX = ".safetensors"
COUNTS_BATCHES = True
_STATISTIC = ".running_mean"
_NORM = {"weight": "gamma", "bias": "beta"}
_GATE = {"fc1": "gate.mlp.0", "fc2": "gate.mlp.2", "conv": "gate.conv"}


def recognises(names):
    stem = "conv1.weight" in names or "conv1.0.weight" in names
    return stem and "layer1.0.bn1.weight" in names and "att_conv.weight" not in names


def key_map(names):
    norms = {name[: -len(_STATISTIC)] for name in names if name.endswith(_STATISTIC)}
    deep = any_matches(names, r"^conv1\.6\.")

    def leaf(layer, parameter):
        return _NORM.get(parameter, parameter) if layer in norms else parameter

    def stem(match):
        layer, parameter = match.group(0).rpartition(".")[::2]
        position = layer[len("conv1.") :] or "0" if layer.startswith("conv1") else ("7" if deep else "1")
        return f"stem.{position}.{leaf(layer, parameter)}"

    def block(match):
        layer, parameter = match.group(0).rpartition(".")[::2]
        return f"stages.{int(match[1]) - 1}.{match[2]}.{_inside(match[3])}.{leaf(layer, parameter)}"

    return rewrite(
        names,
        [
            (r".*\.num_batches_tracked", None),
            (r"(?:conv1|conv1\.\d|bn1)\.\w+", stem),
            (r"layer([1-4])\.(\d+)\.(conv\d|bn\d|downsample\.\d|se\.(?:fc1|fc2|conv))\.\w+", block),
            (r"fc\.(weight|bias)", r"head.fc.\1"),
        ],
    )


def published_names(names, stem_length=2):
    """{our name: theirs}, whatever the length of the stem."""
    deep = any_matches(names, r"^stem\.6\.")

    def body(match):
        at, leaf = int(match[3]), torch_leaf(match[4])
        return f"layer{int(match[1]) + 1}.{match[2]}.{'conv' if at % 3 == 0 else 'bn'}{at // 3 + 1}.{leaf}"

    def stem(match):
        at, leaf = int(match[1]), torch_leaf(match[2])
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
                lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample.{m[3]}.{torch_leaf(m[4])}",
            ),
            (
                rf"stages\.(\d)\.(\d+)\.({'|'.join(gates)})\.(\w+)",
                lambda m: f"layer{int(m[1]) + 1}.{m[2]}.{gates[m[3]]}.{m[4]}",
            ),
            (r"head\.fc\.(\w+)", r"fc.\1"),
        ],
    )


def _inside(layer):
    kind, _, rest = layer.partition(".")
    if kind == "se":
        return _GATE[rest]
    if kind == "downsample":
        return f"shortcut.{rest}"
    return f"body.{3 * int(kind[-1]) - (3 if kind[:-1] == 'conv' else 2)}"
