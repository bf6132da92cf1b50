"""The training loop: epochs of updates, and an evaluation after each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

import mxnet as mx

from gluon_attn.train import report
from gluon_attn.train.log import bar
from gluon_attn.train.objective import draw_mixing
from gluon_attn.train.run import Run
from gluon_attn.train.stop import Stopped, StopRequest
from gluon_attn.train.update import learning_rate

if TYPE_CHECKING:
    from gluon_attn.recipe.recipe import Recipe

WINDOW = 4  # updates between two looks at the loss, each at the value of the look before: the device never waits


def fit(recipe: Recipe, progress: bool = True, on_epoch: Optional[Callable[[dict], Any]] = None) -> dict:
    """Train as the recipe says; returns what metrics.json holds.

    `on_epoch(row)` is called with each line of history.csv; a true answer ends the training there. SIGTERM and
    Ctrl-C write a checkpoint, metrics.json and curves.png, and raise `Stopped`.

    >>> metrics = fit(Recipe.load("digits", model="cifar_aff_resnet20", epochs=2))
    >>> metrics["best_accuracy"]
    """
    run = Run(recipe, progress)
    try:
        run.begin()
        with StopRequest(enabled=run.workers == 1) as stop:
            try:
                _epochs(run, stop, on_epoch)
            except Stopped:
                report.stop(run)
                raise
        return report.finish(run)
    finally:
        run.close()


def _epochs(run, stop, on_epoch):
    while run.epoch < run.recipe.epochs and not run.out_of_patience():
        _updates(run, stop)
        row = _evaluation(run, stop)
        run.record(row)
        stop.check()
        if on_epoch and on_epoch(row):
            break
    run.evaluate_last(stop.check)


def _updates(run, stop):
    """The updates of one epoch that are still to do."""
    loader, recipe = run.inputs.train, run.recipe
    # Where several workers share a batch, all must have a part of it: a batch without an image ends the training.
    how = dict(passing_over=True) if run.workers == 1 and recipe.on_bad_image == "skip" else {}
    batches = loader.epoch(run.epoch, start_batch=run.batch, meanwhile=stop.check, **how)
    with bar(run.inputs.images, run.epoch, recipe.epochs, run.progress and run.rank == 0) as progress:
        progress.update(run.images)
        look = _Look(run, progress)
        for images, labels in batches:
            lr = learning_rate(recipe, len(loader), run.step)
            _update(run, images, labels, lr)
            progress.update(len(labels) * run.workers)
            if run.batch % WINDOW == 0:
                look(lr)
            if recipe.checkpoint_steps and run.step % recipe.checkpoint_steps == 0:
                run.checkpoint()


def _update(run, images, labels, lr):
    if images is None:  # none can be read: the batch counts, so that a run goes on where it was
        run.batch += 1
        run.passed_over += 1
        return
    if run.random:
        mx.random.seed(run.recipe.seed * 1_000_003 + run.step)  # dropout: a function of the step, as all else
    mixing = draw_mixing(run.recipe, run.epoch, run.batch, images.shape[2])
    whole = len(labels) if run.workers == 1 else _whole_batch(run)
    run.updater(images, labels, lr, mixing, whole)
    run.evaluated.update(run.step)
    run.batch += 1
    run.images += whole


def _whole_batch(run):
    """Images of this batch on all workers."""
    return min(run.recipe.batch_size, run.inputs.images - run.batch * run.recipe.batch_size)


class _Look:
    """Reads the loss of one window ago, which also keeps the host from running ahead, and queues this window's."""

    def __init__(self, run, progress):
        self.run, self.progress, self.late = run, progress, None

    def __call__(self, lr):
        if self.late is not None:
            loss = self.run.mean_loss(*self.late)
            self.progress.set_postfix(loss=f"{loss:.4f}", lr=f"{lr:.4g}", refresh=False)
        self.late = [total.copy() for total in self.run.updater.totals], self.run.images


def _evaluation(run, stop):
    """The epoch's row of history.csv, with accuracies where an evaluation is due."""
    loss = run.epoch_loss()
    run.check_weights()
    run.evaluated.settle()
    begun = run.history[-1]["seconds"] if run.history else 0.0
    row = dict(
        epoch=run.epoch,
        lr=learning_rate(run.recipe, len(run.inputs.train), run.step - 1),
        train_loss=loss,
        images_per_second=run.images / max(run.clock.seconds - begun, 1e-9),
    )
    due = (run.epoch + 1) % run.recipe.eval_every == 0 or run.epoch + 1 == run.recipe.epochs
    if due and run.rank == 0:
        row.update(run.accuracy(run.evaluation(run.inputs.evaluation, meanwhile=stop.check)))
    row["seconds"] = run.clock.seconds
    return row
