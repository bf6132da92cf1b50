"""Methods by name, and a network's view of a few pictures."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Union

import mxnet as mx
import numpy as np

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.explain.cam import as_batch, gradcam, gradcam_pp, scorecam
from gluon_attn.explain.maps import AXES, attention_maps
from gluon_attn.explain.occlusion import occlusion
from gluon_attn.models.network import logits_of


class NoPlane(GluonAttnError):
    """A network whose mechanisms weigh no places."""


def attention(
    net: mx.gluon.HybridBlock, x: mx.nd.NDArray, target: Any = None, name: Optional[str] = None
) -> np.ndarray:
    """The mechanism's own map as a picture: (N, H, W), every image's minimum at 0 and maximum at 1.

    name : one of `attention_maps(net, x)`; by default the last one that weighs places
    target : not used, since the mechanism knows no target class; the arguments are those of the other methods

    A 'full' map is averaged over its channels, a 'positions' map over its queries. Of a mechanism that weighs rows and
    columns it is the product of both, unless one of them is named.

    >>> attention(net, x).shape == (len(x), *x.shape[2:])
    True
    """
    maps = attention_maps(net, x)
    planes = {key: value for key, value in maps.items() if value.has_plane}
    if not planes:
        raise NoPlane(
            "No mechanism of this network weighs places"
            + (", only channels: attention_maps(net, x) has its weights." if maps else ": it has none.")
        )
    if name is not None and name not in planes:
        raise unknown("map of places", name, planes)
    raw = _last(planes) if name is None else planes[name].enlarged()
    low = raw.min(axis=(1, 2), keepdims=True)
    span = raw.max(axis=(1, 2), keepdims=True) - low
    return np.divide(raw - low, span, out=np.zeros_like(raw), where=span > 0)


def _last(planes):
    """The last map of places, at the input's size; of one axis, times the same mechanism's of the other."""
    name = list(planes)[-1]
    if planes[name].kind not in AXES:
        return planes[name].enlarged()
    path = name.partition("#")[0]
    both = [found for key, found in planes.items() if found.kind in AXES and key.partition("#")[0] == path]
    return math.prod(found.enlarged() for found in both)


METHODS = {
    "gradcam": gradcam,
    "gradcam_pp": gradcam_pp,
    "scorecam": scorecam,
    "occlusion": occlusion,
    "attention": attention,
}


STAGED = ("gradcam", "gradcam_pp", "scorecam")  # those that look at one stage


def method_named(name: str, stage: Union[int, str, None] = None) -> Callable:
    """The method of that name, for one stage where the method looks at one.

    >>> maps = method_named("gradcam", stage="stage2")(net, x)
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name] if stage is None or name not in STAGED else partial(METHODS[name], stage=stage)


@dataclass(frozen=True)
class View:
    """What one network makes of one picture.

    image : uint8 (H, W, 3), what the network saw
    probabilities : (classes,)
    maps : {method: (H, W) in [0, 1], or None where the network has no such map}
    box : (x0, y0, x1, y1) in that image of what should be looked at, where it is known

    >>> (view,) = look(net, pictures[:1], net.card.transform(), net.card.mean, net.card.std, ["gradcam"])
    >>> view.predicted == view.top(1)[0]
    True
    """

    image: np.ndarray
    probabilities: np.ndarray
    maps: dict
    box: Optional[tuple] = None

    @property
    def predicted(self):
        return int(self.probabilities.argmax())

    def top(self, count=5):
        """Class numbers, most probable first."""
        return np.argsort(-self.probabilities, kind="stable")[:count].tolist()


def look(
    net: mx.gluon.HybridBlock,
    pictures: Iterable[np.ndarray],
    transform: Callable,
    mean: Sequence[float],
    std: Sequence[float],
    methods: Sequence[str],
    ctx: Optional[mx.Context] = None,
    batch_size: int = 16,
    target: Optional[int] = None,
    stage: Union[int, str, None] = None,
) -> Iterator[View]:
    """Yield a View of every one of the pictures (uint8 (H, W, 3)); the maps explain the predicted class or `target`.

    >>> views = look(net, pictures, net.card.transform(), net.card.mean, net.card.std, ["gradcam", "attention"])
    >>> next(views).maps["gradcam"].shape == x.shape[2:]
    True
    """
    refuse_no_count(batch_size=batch_size)
    compute = {name: method_named(name, stage) for name in methods}
    ctx = ctx or mx.cpu()
    inputs = (transform(picture, None) for picture in pictures)
    while True:
        batch = list(itertools.islice(inputs, batch_size))
        if not batch:
            return
        batch = np.stack(batch)
        x = mx.nd.array(batch, ctx=ctx)
        probabilities = logits_of(net, net(x)).softmax(axis=1).asnumpy()
        maps = {name: _or_none(method, net, x, target) for name, method in compute.items()}
        for i, image in enumerate(shown(batch, mean, std)):
            yield View(image, probabilities[i], {name: m if m is None else m[i] for name, m in maps.items()})


def shown(inputs: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Normalised (N, 3, H, W) -> the uint8 pictures (N, H, W, 3) behind it.

    >>> shown(x.asnumpy(), net.card.mean, net.card.std).dtype
    dtype('uint8')
    """
    pixels = inputs.transpose(0, 2, 3, 1) * np.asarray(std) + np.asarray(mean)
    return np.clip(np.round(pixels * 255), 0, 255).astype(np.uint8)


def _or_none(method, net, x, target):
    try:
        return method(net, as_batch(x), target)
    except NoPlane:
        return None
