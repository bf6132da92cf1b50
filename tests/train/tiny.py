"""A tiny network and recipe, a training that is told to end, and what a run left."""

from __future__ import annotations

import signal
from pathlib import Path

import mxnet as mx

from gluon_attn.train import Recipe, checkpoint
from gluon_attn.weights.files import read_arrays

# One block a stage: 5 convolutions.
TINY = {"layers": [1, 1, 1], "widths": [8, 8, 16], "stem_widths": [8]}


def tiny(folder, **changes):
    """Four updates an epoch on 40 digits, on one CPU device."""
    values = dict(
        model="cifar_resnet20",
        arch=TINY,
        dataset="digits",
        dataset_options={"per_class": 4},
        epochs=2,
        batch_size=10,
        eval_batch_size=100,
        lr=0.05,
        devices="cpu:0",
        output=str(folder),
    )
    return Recipe.of({**values, **changes})


def accuracies(monkeypatch, values):
    """The evaluations of the next runs, one after the other."""
    left = iter(values)
    monkeypatch.setattr("gluon_attn.train.run.evaluate", lambda *_, **__: {"top1": next(left)})


def stop_after(updates, monkeypatch, number=signal.SIGTERM):
    """This process gets the signal in the update of that number."""
    from gluon_attn.train.update import Updater

    original, count = Updater.__call__, []

    def counted(self, *arguments, **options):
        count.append(1)
        if len(count) == updates:
            signal.raise_signal(number)  # to this thread: sent to the process it may be heard after the training
        return original(self, *arguments, **options)

    monkeypatch.setattr(Updater, "__call__", counted)


def weights(folder):
    return read_arrays((Path(folder) / "last.params").read_bytes())


def counted_from(number):
    """Gluon's names as they are in a process that has built `number` layers of each kind."""
    manager = mx.name.NameManager()
    manager._counter.update(conv=number, batchnorm=number)
    return manager


def edited(path, change):
    """Write a checkpoint as `change(arrays, meta)` makes it."""
    arrays, meta = checkpoint.read(path)
    arrays = dict(arrays)
    change(arrays, meta)
    checkpoint.write(path, arrays, meta)
