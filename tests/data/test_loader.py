"""Batches: the same whatever the number of workers, shards that make up the global batch, bad images."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.data._workers import NICENESS
from gluon_attn.errors import DataError


def subset(count, name="digits"):
    return data.Subset(data.get_dataset(name), np.arange(count))


def augmenting(dataset):
    options = dict(crop="pad", auto_aug="cifar10", jitter=0.4, lighting=0.1, erasing=0.5)
    return data.train_transform(dataset.image_size, dataset.mean, dataset.std, **options)


def batches(loader, *args, **kwargs):
    return [(images.asnumpy(), labels.asnumpy()) for images, labels in loader.epoch(*args, **kwargs)]


def assert_same(first, second):
    assert len(first) == len(second)
    for (x, a), (y, b) in zip(first, second):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(a, b)


class Raw:
    """The image itself as a transform; draws nothing."""

    def __call__(self, image, rng):
        return image.transpose(2, 0, 1).astype(np.float32)


class Broken(data.Subset):
    """The images with the numbers `bad` cannot be read."""

    bad = ()

    def sample(self, index):
        if index in self.bad:
            raise data.BadImage(f"image{index}.jpg", "truncated")
        return super().sample(index)


@pytest.mark.parametrize("workers", (1, 3))
def test_any_number_of_workers_gives_the_same_batches(workers):
    dataset = subset(50)
    options = dict(train=True, seed=3)
    here = data.Loader(dataset, 16, augmenting(dataset), **options)
    there = data.Loader(dataset, 16, augmenting(dataset), workers=workers, **options)
    for epoch in (0, 5):
        assert_same(batches(here, epoch), batches(there, epoch))


def test_form_of_a_batch():
    dataset = subset(20)
    loader = data.Loader(dataset, 8, Raw(), train=False)
    images, labels = next(iter(loader.epoch(0)))
    assert images.shape == (8, 3, 32, 32) and images.dtype == np.float32 and images.context.device_type == "cpu"
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels.asnumpy(), dataset.labels[:8])
    np.testing.assert_array_equal(images.asnumpy()[3].transpose(1, 2, 0), dataset[3][0])
    assert [len(y) for _, y in loader.epoch()] == [8, 8, 4] and len(loader) == 3


def test_training_sees_every_image_once_in_an_order_of_the_epochs_own():
    dataset = subset(30)
    loader = data.Loader(dataset, 7, Raw(), train=True)

    def seen(epoch):
        return [image.tobytes() for images, _ in batches(loader, epoch) for image in images]

    expected = sorted(dataset[i][0].transpose(2, 0, 1).astype(np.float32).tobytes() for i in range(30))
    assert sorted(seen(0)) == sorted(seen(1)) == expected
    assert seen(0) != seen(1) and seen(0) == seen(0)
    other_seed = data.Loader(dataset, 7, Raw(), train=True, seed=1)
    assert batches(other_seed, 0)[0][1].tolist() != batches(loader, 0)[0][1].tolist()


def test_an_epoch_continues_where_it_was_left():
    dataset = subset(40)
    loader = data.Loader(dataset, 8, augmenting(dataset), train=True)
    assert_same(batches(loader, 2)[3:], batches(loader, 2, start_batch=3))


@pytest.mark.parametrize("count", (32, 37, 33))
def test_shards_make_up_the_global_batch(count):
    dataset = subset(count)
    transform = augmenting(dataset)
    whole = batches(data.Loader(dataset, 8, transform, train=True), 1)
    shards = [batches(data.Loader(dataset, 4, transform, train=True, shard=(rank, 2)), 1) for rank in (0, 1)]
    assert len(shards[0]) == len(shards[1])
    joined = [tuple(np.concatenate(pair) for pair in zip(*parts)) for parts in zip(*shards)]
    # A single left-over image cannot be shared by two workers that must keep step.
    assert_same(whole[:-1] if count == 33 else whole, joined)


def test_evaluation_shards_lose_no_image():
    dataset = subset(33)
    labels = [batches(data.Loader(dataset, 4, Raw(), train=False, shard=(rank, 2))) for rank in (0, 1)]
    assert sum(len(y) for shard in labels for _, y in shard) == 33


def test_a_small_last_batch_can_be_discarded():
    loader = data.Loader(subset(20), 8, Raw(), train=True, last_batch="discard")
    assert [len(y) for _, y in batches(loader)] == [8, 8] and len(loader) == 2


@pytest.mark.parametrize("workers", (0, 1))
def test_a_bad_image_raises_by_name_or_is_left_out_and_counted(workers):
    dataset = Broken(data.get_dataset("digits"), np.arange(12))
    dataset.bad = (2, 9)
    options = dict(train=False, workers=workers)
    with pytest.raises(DataError, match="image2.jpg: truncated"):
        batches(data.Loader(dataset, 8, Raw(), **options))
    loader = data.Loader(dataset, 8, Raw(), on_bad_image="skip", **options)
    assert [len(y) for _, y in batches(loader)] == [7, 3]
    assert loader.skipped == {"image2.jpg": 1, "image9.jpg": 1}
    batches(loader, 1)
    assert loader.skipped["image9.jpg"] == 2


def test_a_batch_of_bad_images_only_is_an_error():
    dataset = Broken(data.get_dataset("digits"), np.arange(4))
    dataset.bad = (2, 3)
    with pytest.raises(DataError, match="No image of a whole batch.*image2.jpg, image3.jpg"):
        batches(data.Loader(dataset, 2, Raw(), train=False, on_bad_image="skip"))


@pytest.mark.parametrize("workers", (0, 1))
def test_a_batch_of_bad_images_only_is_passed_over_where_that_is_asked_for(workers):
    """It counts as a batch, so that a run goes on where it was; an epoch of such batches is an error."""
    dataset = Broken(data.get_dataset("digits"), np.arange(5))
    dataset.bad = (2, 3)
    loader = data.Loader(dataset, 2, Raw(), train=False, on_bad_image="skip", workers=workers)
    assert [len(labels) for _, labels in loader.epoch(passing_over=True)] == [2, 0, 1]
    assert [len(labels) for _, labels in loader.epoch(start_batch=1, passing_over=True)] == [0, 1]
    dataset.bad = range(5)
    loader = data.Loader(dataset, 2, Raw(), train=False, on_bad_image="skip", workers=workers)
    with pytest.raises(DataError, match="No image of a whole batch"):
        list(loader.epoch(passing_over=True))


class Priority(Raw):
    def __call__(self, image, rng):
        return np.full((1, 1, 1), os.getpriority(os.PRIO_PROCESS, 0), np.float32)


def test_workers_give_way_to_what_waits_for_all_its_threads():
    images, _ = next(iter(data.Loader(subset(2), 2, Priority(), train=False, workers=1)))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert images.asnumpy().ravel().tolist() == [min(own + NICENESS, 19)] * 2


class Slow(Raw):
    def __call__(self, image, rng):
        time.sleep(3)
        return super().__call__(image, rng)


def test_a_worker_that_does_not_deliver_is_an_error():
    loader = data.Loader(subset(2), 1, Slow(), train=False, workers=1, timeout=1)
    with pytest.raises(DataError, match="No batch came from 1 worker.* in 1 s:.*fewer workers"):
        batches(loader)


def test_a_killed_worker_is_an_error_and_the_loader_ends():
    """It dies idle, and takes a lock along: ending the pool waited for it for ever."""
    loaders = [data.Loader(subset(2), 1, Raw(), train=False, workers=1, timeout=1)]
    batches(loaders[0])
    (worker,) = loaders[0]._loader._worker_pool._pool
    time.sleep(0.2)
    worker.kill()
    with pytest.raises(DataError, match="No batch came from 1 worker.* in 1 s: one has died"):
        batches(loaders[0])
    ending = threading.Thread(target=loaders.clear, daemon=True)
    ending.start()
    ending.join(20)
    assert not ending.is_alive()


@pytest.mark.ci  # imports everything anew
def test_a_process_whose_idle_worker_was_killed_ends():
    """With a loader that somebody still holds: `multiprocessing` ends its pool, and waits for the same lock."""
    code = """
import time
from gluon_attn import data
test = data.get_dataset("digits", "test")
loader = data.Loader(test, 200, data.eval_transform(8, test.mean, test.std), train=False, workers=1)
print(sum(len(labels) for _, labels in loader), flush=True)
time.sleep(0.5)
loader._loader._worker_pool._pool[0].kill()
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=100)
    assert (done.stdout, done.returncode) == ("400\n", 3)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(last_batch="rollover"), "Unknown last_batch 'rollover'"),
        (dict(on_bad_image="ignore"), "Unknown on_bad_image 'ignore'"),
        (dict(shard=(2, 2)), "shard=\\(2, 2\\) is none"),
        (dict(batch_size=0), "batch_size=0 is too small"),
        (dict(batch_size=64, last_batch="discard"), "20 images, which make no batch of 64"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(DataError, match=message):
        data.Loader(subset(20), transform=Raw(), train=True, **{"batch_size": 4, **options})
