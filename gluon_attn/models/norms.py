"""GluonCV's `norm_layer`, `norm_kwargs` and `use_global_stats` for any network: its BatchNorms, replaced in place.

Names of parameters stay: a network with another normalisation that has the same arrays loads the same files.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Iterator, Mapping, Optional

from mxnet.gluon import nn

from gluon_attn.attention.slots import called
from gluon_attn.errors import GluonAttnError, unknown


def blocks(net) -> Iterator:
    """`net` and all blocks below it."""
    yield net
    for child in net._children.values():
        yield from blocks(child)


def replace(net, make: Callable):
    """Put `make(norm)` in the place of every BatchNorm below `net`."""
    for parent in list(blocks(net)):
        for name, child in list(parent._children.items()):
            if type(child) is not nn.BatchNorm:
                continue
            made = parent._children[name] = make(child)
            for role, parameter in made._reg_params.items():  # a rate of 0, say: the offset on a picture
                replaced = child._reg_params.get(role, parameter)
                parameter.lr_mult, parameter.wd_mult = replaced.lr_mult, replaced.wd_mult
            if getattr(parent, name, None) is child:
                object.__setattr__(parent, name, made)


def infer(net):
    """The BatchNorms of `net` use and keep their running statistics, in training too."""
    for block in blocks(net):
        if isinstance(block, nn.BatchNorm):
            block._kwargs["use_global_stats"] = True


def normalise(net, norm_layer: Optional[Callable] = None, norm_kwargs: Optional[Mapping[str, Any]] = None):
    """Every BatchNorm as a `norm_layer(in_channels=..., **norm_kwargs)`, as GluonCV's networks take it.

    A layer that takes them gets epsilon, momentum, scale and center of the one it replaces, where norm_kwargs does not
    say otherwise.
    """
    layer, given = norm_layer or nn.BatchNorm, dict(norm_kwargs or {})
    if not callable(layer):
        raise GluonAttnError(f"norm_layer={layer!r} is no class: give gluon.nn.GroupNorm or gluoncv.nn.GroupNorm.")
    takes, name = _arguments(layer), called(layer)
    for key in given:
        if key not in takes:
            raise unknown(f"argument of norm_layer={name}:", key, takes)

    def make(norm):
        own = dict(
            in_channels=norm.gamma.shape[0],
            epsilon=norm._kwargs["eps"],
            momentum=norm._kwargs["momentum"],
            scale=not norm._kwargs["fix_gamma"],
            center=norm.beta.grad_req != "null",
            gamma_initializer=norm.gamma.init,  # zeros, with last_gamma
        )
        own = {key: value for key, value in own.items() if key in takes}
        try:
            made = layer(**{**own, **given})
        except (TypeError, ValueError, AssertionError) as problem:
            raise GluonAttnError(f"norm_layer={name} with {given} cannot be built: {problem}.") from problem
        _refuse_groups(made, norm.gamma.shape[0])
        return made

    replace(net, make)


def _refuse_groups(norm, channels):
    """Gluon's GroupNorm is not told the channels, and would refuse every image instead."""
    groups = getattr(norm, "_num_groups", 1) if isinstance(norm, nn.GroupNorm) else 1
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise GluonAttnError(
            f"num_groups={groups} does not divide the {channels} channels of one of the network's BatchNorms: give a "
            "divisor of all its widths, or norm_layer=gluon.nn.InstanceNorm for groups of one channel."
        )


def _arguments(layer):
    """Names that the layer takes; of a class that passes the rest on (**kwargs), its base's as well."""
    names = []
    for cls in inspect.getmro(layer) if inspect.isclass(layer) else (layer,):
        parameters = inspect.signature(cls).parameters.values()
        names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters) or cls in (nn.BatchNorm, nn.HybridBlock):
            break
    return names
