"""How good is a map? Four numbers an image, and one check.

==========  =========================================================================  =======================
pointing    is the maximum inside the object's box (of several maxima: their share)    arXiv 1608.00507
energy      share of the map's sum that lies inside the box                            arXiv 1910.01279
deletion    area under the target's probability while the highest places are removed   arXiv 1806.07421; low is good
insertion   area under it while they are put back into a blurred picture               arXiv 1806.07421; high is good
similarity  rank correlation of the map with that of the network after its weights     arXiv 1810.03292; near 0 is
            were shuffled: a map that survives says nothing about what was learned     good
==========  =========================================================================  =======================

An empty map is treated as a uniform one. By chance, pointing and energy are the box's share of the picture.
"""

from __future__ import annotations

import contextlib

import mxnet as mx
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain.cam import as_batch, as_target
from gluon_attn.models.network import logits_of
from gluon_attn.models.refused import taking

STEPS = 16  # pictures of a deletion or insertion curve, after the first


def pointing(maps, boxes):
    """(N,) in [0, 1]: the share of the places with the maximal value that lie in the box; maps (N, H, W)."""
    highest = maps == maps.max(axis=(1, 2), keepdims=True)
    return (highest & inside(boxes, maps.shape[1:])).sum(axis=(1, 2)) / highest.sum(axis=(1, 2))


def energy(maps, boxes):
    """(N,) in [0, 1]: the share of the map's sum inside the box."""
    within = inside(boxes, maps.shape[1:])
    total = maps.sum(axis=(1, 2))
    share = np.divide((maps * within).sum(axis=(1, 2)), total, out=np.zeros(len(maps)), where=total > 0)
    return np.where(total > 0, share, chance(boxes, maps.shape[1:]))


def chance(boxes, size):
    """(N,): the box's share of the picture."""
    return inside(boxes, size).mean(axis=(1, 2))


def inside(boxes, size):
    """Boxes (N, 4) as x0, y0, x1, y1, the ends excluded -> bool (N, H, W)."""
    boxes = np.asarray(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not (boxes[:, :2] < boxes[:, 2:]).all():
        raise GluonAttnError(f"boxes={boxes.tolist()!r} are none: give (x0, y0, x1, y1) in pixels of every image.")
    x0, y0, x1, y1 = boxes.T[..., None, None]
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (x0 <= columns) & (columns < x1) & (y0 <= rows) & (rows < y1)


def deletion(net, x, maps, target=None, steps=STEPS, batch_size=64):
    """(N,): area under the probability of the target while places are set to 0 (the mean colour), highest first."""
    x = as_batch(x)
    return _curves(net, x, np.zeros(x.shape, "float32"), maps, target, steps, batch_size).mean(axis=1)


def insertion(net, x, maps, target=None, steps=STEPS, batch_size=64):
    """(N,): area under it while the places of a blurred picture become sharp, highest first."""
    x = as_batch(x)
    spread = min(x.shape[2:]) / 16
    blurred = gaussian_filter(x.asnumpy(), (0, 0, spread, spread))
    curves = _curves(net, x, blurred, maps, target, steps, batch_size, start_with_other=True)
    return curves.mean(axis=1)


def _curves(net, x, other, maps, target, steps, batch_size, start_with_other=False):
    """Midpoints (N, steps) of the probabilities at steps + 1 shares of exchanged places: their mean is the area."""
    refuse_no_count(steps=steps, batch_size=batch_size)
    images = x.asnumpy()
    with taking(x):
        target = as_target(target, logits_of(net, net(x)))
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable").reshape(maps.shape)
    values = []
    for share in np.linspace(0, 1, steps + 1):
        exchanged = (ranks < share * ranks[0].size)[:, None]
        mixed = np.where(exchanged != start_with_other, other, images)
        values.append(_probabilities(net, mixed, target, x.context, batch_size))
    values = np.stack(values, axis=1)
    return (values[:, 1:] + values[:, :-1]) / 2


def _probabilities(net, images, target, device, batch_size):
    parts = []
    for start in range(0, len(images), batch_size):
        batch = mx.nd.array(images[start : start + batch_size], ctx=device)
        parts.append(logits_of(net, net(batch)).softmax(axis=1).asnumpy())
    return np.concatenate(parts)[np.arange(len(images)), target]


def similarity(net, x, method, target, seed=0):
    """(N,): Spearman's rank correlation of method's maps before and after all trained weights are shuffled."""
    before = method(net, x, target)
    with shuffled(net, seed):
        after = method(net, x, target)
    pairs = zip(before.reshape(len(before), -1), after.reshape(len(after), -1))
    return np.array([0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else spearmanr(a, b)[0] for a, b in pairs])


@contextlib.contextmanager
def shuffled(net, seed=0):
    """Within it, the values of every trained parameter stand in random order; they are put back afterwards."""
    rng = np.random.RandomState(seed)
    kept = {p: p.data().copy() for _, p in sorted(net._collect_params_with_prefix().items()) if p.grad_req != "null"}
    try:
        for parameter, value in kept.items():
            values = value.asnumpy().ravel()
            parameter.set_data(mx.nd.array(rng.permutation(values).reshape(value.shape), dtype=value.dtype))
        yield net
    finally:
        for parameter, value in kept.items():
            parameter.set_data(value)


def score(net, x, target, boxes, method, steps=STEPS):
    """{measure: (N,)} of one method on a batch of images whose class and box are known."""
    maps = method(net, x, target)
    return {
        "pointing": pointing(maps, boxes),
        "energy": energy(maps, boxes),
        "deletion": deletion(net, x, maps, target, steps),
        "insertion": insertion(net, x, maps, target, steps),
        "similarity": similarity(net, x, method, target),
    }
