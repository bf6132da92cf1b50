"""MXNet's own ImageRecordIter, with the settings of the published AFF runs.

Faster than Python where cores are few, and less exact: bilinear without antialiasing, no AutoAugment, and a damaged
image ends the process. `Loader` is the other choice for the same files.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Callable, Optional, Sequence, Tuple

import mxnet as mx

from gluon_attn.data._workers import nothing
from gluon_attn.data.imagenet import RecordDataset
from gluon_attn.data.loader import check_batches
from gluon_attn.data.seeding import random_state
from gluon_attn.data.transforms import Normalize
from gluon_attn.errors import DataError

if TYPE_CHECKING:
    from gluon_attn.data.dataset import Dataset

NAME = "imagenet-rec"
MEAN = (123.68, 116.779, 103.939)
STD = (58.393, 57.12, 57.375)


class NativeLoader:
    """As `gluon_attn.data.Loader`, for `imagenet-rec` only. The same numbers for the same (seed, epoch).

    The keywords are those of `train_transform`, with the published defaults; what ImageRecordIter cannot do raises.
    `image_size`: side of the square pictures, 0 for the data set's. `mean`, `std`: of RGB in 0..1, by default the data
    set's, which are taken as the published runs rounded them.
    `last_batch`: 'keep' or 'discard' a last batch that is smaller.
    A shard is a contiguous part of the file; in training all shards have equally many batches.

    >>> train = data.get_dataset("imagenet-rec", "train", root="rec")
    >>> for images, labels in NativeLoader(train, 256, train=True): ...
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        train: bool,
        seed: int = 0,
        workers: int = 4,
        shard: Tuple[int, int] = (0, 1),
        last_batch: str = "keep",
        image_size: int = 0,
        resize: int = 256,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        area: Tuple[float, float] = (0.08, 1.0),
        aspect: Tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
        jitter: float = 0.4,
        lighting: float = 0.1,
        auto_aug: Optional[str] = None,
        erasing: float = 0.0,
    ):
        _check(dataset, auto_aug, erasing)
        check_batches(len(dataset), batch_size, shard, last_batch)
        _refuse_more_than_there_are(batch_size, len(dataset) // shard[1])
        self.dataset, self.batch_size, self.train, self.seed, self.shard = dataset, batch_size, train, seed, shard
        self._next, self.last_batch = 0, last_batch
        side = image_size or dataset.image_size
        steps = _training_steps(area, aspect, flip, jitter, lighting) if train else dict(resize=resize)
        self._settings = dict(
            data_shape=(3, side, side),
            batch_size=batch_size,
            preprocess_threads=max(workers, 1),
            shuffle=train,
            verbose=False,
            **_part(dataset, shard),
            **_normalisation(dataset, mean, std),
            **steps,
        )

    def __len__(self):
        """Batches an epoch (of evaluation shards: at most)."""
        whole, more = divmod(len(self.dataset), self.batch_size * self.shard[1])
        return whole + (more > 0 and self.last_batch == "keep")

    def __iter__(self):
        epoch = self._next
        self._next += self.train
        return self.epoch(epoch)

    def epoch(self, epoch: int = 0, start_batch: int = 0, meanwhile: Callable = nothing):
        """As `Loader.epoch`; the batches before `start_batch` are decoded too, and dropped."""
        # A new iterator each epoch: one that lives on depends on everything it did before.
        draw = random_state(self.seed, epoch, stream="order").randint(1 << 31)
        reader = mx.io.ImageRecordIter(seed=draw, seed_aug=draw, shuffle_chunk_seed=draw, **self._settings)
        in_step = self.train and self.shard[1] > 1
        batches = islice(self._endless(reader), len(self)) if in_step else self._batches(reader)
        meanwhile()
        for batch in islice(batches, start_batch, None):
            yield batch
            meanwhile()

    def _batches(self, reader):
        """One pass; without the last batch where it is not full and is to be discarded."""
        return (_without_padding(batch) for batch in reader if self.last_batch == "keep" or not batch.pad)

    def _endless(self, reader):
        """Pass after pass: parts of a file differ in length, and workers that differ in it hang."""
        batch = None
        while True:
            for batch in self._batches(reader):
                yield batch
            if batch is None:
                what = "image" if self.last_batch == "keep" else f"{self.batch_size} images"
                raise DataError(f"Part {self.shard[0]} of {self.shard[1]} of {self.dataset.record} has no {what}.")
            reader.reset()


def _part(dataset, shard):
    files = dict(path_imgrec=str(dataset.record), path_imgidx=str(dataset.index))
    return dict(files, part_index=shard[0], num_parts=shard[1])


def _normalisation(dataset, mean, std):
    """`mean_r=` to `std_b=`, of values from 0 to 255."""
    wanted = Normalize(dataset.mean if mean is None else mean, dataset.std if std is None else std)
    found = {}
    for name, published in (("mean", MEAN), ("std", STD)):
        values = getattr(wanted, name)
        values = published if values == getattr(dataset, name) else (255 * value for value in values)
        found.update(zip((f"{name}_r", f"{name}_g", f"{name}_b"), values))
    return found


def _training_steps(area, aspect, flip, jitter, lighting):
    """The steps of `train_transform(crop="resized")`, in the words of ImageRecordIter."""
    return dict(
        random_resized_crop=True,
        min_random_area=area[0],
        max_random_area=area[1],
        min_aspect_ratio=aspect[0],
        max_aspect_ratio=aspect[1],
        rand_mirror=flip,
        brightness=jitter,
        contrast=jitter,
        saturation=jitter,
        pca_noise=lighting,
    )


def _without_padding(batch):
    """(images, labels) without the images that ImageRecordIter fills the last batch with."""
    real = batch.data[0].shape[0] - (batch.pad or 0)
    return batch.data[0][:real], batch.label[0][:real].astype("int32")


def _refuse_more_than_there_are(batch_size, images):
    if batch_size > images:
        raise DataError(
            f"--reader native takes no batch of {batch_size} from {images} images: give a smaller --batch-size or "
            "--eval-batch-size."
        )


def _check(dataset, auto_aug, erasing):
    # Nor those of Tiny ImageNet, as recipes refuse them: nobody has compared what it trains on there.
    if not isinstance(dataset, RecordDataset) or dataset.name != NAME:
        raise DataError(
            f"The native reader reads whole .rec files of ImageNet's kind only, not {dataset.name!r} or a part of one: "
            f"use {NAME!r} without validation, or reader='pil'."
        )
    if auto_aug or erasing:
        wanted = f"AutoAugment ({auto_aug!r})" if auto_aug else f"random erasing ({erasing})"
        raise DataError(
            f"The native reader has no {wanted}: choose reader='pil', which applies it to the same .rec files, "
            "or leave it out."
        )
