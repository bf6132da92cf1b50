"""Batches of augmented images, the same for any number of workers."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from typing import TYPE_CHECKING, Callable, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon.data.dataloader import default_batchify_fn, default_mp_batchify_fn

from gluon_attn.data._memory import keep_freed_memory
from gluon_attn.data._workers import WorkersLoader, nothing
from gluon_attn.data.dataset import BadImage
from gluon_attn.data.seeding import random_state
from gluon_attn.errors import DataError, unknown

if TYPE_CHECKING:
    from gluon_attn.data.dataset import Dataset

BAD_IMAGE = ("error", "skip")
LAST_BATCH = ("keep", "discard")


class Loader:
    """`for images, labels in loader.epoch(e)`: float32 (N, 3, H, W) and int32 (N,), both on the CPU.

    `for images, labels in loader` counts the epochs itself.

    Labels that are arrays (angles, masks) keep their shape and type.

    dataset    : a `gluon_attn.data.Dataset`
    transform  : called as `transform(image, rng)`, see `gluon_attn.data.transforms`; what has `at(epoch)` is
                 asked for the transform of that epoch
    train      : images in an order drawn from (seed, epoch); otherwise in the order of the data set
    workers    : processes that read and augment, forked once, at a lower priority; 0 works in this process
    shard      : (r, n) gives worker r of n its part of every global batch of `n * batch_size` images, so that n
                 workers together see exactly what one process with that batch size sees. In training all shards
                 have equally many batches: where the last batch has fewer than n images, it is left out.
    last_batch : 'keep' or 'discard' a last batch that is smaller
    timeout    : seconds to wait for a batch of a worker
    on_bad_image: 'error' raises, naming the image; 'skip' leaves it out of its batch and counts it in `skipped`

    >>> test = data.get_dataset("digits", "test")
    >>> loader = Loader(test, 100, data.eval_transform(32, test.mean, test.std), train=False)
    >>> [images.shape for images, labels in loader][-1]
    (100, 3, 32, 32)
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        transform: Callable,
        *,
        train: bool,
        seed: int = 0,
        workers: int = 0,
        shard: Tuple[int, int] = (0, 1),
        last_batch: str = "keep",
        on_bad_image: str = "error",
        timeout: float = 300,
    ):
        if on_bad_image not in BAD_IMAGE:
            raise unknown("on_bad_image", on_bad_image, BAD_IMAGE, error=DataError)
        check_batches(len(dataset), batch_size, shard, last_batch)
        self.dataset, self.batch_size, self.transform = dataset, batch_size, transform
        self.train, self.seed, self.workers = train, seed, workers
        self.shard, self.last_batch, self.timeout = shard, last_batch, timeout
        self.skipped = Counter()
        self._plan, self._next = _Plan(), 0
        keep_freed_memory()  # before the workers are forked
        self._loader = WorkersLoader(
            _Samples(dataset, transform, seed, on_bad_image),
            batch_sampler=self._plan,
            batchify_fn=_stack_shared if workers else _stack,
            num_workers=workers,
            timeout=timeout,
        )

    def __len__(self):
        """Batches an epoch."""
        return len(self._batches(0))

    def __iter__(self):
        """`for images, labels in loader`: in training each time the next epoch, else always the same one."""
        epoch = self._next
        self._next += self.train
        return self.epoch(epoch)

    def epoch(self, epoch: int = 0, start_batch: int = 0, meanwhile: Callable = nothing, passing_over: bool = False):
        """The batches of one epoch, from `start_batch` on (to continue an interrupted epoch).

        `meanwhile()` is called before each batch and all the time while one is waited for: what it raises ends both.
        A batch of which no image can be read is an error, or (None, ()) with `passing_over`; an epoch without any is
        one anyhow.
        """
        empty = 0
        self._plan.batches = [[(epoch, index) for index in batch] for batch in self._batches(epoch)[start_batch:]]
        for images, labels, bad in self._delivered(meanwhile):
            self.skipped.update(bad)
            if images is None:
                empty += 1
                if not passing_over or empty == len(self):
                    raise DataError(f"No image of a whole batch can be read: {', '.join(bad)}. Repair the data set.")
                yield None, ()
                continue
            # Out of the shared memory of the workers, which is scarce, and where operators expect their arrays.
            yield images.as_in_context(mx.cpu()), labels.as_in_context(mx.cpu())

    def _delivered(self, meanwhile):
        self._loader.meanwhile = meanwhile
        batches = iter(self._loader)
        try:
            while True:
                meanwhile()
                batch = next(batches, None)
                if batch is None:
                    return
                yield batch
        except multiprocessing.TimeoutError as error:
            raise DataError(
                f"No batch came from {self.workers} worker(s) in {self.timeout} s: one has died (out of memory?), "
                "or the disk is very slow. Use fewer workers, or a longer timeout."
            ) from error

    def _batches(self, epoch):
        """Indices into the data set, a list a batch."""
        rank, shards = self.shard
        count, step = len(self.dataset), self.batch_size * shards
        order = random_state(self.seed, epoch, stream="order").permutation(count) if self.train else np.arange(count)
        batches = [order[start : start + step] for start in range(0, count, step)]
        last = len(batches[-1])
        if last < step and (self.last_batch == "discard" or (self.train and last < shards)):
            batches.pop()
        parts = (np.array_split(batch, shards)[rank].tolist() for batch in batches)
        return [part for part in parts if part]


class _Plan:
    """The batch sampler: a list that `Loader.epoch` replaces, since the workers are forked only once."""

    batches = ()

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


class _Samples:
    """(epoch, index) -> (augmented image, label), or the `BadImage` where there is none."""

    def __init__(self, dataset, transform, seed, on_bad_image):
        self.dataset, self.seed, self.on_bad_image = dataset, seed, on_bad_image
        self.transform_at = getattr(transform, "at", lambda epoch: transform)

    def __getitem__(self, key):
        epoch, index = key
        try:
            image, label = self.dataset.sample(index)
            label = label if isinstance(label, np.ndarray) else np.int32(label)
            return self.transform_at(epoch)(image, random_state(self.seed, epoch, index)), label
        except BadImage as bad:
            if self.on_bad_image == "error":
                raise
            return bad


def _stack(samples, batchify=default_batchify_fn):
    """(images, labels, names of the images left out)."""
    bad = [sample.name for sample in samples if isinstance(sample, BadImage)]
    good = [sample for sample in samples if not isinstance(sample, BadImage)]
    images, labels = batchify(good) if good else (None, None)
    return images, labels, bad


def _stack_shared(samples):
    return _stack(samples, default_mp_batchify_fn)


def check_batches(count: int, batch_size: int, shard: Tuple[int, int] = (0, 1), last_batch: str = "keep") -> None:
    """DataError where `count` images make no batch; the arguments are those of `Loader`.

    >>> check_batches(40, 10, last_batch="discard")
    """
    if last_batch not in LAST_BATCH:
        raise unknown("last_batch", last_batch, LAST_BATCH, error=DataError)
    rank, shards = shard
    if not 0 <= rank < shards:
        raise DataError(f"shard={shard} is none: use (rank, number of workers) with rank from 0 to number - 1.")
    if batch_size < 1:
        raise DataError(f"batch_size={batch_size} is too small: use 1 or more.")
    if count < shards or (last_batch == "discard" and count < batch_size * shards):
        raise DataError(
            f"The data set has {count} images, which make no batch of {batch_size} for {shards} worker(s): "
            "use a smaller batch size, or last_batch='keep'."
        )
