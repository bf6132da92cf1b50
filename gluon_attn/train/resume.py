"""Going on with a run from a checkpoint: whether it is one of this run, and what may be otherwise."""

from __future__ import annotations

from collections import Counter

from gluon_attn import matrix_units, threads
from gluon_attn.errors import GluonAttnError
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train import best, checkpoint
from gluon_attn.train.log import Clock
from gluon_attn.weights.card import Card
from gluon_attn.weights.labels import first_renamed

# A resumed run may differ in these; in anything else it would be another run.
FREE = ("output", "resume", "workers", "data_root", "checkpoint_steps", "eval_batch_size", "amx")


def check_fit(run, arrays, meta):
    """GluonAttnError where a checkpoint is not one of such a run; one of other settings is for `go_on` to judge."""
    if run.recipe.resume != "auto":
        _refuse_other_optimiser(run, _before(meta)["optimizer"])
    elif set(_changed(run, meta)) - {"epochs"} or _images(run, meta) != run.inputs.images:
        return
    most = dict(batch=len(run.inputs.train), images=run.inputs.images)
    for key, limit in most.items():
        if meta[key] > limit:
            raise GluonAttnError(f"It says {key} {meta[key]}; an epoch of this run has {limit}.")
    checkpoint.check_arrays(arrays, run.net, run.trainer, run.updater.totals, run.evaluated)
    if run.recipe.resume != "auto":
        _refuse_fewer_epochs(run, meta)


def _before(meta):
    """The options of the checkpoint's run; one that is younger than the checkpoint had its default."""
    return {**Recipe().as_dict(), **meta.get("recipe", {})}


def _changed(run, meta):
    """{option: what it was} of those that the checkpoint's run had otherwise."""
    before = _before(meta)
    return {k: before[k] for k, v in run.recipe.as_dict().items() if k not in FREE and before[k] != v}


def _images(run, meta):
    """Training images of the checkpoint's run; an early checkpoint does not say."""
    return meta.get("training_images", run.inputs.images)


def go_on(run, arrays, meta):
    """Put the run where the checkpoint was; a run of other settings is refused, or named in the log."""
    before, changed = _before(meta), _changed(run, meta)
    longer = _more_epochs(run, before["epochs"], changed)
    if longer:
        del changed["epochs"]
    if changed and run.recipe.resume == "auto":
        was = ", ".join(_flag(key, value) for key, value in changed.items())
        raise GluonAttnError(
            f"The run in {str(run.folder)!r} was started with {was}: repeat that, or take another --output, or "
            "name the checkpoint file (--resume FILE) to go on under the new settings."
        )
    _refuse_other_classes(run, meta)
    _refuse_other_images(run, meta)
    _say_what_differs(run, meta)
    checkpoint.restore(arrays, run.net, run.trainer, run.updater.totals, run.evaluated)
    run.epoch, run.batch, run.images = meta["epoch"], meta["batch"], meta["images"]
    run.passed_over = meta.get("passed_over", 0)
    run.trainer.optimizer.begin_num_update = run.step - run.passed_over  # AdamW's count of updates
    run.skipped_before = Counter(meta.get("skipped", {}))
    run.history, run.clock = meta["history"], Clock(meta["seconds"])
    if not changed:  # else it is another run, which begins here
        run.command = str(meta.get("command", run.command)) + (f" --epochs {run.recipe.epochs}" if longer else "")
    best.go_on(run, meta)
    other = f", with other {', '.join(changed)}" if changed else ""
    run.log.line(f"resumed at epoch {run.epoch + 1}, batch {run.batch}{other}")


def _say_what_differs(run, meta):
    """What the results will not be the same for."""
    if run.inputs.seen and "identity" not in meta:
        run.log.warn(
            "an earlier version held other pictures out: some of those that choose the best epoch now were trained on, "
            "and its accuracy is too high"
        )
    if meta.get("threads", threads.taken()) != threads.taken():
        run.log.warn(
            f"this run had {meta['threads']} CPU cores until now, and has {threads.taken()}: it goes on, but its "
            f"results will differ in the last digits (--threads or {threads.VARIABLE} say how many)"
        )
    if meta.get("amx", matrix_units.taken()) != matrix_units.taken():
        change = "with AMX until now, and goes on without" if meta["amx"] else "without AMX until now, and goes on with"
        remedy = "" if meta["amx"] else " (--amx off goes on as before)"
        run.log.warn(f"this run was trained {change}: its results will differ by the rounding of bfloat16{remedy}")


def _flag(key, value):
    flag = f"--{key.replace('_', '-')}"
    return f"no {flag}" if value in ("", {}, ()) else f"{flag} {value}"


def _refuse_other_images(run, meta):
    """By `auto`, which goes on with the same run: with other images some that it was trained on would be tested on."""
    if run.recipe.resume != "auto":
        return
    count, known = _images(run, meta), meta.get("identity", "" if run.inputs.seen else run.inputs.identity)
    if count != run.inputs.images:
        other = f"The run in {str(run.folder)!r} had {count} training images, and {run.recipe.dataset} has "
        other += f"{run.inputs.images} now"
    elif known != run.inputs.identity:
        why = "pictures have come, gone, changed or been renamed" if known else "an earlier version held others out"
        other = f"{run.recipe.data_root or run.recipe.dataset} has other training images than the run in "
        other += f"{str(run.folder)!r} was started with ({why})"
    else:
        return
    raise GluonAttnError(
        f"{other}: bring them back, take another --output, or name the checkpoint file (--resume FILE) to go on with "
        "these."
    )


def _refuse_other_classes(run, meta):
    """The outputs' meaning would change under weights that were trained for another."""
    known = meta.get("classes")
    if known is None:  # an early checkpoint: the card beside it has them
        beside = Card.beside(run.recipe.checkpoint or run.folder / "last.params")
        known = beside.classes if beside else ()
    other = first_renamed(known, run.card.classes)
    if other:
        raise GluonAttnError(
            f"The run that --resume {run.recipe.resume} goes on with was trained on other classes: where it knew "
            f"{other[0]!r}, {run.recipe.dataset} has {other[1]!r} now. Give the folders the names that it knew, or "
            "start anew from its weights (--pretrained, --new-head) with another --output."
        )


def _refuse_other_optimiser(run, before):
    if "adamw" in (before, run.recipe.optimizer) and before != run.recipe.optimizer:
        raise GluonAttnError(
            f"--optimizer {run.recipe.optimizer} cannot go on with what {before} remembers of this run: start "
            f"anew from its weights, --pretrained {run.folder / 'last.params'}."
        )


def _refuse_fewer_epochs(run, meta):
    done = f"{meta['epoch']} epochs" + f" and {meta['batch']} updates" * bool(meta["batch"])
    if meta["epoch"] + bool(meta["batch"]) > run.recipe.epochs:
        raise GluonAttnError(
            f"{run.recipe.resume} has {done} done already, more than --epochs {run.recipe.epochs}: give more, or take "
            "an earlier checkpoint."
        )


def _more_epochs(run, before, changed):
    """Whether the run is to go on for longer: all that was done stands, as the step schedule's rates do."""
    if "epochs" not in changed or run.recipe.epochs < before:
        return False
    if run.recipe.schedule != "step" or run.recipe.mixup_off_epochs:
        if run.recipe.resume != "auto":  # a checkpoint that is named goes on under any settings
            return False
        what = "--mixup-off-epochs" if run.recipe.schedule == "step" else "the cosine schedule"
        raise GluonAttnError(
            f"This run was started with --epochs {before}, on which {what} depends from the first epoch: "
            f"with {run.recipe.epochs} it would be another run. Repeat --epochs {before}, or start anew "
            f"from its weights: --pretrained {run.folder / 'last.params'}, with another --output."
        )
    return True
