"""`net.output` and `net.features`, as GluonCV's networks have them: net(x) = net.output(net.features(x)).

>>> net = gluon_attn.get_model("cifar_resnet20", pretrained=path)
>>> net.output = nn.Dense(3)
>>> net.output.initialize()

The output is a layer within the head (`head.fc`, say) and stays there: parameters keep their names. The features are
the network itself, with all its parameters but the output's, in which that layer does nothing.
"""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Optional

from mxnet.gluon import nn

from gluon_attn.errors import GluonAttnError

_FEATURES = weakref.WeakKeyDictionary()  # {network: (the parts that they are made of, its features)}


class NoOutput(GluonAttnError, AttributeError):
    """A network of which no single layer is the output."""


@dataclass(frozen=True)
class Before:
    """What `features` know of the network that they are of."""

    path: str  # of the layer that does nothing there
    width: Optional[int]  # of what that layer takes
    classes: Optional[int]


def output_of(net):
    """The layer that makes the logits of the features; NoOutput where there is no such one."""
    *owners, name = _owners(net)
    return owners[-1]._children[name]


def put_output(net, layer):
    """Replace it, for other classes."""
    *owners, name = _owners(net)
    old = owners[-1]._children[name]
    if not isinstance(layer, nn.HybridBlock):
        raise GluonAttnError(
            f"net.output takes a HybridBlock that makes logits of the features, such as nn.Dense(10), not {layer!r}."
        )
    _check_other_logits(net, _units(old), _units(layer))
    _fit(layer, _width(old))
    _register(owners[-1], layer, name)
    for owner in owners:
        owner._clear_cached_op()
    net.classes = _units(layer)
    _rename_classes(net)


def features_of(net):
    """A network whose output does nothing: x -> what the output layer of `net` takes, (N, C)."""
    layer = output_of(net)
    parts = [net.stem, net.stages, net.branch, net.head, layer]
    known = _FEATURES.get(net)
    if known is None or any(a is not b for a, b in zip(known[0], parts)):
        view = _twin(net)
        view.outputs, view.before = "logits", Before(net.output_at, _width(layer), _units(layer))
        _replace(view, nn.HybridLambda("identity"))
        view.output_at = ""
        known = _FEATURES[net] = (parts, view)
    return known[1]


def put_features(net, view):
    """Give the network all of another one but its output."""
    before, layer = getattr(view, "before", None), output_of(net)
    if before is None:
        raise GluonAttnError(
            "net.features takes the `features` of another network of gluon_attn: for another trunk build it by name, "
            "get_model(name, classes=...)."
        )
    _check_other_logits(view, before.classes, _units(layer))
    _fit(layer, before.width)
    net._children.pop("branch", None)
    net.__dict__.pop("branch", None)
    for name in ("stem", "stages", "branch", "head"):
        if getattr(view, name) is not None:
            _register(net, getattr(view, name), name)
    for name in ("reads", "gives", "trained", "losses", "frames"):
        setattr(net, name, getattr(view, name))
    for name in ("card", "zoo_arch"):
        if hasattr(view, name):
            setattr(net, name, getattr(view, name))
    if net.gives == ("logits",):
        net.outputs = "logits"
    net.output_at = before.path
    _replace(net, layer)
    _rename_classes(net)


def _owners(net):
    """net, its head, the blocks on the way to the output, and the output's name in the last of them."""
    if not net.output_at:
        raise NoOutput(
            f"No single layer of this {type(net).__name__} makes its logits of features, so it has no `output` and no "
            "`features`: build it with get_model(name, classes=...), which keeps all other weights of pretrained=."
        )
    found = [net, net.head]
    *path, name = net.output_at.split(".")
    for step in path:
        found.append(found[-1]._children[step])
    return (*found, name)


def _replace(net, layer):
    """Put the layer in the output's place, in copies of the blocks on the way there: another network has them, too."""
    *path, name = ["head", *net.output_at.split(".")]
    owner = net
    for step in path:
        child = _twin(owner._children[step])
        _register(owner, child, step)
        owner = child
    _register(owner, layer, name)


def _register(owner, child, name):
    """Without Gluon's demand that the type stays the same."""
    owner.register_child(child, name)
    if name in owner.__dict__ or not name.isdigit():
        object.__setattr__(owner, name, child)
    owner._clear_cached_op()


def _twin(block):
    """A block of the same children and parameters, whose children can be replaced."""
    twin = copy.copy(block)
    for name in ("_children", "_forward_hooks", "_forward_pre_hooks"):
        twin.__dict__[name] = OrderedDict(block.__dict__[name]) if name == "_children" else OrderedDict()
    twin._clear_cached_op()
    return twin


def _check_other_logits(net, before, classes):
    """An attention branch classifies, too: its classes cannot be others."""
    others = [name for name in net.trained if name != "logits"]
    if others and (classes is None or classes != before):
        raise GluonAttnError(
            f"This network's {', '.join(others)} are of {before} classes, which another output would not change: build "
            f"it with get_model(name, classes={classes or '...'}), which keeps all other weights of pretrained=."
        )


def _fit(layer, width):
    """Tell a Dense layer how many features it takes, so that its shapes are known before the first image."""
    first = _dense(layer, 0)
    if first is None or width is None:
        return
    units, given = first.weight.shape
    if given not in (0, width):
        raise GluonAttnError(f"net.output takes {given} features; this network gives {width}: leave out in_units.")
    first.weight.shape = (units, width)
    first.weight._finish_deferred_init()


def _width(layer):
    """How many features the layer takes, where it says so."""
    first = _dense(layer, 0)
    return first and (first.weight.shape[1] or None)


def _units(layer):
    """How many classes the layer gives, where it says so."""
    last = _dense(layer, -1)
    return last and last.weight.shape[0]


def _dense(layer, end):
    """The first (0) or last (-1) layer of a sequence, where it is a Dense one."""
    while isinstance(layer, nn.HybridSequential) and len(layer):
        layer = layer[end]
    return layer if isinstance(layer, nn.Dense) else None


def _rename_classes(net):
    """The card of the weights no longer says what the outputs mean."""
    if hasattr(net, "card"):
        if net.classes is None:
            del net.card
        else:
            net.card = net.card.but(classes=[f"class {number}" for number in range(net.classes)])
