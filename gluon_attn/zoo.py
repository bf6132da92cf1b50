"""Names -> networks. The names are a product, [cifar_][attention_]backbone, whose tables are in gluon_attn/catalogue/.

This module is pure data until a network is asked for: it imports no framework.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Union

from gluon_attn import _compat, errors, plugins
from gluon_attn.catalogue import spellings
from gluon_attn.catalogue.arguments import checked, plain
from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.catalogue.names import SPECS, Spec
from gluon_attn.files import AnyPath

if TYPE_CHECKING:
    from mxnet.gluon import HybridBlock

__all__ = ["find", "get_model", "list_models", "load_run", "model_info"]


def find(name: str) -> Spec:
    """The Spec of a name (any case, as in GluonCV).

    >>> find("cifar_aff_resnet20").backbone
    'cifar_resnet20'
    """
    if str(name).lower() not in SPECS:
        plugins.load()
    spec = SPECS.get(str(name).lower())
    if spec is None:
        near = spellings.nearest(name, sorted(SPECS, key=_natural))
        remedy = f"A mechanism of your own has names once its module is imported: --import MODULE. {plugins.without()}"
        raise errors.unknown("model", name, SPECS, near=near, remedy=remedy.rstrip())
    return spec


def list_models(
    pattern: Union[str, Iterable[str]] = "*", pretrained: bool = False, exclude: Union[str, Iterable[str]] = ()
) -> List[str]:
    """Names, in natural order; with pretrained=True those that have weights.

    pattern, exclude : a shell pattern, a name, or a word of names ('aff'), in any case; or several of them

    >>> gluon_attn.list_models(["aff_resnet18", "iaff_resnet?8"], exclude="cifar_*")
    ['aff_resnet18', 'iaff_resnet18']
    """
    plugins.load()
    wanted, unwanted = ([words] if isinstance(words, str) else list(words) for words in (pattern, exclude))
    names = spellings.matching(wanted, sorted(SPECS, key=_natural))
    left_out = set(spellings.matching(unwanted, names)) if unwanted else ()
    names = [name for name in names if name not in left_out]
    if pretrained:
        from gluon_attn import weights

        names = [name for name in names if weights.entries(name)]
    return names


def _natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@_compat.mxnet_explained()
def get_model(
    name: str,
    pretrained: Any = False,
    variant: Optional[str] = None,
    classes: Optional[int] = None,
    in_channels: int = 3,
    ctx: Any = None,
    root: Optional[str] = None,
    features: Any = False,
    norm_layer: Any = None,
    norm_kwargs: Optional[Dict[str, Any]] = None,
    use_global_stats: bool = False,
    **arch: Any,
) -> HybridBlock:
    """The network `name`; input (N, in_channels, H, W) float32, normalised; output logits (N, classes).

    Parameters
    ----------
    pretrained : False; True (the default entry); a tag ('openaff', 'imgclsmob', ...); or the path of a file, whose
        classes and architecture are taken from the card beside it, or the classes from the file where it has none
    variant : a tag whose architecture to build without loading anything; by default that of the pretrained tag
    classes, in_channels : other than the file's: everything else is kept
    ctx, root : where pretrained weights go, and the folder they are looked for in
    features : True, or stages by name: the list of their outputs instead of logits (models.network.FeatureNetwork)
    norm_layer, norm_kwargs, use_global_stats : as in GluonCV: a class in place of every BatchNorm, what it (or
        BatchNorm) is given, and BatchNorm in inference mode while training too
    arch : what the backbone documents (gate, fuse, stages, reduction, gating, alpha, ...)

    Without `pretrained` the network comes back uninitialised, as from GluonCV: call `net.initialize()`. With it,
    `net.card` (weights.card.Card) says the classes' names and how pictures are prepared for it.

    >>> net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits")
    >>> net = gluon_attn.get_model("resnet50", gate="se", stages=(3, 4), classes=10)
    """
    spec = find(name)
    _refuse_other_words(arch)
    origin = _origin(spec, pretrained)
    tag = variant if variant is not None else origin.tag if origin else None
    adapt = classes is not None or in_channels != 3
    arguments = {**spec.arch, **_variant_arch(spec, tag), **(origin.arch if origin else {}), **arch}
    norm = norm_layer, {**(norm_kwargs or {}), **({"use_global_stats": True} if use_global_stats else {})}
    build = functools.partial(_build, spec, arguments, norm, in_channels)
    refuse_no_count(in_channels=in_channels)
    if origin:
        arguments.update(origin.fitting(functools.partial(build, spec.classes), arch))
    if classes is None:
        classes = _classes(spec, origin, build)
    refuse_no_count(classes=classes)
    net = build(classes)
    if origin:
        origin.load(net, root=root, ctx=ctx, adapt=adapt)
        net.card = origin.card_for(spec.preprocessing, classes, own_arch(net, spec))
    return net if features is None or features is False else _features(net, features)


def _origin(spec, pretrained):
    """What `pretrained` means, or None; networks without weights need not wait for what reads them."""
    if pretrained in (False, None):
        return None
    from gluon_attn.weights.origin import Origin

    return Origin.of(spec.name, pretrained) or None


def _classes(spec, origin, build):
    """How many there are where nobody says it: as the weights have, else as is usual for the name."""
    if not origin:
        return spec.classes
    return origin.classes or origin.classes_in_file(functools.partial(build, spec.classes)) or spec.classes


def load_run(folder: AnyPath, which: Optional[str] = None, ctx: Any = None, **arch: Any) -> HybridBlock:
    """The network of a run's folder, or of a stored one, with its weights; `net.card` says what it must be fed.

    which : 'best' or 'last'; by default the best where held-out images chose it, else the last: an epoch that was
        chosen on the test images promises too much
    arch : keywords of the network beside those of its card, as in `outputs='all'`

    >>> net = gluon_attn.load_run("runs/cats")
    >>> net.card.classes, net(batch_of(net.card.transform())).argmax(1)
    """
    from gluon_attn.weights.origin import of_run

    found = of_run(folder, which)
    return get_model(found.model, pretrained=found.path, ctx=ctx, **arch)


def own_arch(net: HybridBlock, spec: Spec) -> dict:
    """The keywords of the network beyond what its name says, as a card keeps them: of a class, where it is from.

    >>> own_arch(gluon_attn.get_model("cifar_se_resnet20", reduction=4), find("cifar_se_resnet20"))
    {'reduction': 4}
    """
    usual = plain(spec.arch)
    own = {key: value for key, value in net.zoo_arch.items() if key not in usual or usual[key] != value}
    return {key: _written(value) for key, value in own.items()}


def _written(value):
    """No name of a mechanism has a colon: such a card is for those who give the class."""
    if isinstance(value, tuple):
        return tuple(map(_written, value))
    if not callable(value):
        return value
    return f"{value.__module__}:{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


def _features(net, stages):
    from gluon_attn.models.network import FeatureNetwork

    if stages is not True and not (isinstance(stages, (str, list, tuple)) and stages):
        raise errors.GluonAttnError(f"features={stages!r} names no stage: give True for all, or names as 'stage3'.")
    return FeatureNetwork(net, None if stages is True else stages)


def _refuse_other_words(arch):
    for keyword in arch:
        if keyword in spellings.KEYWORDS:
            raise errors.GluonAttnError(f"get_model takes no {keyword}=: here it is {spellings.KEYWORDS[keyword]}.")


def _build(spec, arguments, norm, in_channels, classes):
    family = spec.load()
    takes = inspect.signature(family).parameters
    # A family with **mechanism names the unknown ones itself: which are known depends on the mechanism.
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        for name in arguments:
            if name not in takes:
                raise errors.unknown(f"argument of {spec.name}", name, takes)
    try:
        own = checked(spec.name, arguments, _of_outsiders(arguments, takes, spec))
        net = family(classes=classes, in_channels=in_channels, **own)
    except (errors.GluonAttnError, MemoryError):
        raise
    except Exception as problem:  # values that are right alone and not together, and what a class from outside raises
        given = {key: value for key, value in arguments.items() if key not in spec.arch or spec.arch[key] != value}
        if not given:
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in given.items())
        raise errors.GluonAttnError(f"{spec.name} cannot be built with {given}: {_first_line(problem)}.") from problem
    net.zoo_arch = own  # load_weights compares it with what a published file was trained for
    if any(norm):
        from gluon_attn.models import norms

        norms.normalise(net, *norm)
    return net


def _of_outsiders(arguments, takes, spec):
    """Keywords of mechanisms that are not the package's, which may mean something else by our words."""
    from gluon_attn.attention.slots import of_outsiders

    found = of_outsiders(arguments)
    for name in found.intersection(takes):
        if arguments.get(name) != spec.arch.get(name):
            raise errors.GluonAttnError(
                f"{name}={arguments[name]!r} would reach the backbone alone, and a class that is given takes {name}=, "
                "too: rename it there."
            )
    return found


def _first_line(problem):
    """MXNet's errors say what is wrong last, below a trace of C++."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [""]
    said = lines[-1] if "MXNet" in type(problem).__name__ else lines[0]
    return f"{type(problem).__name__}: {said[:200]}"


def _variant_arch(spec, tag):
    if tag is None:
        return {}
    if tag in spec.variants:
        return spec.variants[tag]
    from gluon_attn import weights

    published = weights.variants(spec.name)
    if tag not in published:
        raise errors.unknown(f"variant of {spec.name}", tag, [*spec.variants, *published] or ["(none)"])
    return published[tag]


def makers(names: Optional[Iterable[str]] = None) -> Dict[str, Callable]:
    """{name: what makes the network}, of all names or of some: what GluonCV's zoo holds.

    >>> zoo.makers(["resnet18"])["resnet18"](classes=10)
    """
    if names is None:
        plugins.load()
    return {name: functools.partial(get_model, name) for name in (SPECS if names is None else names)}


@dataclass(frozen=True, repr=False)
class ModelInfo:
    """What a network costs and expects, and which weights there are for it."""

    name: str
    parameters: int
    macs: int
    input_size: int
    mean: tuple
    std: tuple
    crop: float
    weights: tuple
    paper: str
    label: str = ""  # what the paper's tables call it, where that is another name
    stages: dict = field(default_factory=dict)  # 'stem', 'stage1', ..., 'head': Complexity

    def as_dict(self):
        """What JSON can hold: numbers, text, lists and objects."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def __str__(self):
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        said = self.paper + (f", which calls it {self.label}" if self.label else "")
        return (
            f"{self.name}{said and f' ({said})'}\n"
            f"  parameters  {self.parameters / 1e6:.3f} M\n"
            f"  MACs        {self.macs / 1e9:.3f} G at {self.input_size} x {self.input_size}\n"
            f"  input       RGB, mean {mean}, std {std}, centre crop {self.crop:g}"
        )

    def __repr__(self):
        tags = ", ".join(entry.tag for entry in self.weights) or "none"
        return (
            f"ModelInfo({self.name!r}: {self.parameters / 1e6:.3f} M parameters, {self.macs / 1e9:.3f} G MACs at "
            f"{self.input_size}, weights: {tags})"
        )


@_compat.mxnet_explained()
def model_info(name: str) -> ModelInfo:
    """ModelInfo of a name: parameters and MACs are counted on the network itself, from shapes.

    >>> gluon_attn.model_info("aff_resnet50").parameters
    30373192
    """
    from gluon_attn import weights
    from gluon_attn.complexity import complexity, stage_complexity

    spec = find(name)
    net = get_model(spec.name)
    cost = complexity(net, spec.input_size)
    expected = spec.preprocessing
    return ModelInfo(
        name=spec.name,
        parameters=cost.parameters,
        macs=cost.macs,
        input_size=spec.input_size,
        mean=expected["mean"],
        std=expected["std"],
        crop=expected["crop_pct"],
        weights=tuple(weights.entries(spec.name)),
        paper=spec.paper,
        label=spec.label,
        stages=stage_complexity(net, spec.input_size),
    )
