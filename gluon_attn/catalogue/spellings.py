"""How other zoos spell our names, and which names a word means. Pure data: this module imports no framework."""

from __future__ import annotations

import difflib
import fnmatch
import re
from typing import Iterable, List, Sequence

# What others put before, behind or in a name, which ours say by no word: timm's releases and training tags, GluonCV's
# v1b (the strides that every network here has) and v1d.
_TAG = r"\.[a-z0-9_]+$"
_SOURCES = r"^(legacy|gluon|tv|tf|timm|ssl|swsl)_"
_REWRITTEN = (
    (r"_?v1d\b|_?v1d(?=_)", "d"),
    (r"_v1[bs]?(?=_|$)", ""),
    (r"_v2(?=_|$)", ""),
    (r"wide_?resnet(?=\d)", "wrn"),
    (r"^(?!cifar)(.*)_cifar100?$", r"cifar_\1"),
    (r"^msca(?=_)", "ms_cam"),
    (r"^invse(?=_)", "inv_se"),
)


def nearest(name: str, names: Iterable[str], most: int = 3) -> List[str]:
    """The names that a word is likely to mean, the best first.

    >>> nearest("seresnet50", SPECS), nearest("cbam", SPECS, 1)
    (['se_resnet50'], ['cbam_resnet18'])
    """
    names = list(names)
    word = re.sub(_SOURCES, "", re.sub(_TAG, "", str(name).lower().strip()))
    for pattern, ours in _REWRITTEN:
        word = re.sub(pattern, ours, word)
    squeezed = _squeezed(word)
    if not squeezed:
        return []
    same = [known for known in names if _squeezed(known) == squeezed]
    # Where one is as good as the other, short names come first: fewer words that nobody asked for.
    begun = sorted((known for known in names if known.startswith(word)), key=lambda known: (len(known), known))
    if same or begun:
        return (same or begun)[:most]
    # Another size or form of the same attention is nearer than another attention with the same size.
    close = difflib.get_close_matches(squeezed, {_squeezed(known) for known in names}, n=1, cutoff=0.75)
    close = [known for hit in close for known in names if _squeezed(known) == hit]
    return close[:1] or sorted(with_word(word, names), key=len)[:most]


def _squeezed(name):
    return re.sub(r"[^a-z0-9]", "", name)


def matching(patterns: Sequence[str], names: Iterable[str]) -> List[str]:
    """The names that any of the patterns matches, in any case: shell patterns, whole names, or words of names.

    >>> matching(["*AFF_resnet18", "resnet18"], SPECS)
    ['resnet18', 'aff_resnet18', 'iaff_resnet18']
    """
    names = list(names)
    found = set()
    for pattern in patterns:
        pattern = pattern.lower()
        if re.search(r"[*?\[]", pattern):
            found.update(fnmatch.filter(names, pattern))
        else:
            found.update([pattern] if pattern in names else with_word(pattern, names))
    return [name for name in names if name in found]


def with_word(word: str, names: Iterable[str]) -> List[str]:
    """The names that have the word at the beginning of one of their parts, or else anywhere.

    >>> with_word("aff", ["aff_resnet50", "iaff_resnet50", "cifar_aff_resnet20"])
    ['aff_resnet50', 'cifar_aff_resnet20']
    """
    names, word = list(names), word.lower()
    begins = [name for name in names if re.search(rf"(^|_){re.escape(word)}", name)]
    return begins or [name for name in names if word in name]


# What timm, torchvision and GluonCV call an argument of get_model, with what it is here.
KEYWORDS = {
    "num_classes": "classes=",
    "nclass": "classes=",
    "in_chans": "in_channels=",
    "in_channel": "in_channels=",
    "features_only": "features=True",
    "out_indices": "features=('stage1', 'stage3'), the names of the stages",
    "drop_rate": "dropout=, where the network has any (the wide ResNet and DenseNet)",
    "dilated": "output_stride=8",
    "checkpoint_path": "pretrained=FILE",
    "weights": "pretrained=",
    "zero_init_last": "last_gamma=True",
    "zero_init_residual": "last_gamma=True",
    "use_se": "the name: se_resnext50_32x4d",
    "attn_layer": "gate=",
}
# What timm calls a function of ours.
FUNCTIONS = {
    "create_model": "get_model(name, pretrained=..., classes=..., in_channels=..., features=...)",
    "list_pretrained": "list_models(pretrained=True)",
    "list_modules": "list_gates(), list_fuses() and list_stages()",
    "is_model": "name in list_models()",
    "pretrained_model_list": "list_models(pretrained=True)",
    "get_model_list": "list_models()",
    "create_attn": "create_gate(name, channels)",
}
