"""What is kept where a network has other classes or input channels than the file: everything but the new head."""

from __future__ import annotations

import numpy as np

HEAD = ("head.fc.weight", "head.fc.bias")


def outputs(net):
    """The number of classes that the network has, or None of a block that does not know it."""
    return getattr(net, "classes", None)


def outputs_of_file(net, parameters, translated):
    """The number of classes of a file's tensors, or None where they do not fit the network but for its classes."""
    if set(parameters) != set(translated):
        return None
    found = {pair for name in _of_outputs(parameters) for pair in _differences(translated[name], parameters[name])}
    ours = outputs(net)
    theirs = {a for a, b in found if b == ours}
    return ours if not found else theirs.pop() if len(theirs) == 1 else None


def keep_trained_outputs(translated, entry):
    """Drop the outputs that a file has beyond the classes it was trained on (20 super-classes in a head of 100)."""
    if entry.file_classes is None:
        return translated
    kept = dict(translated)
    for name in HEAD:
        kept[name] = translated[name][: entry.classes]
    return kept


def adapt_classes(net, parameters, translated):
    """Names of the parameters that must be made anew, because one of their axes is the number of classes."""
    axis = outputs_of_file(net, parameters, translated), outputs(net)
    return {name for name in _of_outputs(parameters) if set(_differences(translated[name], parameters[name])) == {axis}}


def _of_outputs(parameters):
    """Names of those that can have an axis of classes."""
    return [name for name in parameters if name.startswith(("head.", "branch."))]


def _differences(array, parameter):
    """(its length in the file, its length in the network) of the axes that differ, of arrays of as many axes."""
    theirs, ours = tuple(array.shape), tuple(parameter.shape)
    return [(a, b) for a, b in zip(theirs, ours) if a != b] if len(theirs) == len(ours) else []


def adapt_channels(parameters, translated):
    """The stem for another number of input channels: summed for one, else repeated and rescaled.

    A sum answers a grey image as the original answers its three equal channels; with n channels, each is repeated
    cyclically and weighs (channels of the file) / n. Statistics of a BatchNorm on the image are averaged or repeated.
    """
    adapted = dict(translated)
    for name, parameter in parameters.items():
        array, shape = translated[name], tuple(parameter.shape)
        if name.startswith("stem.") and array.ndim == 4 and array.shape[1] != shape[1] and _same_but(array, shape, 1):
            adapted[name] = _input_weights(array, shape[1])
        elif name.startswith("stem.0.") and array.ndim == 1 and len(shape) == 1 and array.shape != shape:
            adapted[name] = _input_statistics(array, shape[0])
    return adapted


def channels_in_words(before, after, where):
    """What `adapt_channels` made of {our name: array} `before`; '' where it is the same."""
    names = sorted(name for name in before if after[name].shape != before[name].shape)
    if not names:
        return ""
    # A kernel's channels are its second axis, a statistic's its first.
    had, has = (side[names[0]].shape[min(side[names[0]].ndim - 1, 1)] for side in (before, after))
    how = "summed" if has == 1 else f"repeated, times {had / has:g}"
    channels = "channel" if has == 1 else "channels"
    return f"adapted to {has} input {channels}: {', '.join(names)} ({where} has {had}: they are {how})"


def _same_but(array, shape, axis):
    return all(a == b for i, (a, b) in enumerate(zip(array.shape, shape)) if i != axis)


def _input_weights(array, channels):
    before = array.shape[1]
    if channels == 1:
        return array.sum(axis=1, keepdims=True, dtype="float32")
    return np.take(array.astype("float32"), np.arange(channels) % before, axis=1) * (before / channels)


def _input_statistics(array, channels):
    if channels == 1:
        return array.mean(keepdims=True, dtype="float32")
    return np.take(array, np.arange(channels) % array.shape[0])
