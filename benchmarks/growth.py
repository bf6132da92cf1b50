"""Images a second and memory against batch, image size, devices and data workers; nothing grows faster than it must.

What must be: time an image falls with the batch until it stays; it grows with the square of the side at most; memory is
linear in the batch and in the square of the side; devices cpu:0 to cpu:3 share the same cores, so they gain nothing and
may lose what splitting costs; workers lose what handing over costs, and gain until the cores are busy. What is:
docs/speed.md (`python -m benchmarks.speed_page`).

    python -m benchmarks.growth              # writes results/growth.csv and docs/growth.png
    python -m benchmarks.growth --redraw     # the picture anew, from what is in results/
"""

from __future__ import annotations

import time

from benchmarks import plots
from benchmarks.common import DOCS, options, show, write

NETWORK = "aff_resnet18"
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIZES = (96, 128, 160, 224, 288, 352, 448)
DEVICES = (1, 2, 3, 4)
WORKERS = (0, 1, 2, 4)


def main(argv=None):
    args = options(__doc__, argv, rounds=3, redraw=False)
    if not args.redraw:
        measure(args)
    plots.growth(plots.rows_of("growth"), DOCS / "growth.png")


def measure(args):
    rows = [_step("batch", batch, batch, 64, args) for batch in BATCHES]
    rows += [_step("size", size, 2, size, args) for size in SIZES]
    rows += [_devices(count, args) for count in DEVICES]
    rows += [_workers(count) for count in WORKERS]
    write("growth", rows, args)


def _row(axis, value, images_per_second, memory=""):
    row = {"axis": axis, "value": value, "images_per_second": round(images_per_second, 2), "memory_mib": memory}
    return show(row)


def _step(axis, value, batch, size, args):
    from gluon_attn.cost.networks import job, peak_memory
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.devices import parse_devices

    (ctx,) = parse_devices("cpu:0")
    timing = interleaved({"step": job(NETWORK, "training", batch, size, ctx)}, args.rounds, 1, args.clock)["step"]
    return _row(axis, value, batch / timing.median, peak_memory(NETWORK, "training", batch, size, "cpu:0"))


def _devices(count, args, batch=32, size=64):
    import mxnet as mx

    import gluon_attn
    from gluon_attn.cost.timing import interleaved

    contexts = [mx.cpu(i) for i in range(count)]
    net = gluon_attn.get_model(NETWORK)
    net.initialize(ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(net.collect_params(), "nag", {"learning_rate": 1e-3})
    parts = mx.gluon.utils.split_and_load(
        mx.nd.random.uniform(shape=(batch, 3, size, size)), contexts, even_split=False
    )

    def step():
        with mx.autograd.record():
            losses = [net(part).square().sum() for part in parts]
        mx.autograd.backward(losses)
        trainer.step(batch)
        mx.nd.waitall()

    return _row("devices", count, batch / interleaved({"step": step}, args.rounds, 1, args.clock)["step"].median)


def _workers(count):
    from gluon_attn import data

    digits = data.get_dataset("digits", "train")
    transform = data.train_transform(32, digits.mean, digits.std, crop="pad", auto_aug="cifar10")
    loader = data.Loader(digits, 64, transform, train=True, workers=count)
    for _ in loader.epoch(0):
        pass
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in loader.epoch(1))
    return _row("workers", count, images / (time.perf_counter() - start))


if __name__ == "__main__":
    main()
