"""Top-1 and top-5 accuracy of a network over a loader, on one or several devices."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Iterable, Optional, Sequence

import mxnet as mx

from gluon_attn.accuracy import shares
from gluon_attn.errors import DataError
from gluon_attn.models.network import logits_of

IN_FLIGHT = 2  # batches queued ahead of the one whose result is read: the engine would otherwise queue the whole set


def evaluate(
    net: mx.gluon.HybridBlock,
    loader: Iterable,
    devices: Optional[Sequence[mx.Context]] = None,
    *,
    dtype: str = "float32",
    progress: Optional[Callable[[int], Any]] = None,
) -> dict:
    """Run `net` over `loader` once; every image counts exactly once.

    `loader` is a `gluon_attn.data.Loader`, or anything that iterates `(images, labels)` pairs or
    `mx.io.DataBatch` es (whose `pad` images, the iterator's filling of its last batch, are left out).
    `progress` is called with the number of images of each finished batch.

    Returns `top1`, its 95 % interval `top1_interval` and `top5` as fractions of 1, `images` and
    `images_per_second` (loading included); no `top5` where the network has five classes or fewer.

    >>> test = data.Subset(data.get_dataset("digits", "test"), range(50))
    >>> evaluate(net, data.Loader(test, 100, net.card.transform(), train=False))["top1"] > 0.95
    True
    """
    devices = list(devices or [mx.cpu()])
    hits, images, pending, asked = [0, 0], 0, deque(), set()

    def collect(limit):
        while len(pending) > limit:
            for counts, classes in pending.popleft():
                top1, top5 = counts.asnumpy()
                hits[0] += int(top1)
                hits[1] += int(top5)
                asked.add(classes)

    start = time.perf_counter()
    for data, labels in _batches(loader):
        if data is None:  # no image of this batch can be read, and the loader passes over that
            continue
        pending.append([_hits(net, x, y, dtype) for x, y in _split(data, labels, devices)])
        images += len(labels)
        collect(IN_FLIGHT)
        if progress is not None:
            progress(len(labels))
    collect(0)
    seconds = time.perf_counter() - start
    if not images:
        raise DataError("nothing to evaluate: the loader gave no images; check the dataset's folder and split")
    return {
        **shares(*hits, images, classes=max(asked)),
        "images": images,
        "images_per_second": images / seconds,
    }


def ranks(logits: mx.nd.NDArray, labels: mx.nd.NDArray) -> mx.nd.NDArray:
    """Place of the true class in each row, 0 for the best; equal logits go by class number, as in `argmax`.

    logits (N, C), labels (N,) -> (N,) float32. A row with a NaN ranks last: it must never count as a hit.

    >>> ranks(mx.nd.array([[0.1, 0.7, 0.2]]), mx.nd.array([2])).asnumpy()
    array([1.], dtype=float32)
    """
    logits = logits.astype("float32")
    labels = labels.astype("float32").as_in_context(logits.context)
    classes = logits.shape[1]
    own = logits.pick(labels).expand_dims(1)
    earlier = mx.nd.broadcast_lesser(mx.nd.arange(classes, ctx=logits.context).expand_dims(0), labels.expand_dims(1))
    ahead = mx.nd.broadcast_greater(logits, own) + mx.nd.broadcast_equal(logits, own) * earlier
    broken = mx.nd.contrib.isnan(logits).sum(axis=1) > 0
    return mx.nd.where(broken, mx.nd.full(broken.shape, classes, ctx=logits.context), ahead.sum(axis=1))


def _hits(net, images, labels, dtype):
    """(how many of a batch are right at first and within five, as one array of two on the device; classes)."""
    logits = logits_of(net, net(images.astype(dtype, copy=False)))
    _check_labels(labels, logits.shape[1])
    place = ranks(logits, labels)
    return mx.nd.concat((place < 1).sum(), (place < 5).sum(), dim=0), logits.shape[1]


def _check_labels(labels, classes):
    low, high = int(labels.min().asscalar()), int(labels.max().asscalar())
    if low < 0 or high >= classes:
        raise DataError(
            f"the dataset has labels {low}..{high} but the network {classes} classes: "
            "choose weights and dataset that belong together"
        )


def _batches(loader):
    if hasattr(loader, "reset"):
        loader.reset()
    for batch in loader.epoch(0) if hasattr(loader, "epoch") else loader:
        if not hasattr(batch, "pad"):
            yield batch
            continue
        real = batch.data[0].shape[0] - (batch.pad or 0)
        if real:
            yield batch.data[0][:real], batch.label[0][:real]


def _split(images, labels, devices):
    """Nearly equal shares of a batch, one a device; a last batch smaller than the devices leaves some idle."""
    shares = min(len(devices), len(images))
    pieces = (mx.gluon.utils.split_data(array, shares, even_split=False) for array in (images, labels))
    return [(x.as_in_context(device), y) for x, y, device in zip(*pieces, devices)]
