"""From arrays with published names into a network: everything is checked before the first parameter is set."""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Container, Dict, Iterator, Mapping, Optional

import numpy as np

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import WeightsError
from gluon_attn.files import AnyPath
from gluon_attn.scoped import quiet
from gluon_attn.weights import layouts as maps
from gluon_attn.weights.adapt import (
    adapt_channels,
    adapt_classes,
    channels_in_words,
    keep_trained_outputs,
    outputs,
    outputs_of_file,
)
from gluon_attn.weights.files import read_arrays, read_file
from gluon_attn.weights.find import verified_bytes
from gluon_attn.weights.fitting import unsaid
from gluon_attn.weights.table import all_published
from gluon_attn.weights.verify import digest

if TYPE_CHECKING:
    from mxnet.gluon import HybridBlock

    from gluon_attn.weights.table import WeightsEntry

log = logging.getLogger("gluon_attn.weights")
_SHOWN = 6
_TOLD = "as its names, or its source's other files, tell"
_LARGEST_PUBLISHED = 600 << 20  # bytes


@mxnet_explained()
def load_weights(
    net: HybridBlock, path: AnyPath, source: Optional[str] = None, ctx: Any = None, adapt: bool = False
) -> None:
    """Load the file `path` into `net`, translating its names.

    source : whose names the file has: 'gluon', 'openaff', 'imgclsmob', 'timm', 'torchvision' or 'abn', as
        `save_weights` calls them; None recognises them
    ctx : where the parameters go, by default where they are, or the CPU
    adapt : let the network's classes and in_channels differ from the file's (a new head is initialised); otherwise
        such a file is an error

    >>> other = gluon_attn.get_model("cifar_aff_resnet20", classes=10)
    >>> load_weights(other, weights.choose("cifar_aff_resnet20", "digits").path)
    """
    data = read_file(path, elements=_elements(net))
    entry = _known(data)
    load_arrays(net, read_arrays(data, path), path, source, ctx, adapt, entry)


def classes_of(net: HybridBlock, path: AnyPath) -> Optional[int]:
    """How many classes the file has, where it fits `net` but for them; else None, and loading says what is wrong.

    net : built for any number of classes

    >>> classes_of(gluon_attn.get_model("cifar_aff_resnet20"), weights.choose("cifar_aff_resnet20", "digits").path)
    10
    """
    arrays = translate(read_arrays(read_file(path), path), where=path)
    return outputs_of_file(net, net._collect_params_with_prefix(), arrays)


def fitting(net: HybridBlock, path: AnyPath, given: Container[str] = ()) -> Dict[str, Any]:
    """{keyword: value} that the network of the file has, and `net` has not, though names and shapes agree.

    given : keywords that somebody has chosen, which are left as they are

    >>> fitting(gluon_attn.get_model("cifar_aff_resnet20"), weights.choose("cifar_aff_resnet20", "digits").path)
    {}
    """
    arrays = read_arrays(read_file(path, elements=_elements(net)), path)
    source = maps.recognise(arrays, path)
    if set(translate(arrays, source, path)) != set(net._collect_params_with_prefix()):
        return {}  # loading says what is wrong
    found = unsaid(net, source, list(arrays))
    told = {key: value for key, value in {**found.told, **found.likely}.items() if key not in given}
    if told:
        log.warning("%s, %s: the network is built with %s", path, _TOLD, _in_words(told))
    return told


def load_pretrained(net: HybridBlock, entry: WeightsEntry, root: Optional[str] = None, ctx: Any = None) -> None:
    """Find, verify and load the entry's file into the network that was built with `entry.arch`.

    >>> load_pretrained(net, weights.choose("cifar_aff_resnet20", "digits"))
    """
    data, path = verified_bytes(entry, root, _elements(net))
    load_arrays(net, read_arrays(data, path), path, entry.source, ctx, True, entry)


def load_arrays(
    net: HybridBlock,
    arrays: Mapping[str, np.ndarray],
    where: str = "the file",
    source: Optional[str] = None,
    ctx: Any = None,
    adapt: bool = False,
    entry: Optional[WeightsEntry] = None,
) -> None:
    """Load {published name: array} into `net`; `entry` is the table's row of the file, where it is known.

    >>> arrays = {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}
    >>> load_arrays(net, arrays)
    """
    source = source or maps.recognise(arrays, where)
    translated = translate(arrays, source, where)
    parameters = net._collect_params_with_prefix()
    _check_names(parameters, translated, where)
    if entry is not None:
        translated = keep_trained_outputs(translated, entry)
        _check_entry(net, entry, where, adapt)
    else:
        _check_fit(net, source, list(arrays), where)
    fresh, other = set(), ""
    if adapt:
        adapted = adapt_channels(parameters, translated)
        other = channels_in_words(translated, adapted, where)
        translated, fresh = adapted, adapt_classes(net, parameters, adapted)
    translated = _shaped(parameters, translated, fresh, where)
    _check_values(translated, where, parameters)
    _assign(parameters, translated, fresh, ctx)
    log.info("%d parameters from %s", len(translated), where)
    if other:
        log.warning("%s", other)
    if fresh:
        log.warning("new, untrained: %s (%s has another number of classes)", ", ".join(sorted(fresh)), where)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it nothing is said of what is new: of a second copy of a network it has been said.

    >>> with quietly():
    ...     load_weights(net, weights.choose("cifar_aff_resnet20", "digits").path)
    """
    with quiet(log):
        yield


def translate(
    arrays: Mapping[str, np.ndarray], source: Optional[str] = None, where: str = "the file"
) -> Dict[str, np.ndarray]:
    """{our name: array}; every tensor of the file is used or deliberately unused.

    >>> list(translate({"conv1.weight": np.zeros((64, 3, 7, 7))}, "timm"))
    ['stem.0.weight']
    """
    source = source or maps.recognise(arrays, where)
    names = maps.key_map(source, arrays)
    unknown = [name for name in arrays if name not in names]
    if unknown:
        raise WeightsError(f"{where}: no place is known for {_some(unknown)} (read as a file of {source!r}).")
    translated = {}
    for name, ours in names.items():
        if ours in translated:
            raise WeightsError(f"{where}: {name!r} and another tensor are both {ours!r}.")
        if ours is not None:
            translated[ours] = arrays[name]
    return translated


def identify(path: AnyPath) -> Optional[WeightsEntry]:
    """The table's row for the file `path`, known by its hash wherever it lies, or None.

    >>> identify("aff_resnet50.params").tag
    'openaff'
    """
    path = Path(path).expanduser()
    return None if path.is_file() and path.stat().st_size > _LARGEST_PUBLISHED else _known(read_file(path))


def _known(data):
    digests = {}
    for entry in all_published():
        if entry.hash is not None:
            if entry.hash_kind not in digests:
                digests[entry.hash_kind] = digest(entry.hash_kind, data)
            if digests[entry.hash_kind] == entry.hash:
                return entry
    return None


def _elements(net):
    """How many numbers the network has; None where a shape waits for the first image."""
    parameters = net._collect_params_with_prefix().values() if net is not None else ()
    sizes = [math.prod(parameter.shape or (0,)) for parameter in parameters]
    return sum(sizes) if sizes and all(size > 0 for size in sizes) else None


def _check_entry(net, entry, where, adapt):
    """What the shapes do not show: an architecture of equal shapes, labels of another kind."""
    built = getattr(net, "zoo_arch", entry.arch)
    other = {key: value for key, value in entry.arch.items() if built.get(key) != value}
    if other:
        raise WeightsError(
            f"{where} was trained with {other}, which this network was not built with though the shapes agree: "
            f"get_model({entry.model!r}, variant={entry.tag!r})."
        )
    classes = outputs(net)
    if classes not in (None, entry.classes) and not adapt:
        raise WeightsError(
            f"{where} was trained on the {entry.classes} classes of {entry.dataset}, the network has {classes}: "
            f"build it with classes={entry.classes}, or let get_model(..., pretrained=..., classes={classes}) "
            "give it a new head."
        )


def _check_fit(net, source, names, where):
    """As above, of a file that the table does not know."""
    found = unsaid(net, source, names)
    if found.told:
        given = _in_words(found.told)
        raise WeightsError(
            f"{where} is for a network with {given}, as its names tell, and this one was not built with it, though "
            f"names and shapes agree: get_model(..., {given})."
        )
    if found.likely:
        given = _in_words(found.likely)
        log.warning(
            "%s: other files of %r are for networks with %s, and this one was not built with it, though names and "
            "shapes agree: get_model(..., %s) is what they mean",
            where,
            source,
            given,
            given,
        )
    for key, choice in found.left_open.items():
        log.warning(
            "%s, a file of %r, does not tell its network's %s=: %s. get_model takes it", where, source, key, choice
        )


def _in_words(told):
    return ", ".join(f"{key}={value!r}" for key, value in told.items())


def _check_names(parameters, translated, where):
    missing = [name for name in parameters if name not in translated]
    extra = [name for name in translated if name not in parameters]
    if missing or extra:
        raise WeightsError(
            f"{where} does not fit this network. Missing in the file: {_some(missing)}. "
            f"Without a place in the network: {_some(extra)}. Is it for another model, or another variant= of it?"
        )


def _shaped(parameters, translated, fresh, where):
    """The arrays in the parameters' shapes; a Dense layer's matrix serves a 1x1 convolution."""
    shaped, wrong = {}, []
    for name, array in translated.items():
        wanted = tuple(parameters[name].shape)
        if name in fresh:
            continue
        if _trimmed(array.shape) != _trimmed(wanted):
            wrong.append(f"{name} {array.shape} for {wanted}")
        else:
            shaped[name] = array.reshape(wanted)
    if wrong:
        hint = "classes= or in_channels= of get_model" if all("head" in w or "stem" in w for w in wrong) else "variant="
        raise WeightsError(f"{where} has other shapes than the network: {_some(wrong)}. See {hint}.")
    return shaped


def _trimmed(shape):
    shape = tuple(shape)
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _check_values(translated, where, parameters):
    """A NaN would spread in silence, and so would a negative variance, or what the parameter's type has no room for."""
    other = [f"{name} ({array.dtype})" for name, array in translated.items() if array.dtype.kind != "f"]
    if other:
        raise WeightsError(f"{where} holds values that are no floating-point numbers: {_some(other)}.")
    with np.errstate(over="ignore"):
        taken = {name: np.asarray(array, parameters[name].dtype) for name, array in translated.items()}
    broken = [name for name, array in taken.items() if not np.isfinite(array).all()]
    broken += [name for name, array in translated.items() if name.endswith("running_var") and (array < 0).any()]
    if broken:
        raise WeightsError(f"{where} holds NaN, infinite or impossible values in {_some(broken)}: it is damaged.")


def _assign(parameters, translated, fresh, ctx):
    import mxnet as mx

    for name, parameter in parameters.items():
        initialised = parameter._data is not None
        where = parameter.list_ctx() if initialised else (ctx or mx.cpu())
        if name not in fresh:
            array = np.asarray(translated[name], dtype=parameter.dtype)
            parameter._load_init(mx.nd.array(array, dtype=parameter.dtype), where, cast_dtype=True)
        elif not initialised:
            parameter.initialize(ctx=where)
        if initialised and ctx is not None:
            parameter.reset_ctx(ctx)


def _some(names):
    shown = ", ".join(names[:_SHOWN])
    return (shown or "nothing") + (f", ... ({len(names)} in all)" if len(names) > _SHOWN else "")
