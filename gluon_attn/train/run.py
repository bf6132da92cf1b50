"""One run: the objects it is made of, where it stands, and how that is saved, resumed and reported."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
import time
from collections import Counter

import mxnet as mx

from gluon_attn import threads, zoo
from gluon_attn.accuracy import in_words
from gluon_attn.complexity import count_parameters
from gluon_attn.devices import parse_devices, prepare_arithmetic
from gluon_attn.errors import GluonAttnError, WriteError
from gluon_attn.evaluate import evaluate
from gluon_attn.files import write_text
from gluon_attn.recipe.check import check
from gluon_attn.recipe.recipe import IN_RUN, Recipe
from gluon_attn.train import build as network
from gluon_attn.train import checkpoint
from gluon_attn.train.build import Evaluated
from gluon_attn.train.folder import claimed, refuse_another_run
from gluon_attn.train.inputs import open_inputs
from gluon_attn.train.log import Clock, RunLog, row_text, versions
from gluon_attn.train.objective import Objective
from gluon_attn.train.parts import weights_in_all
from gluon_attn.train.update import SumOverWorkers, Updater, create_trainer
from gluon_attn.weights.files import write_parameters
from gluon_attn.weights.load import quietly

# A resumed run may differ in these; in anything else it would be another run.
FREE = ("output", "resume", "workers", "data_root", "checkpoint_steps", "eval_batch_size")


class Run:
    """`epoch` counts finished epochs; `batch` and `images` are done of the next one."""

    def __init__(self, recipe, progress=True):
        check(recipe)
        threads.take(recipe.threads)
        self.recipe, self.progress, self.folder = recipe, progress, recipe.folder
        self.devices = parse_devices(recipe.devices)
        prepare_arithmetic(recipe.dtype, self.devices)
        store = mx.kv.create(recipe.kvstore) if recipe.kvstore.startswith("dist") else None
        self.rank, self.workers = (store.rank, store.num_workers) if store else (0, 1)
        if self.rank == 0:
            refuse_another_run(self.folder, recipe.resume)
        # The loaders fork their workers: before the network, whose memory they need not share.
        self.inputs = open_inputs(recipe, self.rank, self.workers)
        self.net = self._network()
        self.random = network.has_dropout(self.net)
        with quietly():
            self.evaluated = Evaluated(self.net, self._network(), recipe.ema)
        self.trainer = create_trainer(self.net, recipe, store or recipe.kvstore)
        self.updater = Updater(self.net, self.trainer, self._objective(), self.devices, recipe, self.inputs.classes)
        self.card = self._card()
        self.over_workers = SumOverWorkers(store, key=len(self.trainer._params))  # its own keys are the numbers below
        self.epoch = self.batch = self.images = 0
        self.history, self.clock = [], Clock()
        self._said = set()
        self.kept = None  # the epoch whose weights best.params has: a full disk may have kept it from the best one's
        self._open = contextlib.ExitStack()
        if self.rank == 0:  # only now: the loaders' workers would hold the lock of a killed run
            self._open.enter_context(claimed(self.folder))
        self.log = RunLog(self.folder, writes=self.rank == 0, console=progress)
        self.checkpoints = checkpoint.Checkpoints(self.folder)

    def _network(self):
        return network.build(self.recipe, self.inputs.classes, self.devices)

    def _card(self):
        chosen = f"the first epoch of the highest accuracy on the {self.inputs.chosen_on} images"
        notes = dict(best=chosen, seed=self.recipe.seed, validation=self.recipe.validation, versions=versions())
        if self.inputs.division:
            notes["division"] = self.inputs.division
        return self.inputs.card.but(arch=zoo.own_arch(self.net, zoo.find(self.recipe.model)), notes=notes)

    def _objective(self):
        if not self.recipe.teacher:
            return Objective()
        weights = self.recipe.teacher_weights
        teacher = zoo.get_model(self.recipe.teacher, pretrained=weights, classes=self.inputs.classes)
        teacher.collect_params().reset_ctx(self.devices)
        if self.recipe.dtype == "float16":
            teacher.cast("float16")
        teacher.hybridize(static_alloc=True)
        return Objective(teacher, self.recipe.temperature, self.recipe.hard_weight)

    @property
    def step(self):
        """Updates done."""
        return self.epoch * len(self.inputs.train) + self.batch

    def begin(self):
        """Start afresh, or go on from a checkpoint, as --resume says."""
        found = None
        if self.recipe.resume == "auto":
            found = self.checkpoints.newest(self.log.warn, self._check_fit)
        elif self.recipe.resume:
            found = checkpoint.read(self.recipe.resume)
            self._refuse_other_optimiser({**Recipe().as_dict(), **found[1].get("recipe", {})}["optimizer"])
            self._check_fit(*found)
        if found is not None:
            self._resume(*found)
            self._say_what_it_is()
            return
        if self.rank == 0:
            self.checkpoints.clear()  # an earlier run's here: a later --resume must not find them
        self._say_what_it_is()
        self.log.line(
            f"{self.recipe.model} on {self.recipe.dataset}: {self._size()}, "
            f"{self.inputs.images} training images, {self.recipe.epochs} epochs of {len(self.inputs.train)} updates "
            f"on {self._where()}"
        )
        if self.inputs.division:
            self.log.line(self.inputs.division)

    def _say_what_it_is(self):
        """The files that make the folder a model, once it is sure that the run will go on."""
        if self.rank == 0:
            self.card.write(self.folder)
            write_text(self.folder / IN_RUN, self.recipe.to_yaml())

    def _size(self):
        count, trained = weights_in_all(self.net), count_parameters(self.net)
        frozen = f" ({trained:,} of them trained, {', '.join(self.recipe.freeze)} frozen)" if self.recipe.freeze else ""
        return f"{count:,} parameters{frozen}"

    def close(self):
        self.log.close()
        self._open.close()

    def _check_fit(self, arrays, meta):
        """GluonAttnError where a checkpoint is not one of such a run; one of other settings is `_resume`'s to judge."""
        if self.recipe.resume == "auto" and set(self._changed(meta)) - {"epochs"}:
            return
        most = dict(batch=len(self.inputs.train), images=self.inputs.images)
        for key, limit in most.items():
            if meta[key] > limit:
                raise GluonAttnError(f"It says {key} {meta[key]}; an epoch of this run has {limit}.")
        checkpoint.check_arrays(arrays, self.net, self.trainer, self.updater.totals, self.evaluated)

    def _changed(self, meta):
        """Names of the options that the checkpoint's run had otherwise."""
        before = {**Recipe().as_dict(), **meta["recipe"]}  # one that is younger than the checkpoint had its default
        return {k: before[k] for k, v in self.recipe.as_dict().items() if k not in FREE and before[k] != v}

    def _where(self):
        where = ", ".join(map(str, self.devices)) + (f", {self.workers} workers" if self.workers > 1 else "")
        if self.devices[0].device_type == "cpu":
            where += f" with {threads.taken()} of {os.cpu_count()} cores (--threads)"
        return where

    def _resume(self, arrays, meta):
        # An option that is younger than the checkpoint had its default.
        before = {**Recipe().as_dict(), **meta["recipe"]}
        changed = [k for k, v in self.recipe.as_dict().items() if k not in FREE and before[k] != v]
        if self._more_epochs(before, changed):
            changed.remove("epochs")
        if changed and self.recipe.resume == "auto":
            was = ", ".join(f"--{k.replace('_', '-')} {before[k]}" for k in changed)
            raise GluonAttnError(
                f"The run in {str(self.folder)!r} was started with {was}: repeat that, or take another --output, or "
                "name the checkpoint file (--resume FILE) to go on under the new settings."
            )
        if meta.get("threads", threads.taken()) != threads.taken():
            self.log.warn(
                f"this run had {meta['threads']} CPU cores until now, and has {threads.taken()}: it goes on, but its "
                f"results will differ in the last digits (--threads or {threads.VARIABLE} say how many)"
            )
        checkpoint.restore(arrays, self.net, self.trainer, self.updater.totals, self.evaluated)
        self.epoch, self.batch, self.images = meta["epoch"], meta["batch"], meta["images"]
        self.trainer.optimizer.begin_num_update = self.step  # AdamW's count of updates
        self.history, self.clock = meta["history"], Clock(meta["seconds"])
        self.kept = meta.get("kept", self.best["epoch"] if self.accuracies else None)
        other = f", with other {', '.join(changed)}" if changed else ""
        self.log.line(f"resumed at epoch {self.epoch + 1}, batch {self.batch}{other}")

    def _refuse_other_optimiser(self, before):
        if "adamw" in (before, self.recipe.optimizer) and before != self.recipe.optimizer:
            raise GluonAttnError(
                f"--optimizer {self.recipe.optimizer} cannot go on with what {before} remembers of this run: start "
                f"anew from its weights, --pretrained {self.folder / 'last.params'}."
            )

    def _more_epochs(self, before, changed):
        """Whether the run is to go on for longer: all that was done stands, as the step schedule's rates do."""
        if "epochs" not in changed or self.recipe.epochs < before["epochs"]:
            return False
        if self.recipe.schedule != "step" or self.recipe.mixup_off_epochs:
            if self.recipe.resume != "auto":  # a checkpoint that is named goes on under any settings
                return False
            what = "--mixup-off-epochs" if self.recipe.schedule == "step" else "the cosine schedule"
            raise GluonAttnError(
                f"This run was started with --epochs {before['epochs']}, on which {what} depends from the first epoch: "
                f"with {self.recipe.epochs} it would be another run. Repeat --epochs {before['epochs']}, or start anew "
                f"from its weights: --pretrained {self.folder / 'last.params'}, with another --output."
            )
        return True

    def mean_loss(self, totals, images):
        """The loss an image of this worker; one that is no number ends the run, with what was saved intact."""
        return self._finite(sum(float(total.asscalar()) for total in totals) * self.workers / max(images, 1))

    def epoch_loss(self):
        """The loss an image of the epoch so far, over all workers."""
        loss = self.mean_loss(self.updater.totals, self.images)
        return self._finite(self.over_workers(loss) / self.workers)

    def _finite(self, loss):
        if not math.isfinite(loss):
            self._diverged(f"the loss is {loss}")
        return loss

    def check_weights(self):
        if not network.finite(self.net):
            self._diverged("the weights are no longer finite numbers")

    def _diverged(self, what):
        kept = (
            f"the weights of epoch {len(self.history)} are kept in {self.folder}" if self.history else "no epoch ended"
        )
        raise GluonAttnError(
            f"Training stopped at epoch {self.epoch + 1}, batch {self.batch}: {what}; {kept}. Try a smaller --lr, more "
            "--warmup-epochs" + (", or --dtype float32." if self.recipe.dtype != "float32" else ".")
        )

    def accuracy(self, loader):
        dtype = "float16" if self.recipe.dtype == "float16" else "float32"
        found = evaluate(self.evaluated.net, loader, self.devices, dtype=dtype)
        return {key: found[key] for key in ("top1", "top1_interval", "top5") if key in found}

    def record(self, row):
        """Weights first and the checkpoint last: whatever a kill leaves out is done again, the same, on resuming."""
        self.history.append(row)
        self.epoch, self.batch, self.images = self.epoch + 1, 0, 0
        for total in self.updater.totals:
            total[:] = 0
        if self.rank:
            return
        with self.log.going_on():
            write_parameters(self.folder / "last.params", self.evaluated.net)
            if "top1" in row and self.best is row:
                write_parameters(self.folder / "best.params", self.evaluated.net)
                self.kept = self.epoch - 1
        self.checkpoint()
        self.log.history(self.history)
        self.log.scalars(row)
        self.log.line(row_text(row, self.recipe.epochs, self.inputs.chosen_on))
        self._say_skipped()

    def _skipped(self):
        """{name: how often} of the images left out (--on-bad-image skip), in training and in evaluation."""
        loaders = (self.inputs.train, self.inputs.evaluation, self.inputs.test)
        return sum((getattr(loader, "skipped", Counter()) for loader in loaders), Counter())

    def _say_skipped(self):
        skipped = self._skipped()
        new = sorted(set(skipped) - self._said)
        self._said.update(new)
        if new:
            shown = ", ".join(new[:5]) + (", ..." if len(new) > 5 else "")
            self.log.warn(f"left out {len(new)} more images that cannot be read: {shown} (all are in metrics.json)")

    @property
    def accuracies(self):
        """Rows of the epochs after which the network was evaluated."""
        return [row for row in self.history if "top1" in row]

    def out_of_patience(self):
        """Whether --patience epochs have passed without a better accuracy. It is all in the history, so in checkpoints.

        Asked before every epoch; the line in the log is said once.
        """
        patience = self.recipe.patience
        if not patience or not self.accuracies or self.batch or self.epoch - 1 - self.best["epoch"] < patience:
            return False
        if self.epoch < self.recipe.epochs:
            self.log.line(
                f"ended after epoch {self.epoch}: no better accuracy on {self.inputs.chosen_on} for {patience} epochs"
            )
        return True

    @property
    def best(self):
        """The first of the epochs with the highest accuracy."""
        return max(self.accuracies, key=lambda row: row["top1"])

    def checkpoint(self):
        """A checkpoint in passing: where it cannot be written, the one before stays and the training goes on."""
        if self.rank == 0:
            with self.log.going_on():
                self.save()

    def save(self):
        arrays = checkpoint.capture(self.net, self.trainer, self.updater.totals, self.evaluated)
        if self.batch:
            self.mean_loss(self.updater.totals, self.images)
            self.check_weights()
        meta = dict(
            recipe=self.recipe.as_dict(),
            epoch=self.epoch,
            batch=self.batch,
            images=self.images,
            history=self.history,
            kept=self.kept,
            seconds=self.clock.seconds,
            threads=threads.taken(),
            versions=versions(),
        )
        self.checkpoints.save(self.step, arrays, meta)

    def stop(self):
        """The files of a run that was asked to end before its last epoch, the checkpoint first."""
        self.save()
        with self.log.going_on():
            metrics = {**self._metrics(), **self._chosen()}
            metrics["stopped"] = metrics.pop("finished")
            self.log.metrics(metrics)
        if self.history:
            self.log.curves(self.history, self._title())
        self.log.line(f"stopped at epoch {self.epoch + 1}, batch {self.batch}; go on with --resume auto")

    def _title(self):
        return f"{self.recipe.model} on {self.recipe.dataset}, seed {self.recipe.seed}"

    def finish(self):
        """The run's last files; returns the metrics (on other workers than the first, without accuracies)."""
        if self.rank:
            return self._metrics()
        self.evaluated.settle()
        try:
            write_parameters(self.folder / "last.params", self.evaluated.net)
            metrics = {**self._metrics(), **self._accuracies()}
            self.log.metrics(metrics)
        except WriteError as error:
            again = "--resume auto then goes on from the last checkpoint and writes what is missing."
            raise WriteError(f"{error} All epochs are done: {again}") from error
        self.log.curves(self.history, self._title())
        if self.kept != self.best["epoch"]:
            self.log.warn("best.params is not of the best epoch: it could not be written then")
        tested = "test_accuracy_of_best" in metrics and f"on test {_in_words('test_accuracy_of_best', metrics)}; "
        self.log.line(
            f"best {_in_words('best_accuracy', metrics)}, epoch {metrics['best_epoch']}, chosen on "
            f"{self.inputs.chosen_on}; {tested or ''}last {100 * metrics['last_accuracy']:.2f} %, "
            f"{metrics['seconds']:.0f} s: {self.folder}"
        )
        return metrics

    def _demand_best(self):
        if self.kept != self.best["epoch"]:
            raise GluonAttnError(
                f"{self.folder / 'best.params'} could not be written after epoch {self.best['epoch'] + 1}, the best "
                f"one: the test set was to see those weights. All else of the run is in {self.folder}."
            )

    def _metrics(self):
        return dict(
            model=self.recipe.model,
            dataset=self.recipe.dataset,
            epochs=self.recipe.epochs,
            epochs_done=self.epoch,
            seed=self.recipe.seed,
            seconds=round(self.clock.seconds, 2),
            parameters=weights_in_all(self.net),
            skipped_images=dict(self._skipped()),
            devices=[str(device) for device in self.devices],
            workers=self.workers,
            threads=threads.taken(),
            versions=versions(),
            command=shlex.join(sys.argv),
            finished=time.strftime("%Y-%m-%d %H:%M:%S"),
            recipe=self.recipe.as_dict(),
        )

    def _chosen(self):
        """The accuracies of the epochs so far; None where none was evaluated."""
        evaluated = self.accuracies
        best = self.best if evaluated else {"top1": None, "epoch": None}
        return dict(
            **_named("best_accuracy", "best_top5", best),
            best_epoch=best["epoch"] + 1 if evaluated else None,
            best_chosen_on=self.inputs.chosen_on,
            last_accuracy=evaluated[-1]["top1"] if evaluated else None,
        )

    def _accuracies(self):
        found = self._chosen()
        if self.inputs.test is not None:
            # The test set is looked at once, with the weights that the validation split chose.
            self._demand_best()
            self.evaluated.net.load_parameters(str(self.folder / "best.params"), ctx=self.devices)
            test = self.accuracy(self.inputs.test)
            found.update(_named("test_accuracy_of_best", "test_top5_of_best", test))
            self.evaluated.net.load_parameters(str(self.folder / "last.params"), ctx=self.devices)
        return found


def _named(accuracy, top5, found):
    """Entries of metrics.json: an accuracy with its 95 % interval, and the top-5 where there is one."""
    names = {accuracy: "top1", f"{accuracy}_interval": "top1_interval", top5: "top5"}
    return {name: found[key] for name, key in names.items() if key in found}


def _in_words(accuracy, metrics):
    """Of a run that began under an older version the interval is not known."""
    interval = metrics.get(f"{accuracy}_interval")
    return in_words(metrics[accuracy], interval) if interval else f"{100 * metrics[accuracy]:.2f} %"
