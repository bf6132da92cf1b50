"""Does reading keep up with training? Images a second and core of Tiny ImageNet's input beside those of its network.

    python -m benchmarks.photographs_input --data-root $TINY --records $TINY_REC   # results/photographs_input.csv

Input: read, decode, (resize,) pad, crop, mirror, normalise, in one process. Training: a step of the recipe's plain
network on one core. Both by the processor's time of this process, so that other programs do not count.
"""

from __future__ import annotations

import time

from benchmarks.common import options, show, write
from benchmarks.photographs import DATASET, PLAIN

IMAGES, BATCH = 2000, 64


def main(argv=None):
    args = options(__doc__, argv, data_root="", records="", threads=1, rounds=3, clock="cpu")
    rows = []
    for name, root in (("files", args.data_root), (".rec", args.records)):
        if root:
            rows += [show(input_row(name, root, size)) for size in (32, 64)]
    rows += [show(training_row(size, args.rounds)) for size in (32, 64)]
    write("photographs_input", rows, args)
    return rows


def _row(what, size, images_per_second):
    return {"what": what, "image_size": size, "images_per_second_per_core": f"{images_per_second:.0f}"}


def input_row(name, root, size, images=IMAGES):
    from gluon_attn import data

    train = data.get_dataset(DATASET, "train", root=root)
    padding = max(1, 4 * size // train.image_size)
    transform = data.train_transform(size, train.mean, train.std, crop="pad", padding=padding)
    order = data.random_state(0, stream="order").permutation(len(train))[:images]
    for index in order:  # from the disk into the system's memory
        train.sample(index)
    start = time.process_time()
    for index in order:
        transform(train.sample(index)[0], data.random_state(0, 0, index))
    return _row(f"input from {name}", size, len(order) / (time.process_time() - start))


def training_row(size, rounds):
    from gluon_attn import zoo
    from gluon_attn.cost import jobs
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.recipe.recipe import Recipe

    net = zoo.get_model(PLAIN, classes=200, **Recipe.load("tiny_imagenet").arch)
    timing = interleaved({"step": jobs.training_step(net, BATCH, size)}, rounds, 1, "cpu")["step"]
    return _row(f"training of {PLAIN}", size, BATCH / timing.median)


if __name__ == "__main__":
    main()
