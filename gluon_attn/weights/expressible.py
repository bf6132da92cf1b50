"""Whether the library behind a format of weights could build a network: names and shapes alone do not tell it."""

from __future__ import annotations

import inspect

from gluon_attn.catalogue.arguments import checked, taken_by
from gluon_attn.catalogue.names import SPECS
from gluon_attn.errors import WeightsError
from gluon_attn.weights.table import all_published

_WIDTHS = (64, 128, 256, 512)
# How a training starts and what the network gives out: the function and the names of its parameters are the same.
_NO_FORM = ("last_gamma", "outputs")
_REMEDY = (
    "save it with format='gluon', or take it to PyTorch whole (deploy.to_torch, `gluon-attn export --format torch`)"
)


def refuse_what_it_lacks(net, format):
    """WeightsError where the library of the files of `format` has no such network.

    >>> refuse_what_it_lacks(get_model("resnet18", last_gamma=True), "timm")
    """
    given = getattr(net, "zoo_arch", None)
    if given is None:
        raise WeightsError(f"format={format!r} is for networks of gluon_attn.get_model; this one has no name there.")
    arch = form(type(net), given)
    if format in _RESNETS:
        fits = _is_resnet(net) and _RESNETS[format](arch)
    else:
        fits = any(same_form(net, arch, entry) for entry in all_published() if entry.source == format)
    if not fits:
        raise WeightsError(f"{format!r} has no network with {given}, whatever its names: {_REMEDY}.")
    if format == "timm":
        _refuse_other_rounding(net)


def form(family, arch):
    """The keywords that make the function, in one form: tuples for lists, one value for equal ones, no defaults.

    >>> form(ResNet, {"layers": [2, 2, 2, 2], "gate": "se", "reduction": (16, 16, 16, 16), "outputs": "all"})
    {'layers': (2, 2, 2, 2), 'gate': 'se'}
    """
    found = {key: _one(key, value) for key, value in checked("", arch, free=arch).items()}  # wrong ones were not built
    usual = _defaults(family, found)
    if found.get("stages") and len(found["stages"]) == len(found.get("layers", ())):
        found["stages"] = None  # everywhere
    return {key: value for key, value in found.items() if key not in _NO_FORM and usual.get(key) != [value]}


def _one(key, value):
    """One value where every stage has the same."""
    takes = taken_by(key)
    staged = isinstance(value, tuple) and value and takes is not None and takes.staged
    return value[0] if staged and value.count(value[0]) == len(value) else value


def _defaults(family, arch):
    """{keyword: [its default]} of a family and of what is in its slots; several where these do not agree."""
    from gluon_attn.attention.slots import PLACES, made_by

    found = _add_defaults({}, family)
    chosen = {slot: arch.get(slot, *found.get(slot, [None])) for slot in PLACES}
    for slot, mechanism in chosen.items():
        if mechanism is not None:
            _add_defaults(found, made_by(slot, mechanism))
    return found


def _add_defaults(found, made):
    for parameter in inspect.signature(made).parameters.values():
        values = found.setdefault(parameter.name, [])
        if parameter.default is not parameter.empty and parameter.default not in values:
            values.append(parameter.default)
    return found


def same_form(net, arch, entry):
    """Whether the entry's network is of that family and form, depth and classes aside."""
    spec = SPECS[entry.model]
    if _family(net) != spec.family:
        return False
    theirs = form(type(net), {**spec.arch, **entry.arch})
    return {**arch, "layers": None} == {**theirs, "layers": None}


def _family(net):
    return f"{type(net).__module__}:{type(net).__name__}"


def _is_resnet(net):
    return _family(net) == SPECS["resnet50"].family


def _of_torchvision(arch):
    known = set(arch) <= {"layers", "widths", "block", "groups", "group_width"}
    return known and len(arch["layers"]) == 4 and arch["widths"] == _WIDTHS and arch.get("block") in (None, "basic")


def _of_timm(arch):
    """As torchvision's, with other widths, a gate, the deep stem and the pooling shortcut of the `d` form."""
    own = {"stem", "stem_widths", "shortcut", "gate", "round_to"}
    plain = {key: value for key, value in arch.items() if key not in own}
    around = arch.get("shortcut") in (None, "avg") and arch.get("gate") in (None, "se", "eca")
    return around and _is_stem_of_timm(arch) and _of_torchvision({**plain, "widths": _WIDTHS})


def _is_stem_of_timm(arch):
    if arch.get("stem") != "deep":
        return not {"stem", "stem_widths"} & set(arch)
    first, second, third = arch["stem_widths"]
    return third == 2 * second and first in (second, second // 4 * 3)  # its 'deep' and 'deep_tiered'


_RESNETS = {"timm": _of_timm, "torchvision": _of_torchvision}


def _refuse_other_rounding(net):
    from gluon_attn.attention.se import squeezed

    for name, parameter in net._collect_params_with_prefix().items():
        if name.endswith("gate.mlp.0.weight"):
            inner, channels = parameter.shape[:2]
            rounded = squeezed(channels, 16, round_to=8)
            if inner != rounded:
                raise WeightsError(
                    f"timm's SE has {rounded} inner channels for {channels}, this network's {inner}: train it with "
                    f"round_to=8, or {_REMEDY}."
                )
