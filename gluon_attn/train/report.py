"""What a run says of itself: at its start, in metrics.json, and at its end."""

from __future__ import annotations

import os
import time
from collections import Counter

from gluon_attn import matrix_units, threads
from gluon_attn.accuracy import in_words
from gluon_attn.complexity import count_parameters
from gluon_attn.errors import GluonAttnError, WriteError
from gluon_attn.recipe.check import idle
from gluon_attn.train.log import versions
from gluon_attn.train.parts import weights_in_all
from gluon_attn.weights.files import write_parameters


def begin(run):
    """The first lines of the log."""
    run.log.line(
        f"{run.recipe.model} on {run.recipe.dataset}: {_size(run)}, "
        f"{run.inputs.images} training images, {run.recipe.epochs} epochs of {len(run.inputs.train)} updates "
        f"on {_where(run)}"
    )
    for sentence in idle(run.recipe):
        run.log.warn(sentence)


def say_matrix_units(run):
    """Whether a training in bfloat16 takes the matrix units, and why not; float32 has none to take."""
    if run.recipe.dtype == "bfloat16":
        run.log.line(f"bfloat16 {matrix_units.words()}")


def _size(run):
    count, trained = weights_in_all(run.net), count_parameters(run.net)
    frozen = f" ({trained:,} of them trained, {', '.join(run.recipe.freeze)} frozen)" if run.recipe.freeze else ""
    return f"{count:,} parameters{frozen}"


def _where(run):
    where = ", ".join(map(str, run.devices)) + (f", {run.workers} workers" if run.workers > 1 else "")
    if run.devices[0].device_type == "cpu":
        where += f" with {threads.taken()} of {os.cpu_count()} cores (--threads)"
    return where


def skipped(run):
    """{name: how often} of the images left out (--on-bad-image skip), in training and in evaluation, since the run's
    beginning.
    """
    loaders = (run.inputs.train, run.inputs.evaluation, run.inputs.test)
    return sum((getattr(loader, "skipped", Counter()) for loader in loaders), run.skipped_before)


def say_skipped(run):
    new = sorted(set(skipped(run)) - run.said)
    run.said.update(new)
    if new:
        shown = ", ".join(new[:5]) + (", ..." if len(new) > 5 else "")
        run.log.warn(f"left out {len(new)} more images that cannot be read: {shown} (all are in metrics.json)")


def stop(run):
    """The files of a run that was asked to end before its last epoch, the checkpoint first."""
    run.save()
    with run.log.going_on():
        metrics = {**metrics_of(run), **_chosen(run)}
        metrics["stopped"] = metrics.pop("finished")
        run.log.metrics(metrics)
    if run.history:
        run.log.history(run.history)
        run.log.curves(run.history, _title(run))
    run.log.line(f"stopped at epoch {run.epoch + 1}, batch {run.batch}; go on with --resume auto")


def _title(run):
    return f"{run.recipe.model} on {run.recipe.dataset}, seed {run.recipe.seed}"


def finish(run):
    """The run's last files; returns the metrics (on other workers than the first, without accuracies)."""
    if run.rank:
        return metrics_of(run)
    run.evaluated.settle()
    try:
        write_parameters(run.folder / "last.params", run.evaluated.net)
        metrics = {**metrics_of(run), **_accuracies(run)}
        run.log.metrics(metrics)
    except WriteError as error:
        again = "--resume auto then goes on from the last checkpoint and writes what is missing."
        if not run.checkpoints.paths():
            again = "no checkpoint could be written, either: the run is to be repeated where there is space."
        raise WriteError(f"{error} All epochs are done: {again}") from error
    run.log.history(run.history)  # a run that was killed behind its last checkpoint has not written that epoch's
    run.log.curves(run.history, _title(run))
    problem = run.best_file.problem(run.best["epoch"])
    if problem:
        run.log.warn(f"best.params is not of the best epoch: it {problem}")
    tested = "test_accuracy_of_best" in metrics and f"on test {_in_words('test_accuracy_of_best', metrics)}; "
    run.log.line(
        f"best {_in_words('best_accuracy', metrics)}, epoch {metrics['best_epoch']}, chosen on "
        f"{run.inputs.chosen_on}; {tested or ''}last {100 * metrics['last_accuracy']:.2f} %, "
        f"{metrics['seconds']:.0f} s: {run.folder}"
    )
    return metrics


def _demand_best(run):
    problem = run.best_file.problem(run.best["epoch"])
    if problem:
        raise GluonAttnError(
            f"{run.folder / 'best.params'} {problem}, after epoch {run.best['epoch'] + 1}: the test set was to see "
            f"those weights. All else of the run is in {run.folder}."
        )


def metrics_of(run):
    return dict(
        model=run.recipe.model,
        dataset=run.recipe.dataset,
        epochs=run.recipe.epochs,
        epochs_done=run.epoch,
        seed=run.recipe.seed,
        seconds=round(run.clock.seconds, 2),
        parameters=weights_in_all(run.net),
        skipped_images=dict(skipped(run)),
        devices=[str(device) for device in run.devices],
        workers=run.workers,
        threads=threads.taken(),
        amx=matrix_units.taken(),
        versions=versions(),
        command=run.command,
        finished=time.strftime("%Y-%m-%d %H:%M:%S"),
        recipe=run.recipe.as_dict(),
    )


def _chosen(run):
    """The accuracies of the epochs so far; None where none was evaluated."""
    evaluated, best = run.accuracies, run.best or {"top1": None}
    return dict(
        **_named("best_accuracy", "best_top5", best),
        best_epoch=run.best and best["epoch"] + 1,
        best_chosen_on=run.inputs.chosen_on,
        last_accuracy=evaluated[-1]["top1"] if evaluated else None,
    )


def _accuracies(run):
    found = _chosen(run)
    if run.inputs.test is not None:
        # The test set is looked at once, with the weights that the validation split chose.
        _demand_best(run)
        run.evaluated.net.load_parameters(str(run.folder / "best.params"), ctx=run.devices)
        test = run.accuracy(run.evaluation(run.inputs.test))
        found.update(_named("test_accuracy_of_best", "test_top5_of_best", test))
        run.evaluated.net.load_parameters(str(run.folder / "last.params"), ctx=run.devices)
    return found


def _named(accuracy, top5, found):
    """Entries of metrics.json: an accuracy with its 95 % interval, and the top-5 where there is one."""
    names = {accuracy: "top1", f"{accuracy}_interval": "top1_interval", top5: "top5"}
    return {name: found[key] for name, key in names.items() if key in found}


def _in_words(accuracy, metrics):
    """Of a run that began under an older version the interval is not known."""
    interval = metrics.get(f"{accuracy}_interval")
    return in_words(metrics[accuracy], interval) if interval else f"{100 * metrics[accuracy]:.2f} %"
