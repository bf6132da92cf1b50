"""One run: the objects it is made of, where it stands, and how that is saved. How it goes on: resume.py, report.py."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import shlex
import sys
from collections import Counter

from gluon_attn import matrix_units, threads, zoo
from gluon_attn.data.seen import Seen
from gluon_attn.devices import parse_devices, prepare_arithmetic
from gluon_attn.errors import GluonAttnError
from gluon_attn.evaluate import evaluate
from gluon_attn.files import write_text
from gluon_attn.recipe.check import check
from gluon_attn.recipe.recipe import IN_RUN
from gluon_attn.train import build as network
from gluon_attn.train import checkpoint, report, resume
from gluon_attn.train.best import BestFile
from gluon_attn.train.build import Evaluated
from gluon_attn.train.folder import claimed, refuse_another_run
from gluon_attn.train.inputs import open_inputs
from gluon_attn.train.log import Clock, RunLog, row_text, versions
from gluon_attn.train.update import SumOverWorkers, Updater, create_trainer, open_store
from gluon_attn.weights.files import write_parameters
from gluon_attn.weights.load import quietly
from gluon_attn.weights.origin import is_path


class Run:
    """`epoch` counts finished epochs; `batch` and `images` are done of the next one."""

    def __init__(self, recipe, progress=True):
        check(recipe)
        threads.take(recipe.threads)
        matrix_units.take(recipe.dtype, recipe.amx)
        self.recipe, self.progress, self.folder = recipe, progress, recipe.folder
        self.devices = parse_devices(recipe.devices)
        prepare_arithmetic(recipe.dtype, self.devices)
        store = open_store(recipe.kvstore)
        self.rank, self.workers = (store.rank, store.num_workers) if store else (0, 1)
        if self.rank == 0:
            refuse_another_run(self.folder, recipe.resume)
        # The loaders fork their workers: before the network, whose memory they need not share.
        self.inputs = open_inputs(recipe, self.rank, self.workers)
        self.net = self._network()
        network.check_sizes(recipe, self.net, self.inputs.card)
        self.random = network.has_dropout(self.net)
        with quietly():
            self.evaluated = Evaluated(self.net, self._network(), recipe.ema)
        objective = network.objective(recipe, self.inputs.card, self.devices)
        self.trainer = create_trainer(self.net, recipe, store or recipe.kvstore)
        self.updater = Updater(self.net, self.trainer, objective, self.devices, recipe, self.inputs.classes)
        self.seen = self._seen()
        self.card = self._card()
        self.over_workers = SumOverWorkers(store, key=len(self.trainer._params))  # its own keys are the numbers below
        self.epoch = self.batch = self.images = 0
        self.history, self.clock = [], Clock()
        self.command = shlex.join(sys.argv)  # of the run's beginning
        self.said, self.skipped_before = set(), Counter()
        self.passed_over = 0  # batches without an image
        self.best_file = BestFile(self.folder)
        self._open = contextlib.ExitStack()
        if self.rank == 0:  # only now: the loaders' workers would hold the lock of a killed run
            self._open.enter_context(claimed(self.folder))
        self.log = RunLog(self.folder, writes=self.rank == 0, console=progress)
        self.checkpoints = checkpoint.Checkpoints(self.folder)

    def _network(self):
        return network.build(self.recipe, self.inputs.classes, self.devices)

    def _seen(self):
        """Of a folder that nobody has divided, what the weights have learnt from: before this run, too."""
        seen, recipe = self.inputs.seen, self.recipe
        weights = os.path.expanduser(recipe.pretrained) if is_path(recipe.pretrained) else None
        for place in (weights, recipe.checkpoint, self.folder if recipe.resume == "auto" else None):
            if seen and place:
                seen = seen.and_before(Seen.beside(place))
        return seen

    def _card(self):
        chosen = f"the first epoch of the highest accuracy on the {self.inputs.chosen_on} images"
        notes = dict(best=chosen, seed=self.recipe.seed, validation=self.recipe.validation, versions=versions())
        if self.inputs.division:
            notes["division"] = self.inputs.division
        if self.seen:
            notes["trained_on"] = self.seen.digest
        return self.inputs.card.but(arch=zoo.own_arch(self.net, zoo.find(self.recipe.model)), notes=notes)

    @property
    def step(self):
        """Updates done."""
        return self.epoch * len(self.inputs.train) + self.batch

    def begin(self):
        """Start afresh, or go on from a checkpoint, as --resume says."""
        found = None
        if self.recipe.resume == "auto":
            found = self.checkpoints.newest(self.log.warn, functools.partial(resume.check_fit, self))
        elif self.recipe.checkpoint:
            found = checkpoint.read(self.recipe.checkpoint)
            resume.check_fit(self, *found)
        if found is not None:
            resume.go_on(self, *found)
            report.say_matrix_units(self)
            self._say_what_it_is()
            return
        if self.rank == 0:
            if self.recipe.resume == "auto" and (self.folder / "last.params").exists():
                self.log.line(f"no checkpoint in {self.folder} to go on from: the run starts anew")
            self.checkpoints.clear()  # an earlier run's here: a later --resume must not find them
        self._say_what_it_is()
        report.begin(self)
        report.say_matrix_units(self)
        if self.inputs.division:
            self.log.line(self.inputs.division)

    def _say_what_was_seen(self):
        known = self.inputs.seen.chosen_on - self.seen.chosen_on if self.seen else ()
        if known:
            self.log.warn(
                f"the weights that this run starts from were trained on {len(known)} of the "
                f"{len(self.inputs.seen.chosen_on)} pictures that choose its best epoch: its accuracy is too high"
            )

    def _say_what_it_is(self):
        """The files that make the folder a model, once it is sure that the run will go on."""
        if self.rank == 0:
            self._say_what_was_seen()
            self.card.write(self.folder)
            write_text(self.folder / IN_RUN, self.recipe.to_yaml())
            if self.seen:
                self.seen.write(self.folder)

    def close(self):
        self.log.close()
        self._open.close()

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

    def evaluation(self, loader, **meanwhile):
        """The batches of a loader whose images are evaluated."""
        if self.recipe.on_bad_image == "skip":
            meanwhile["passing_over"] = True
        return loader.epoch(**meanwhile)

    def accuracy(self, loader):
        dtype = "float16" if self.recipe.dtype == "float16" else "float32"
        found = evaluate(self.evaluated.net, loader, self.devices, dtype=dtype)
        return {key: found[key] for key in ("top1", "top1_interval", "top5") if key in found}

    def record(self, row):
        """Weights first and the checkpoint last: whatever a kill leaves out is done again, the same, on resuming."""
        matrix_units.settle()
        self.history.append(row)
        self.epoch, self.batch, self.images = self.epoch + 1, 0, 0
        for total in self.updater.totals:
            total[:] = 0
        if self.rank == 0:
            self._keep(row)

    def _keep(self, row):
        with self.log.going_on():
            write_parameters(self.folder / "last.params", self.evaluated.net)
            if self.best is row:
                self.best_file.write(self.evaluated.net, row["epoch"])
        self.checkpoint()
        self.log.history(self.history)
        self.log.scalars(row)
        self.log.line(row_text(row, self.recipe.epochs, self.inputs.chosen_on))
        report.say_skipped(self)

    def evaluate_last(self, meanwhile):
        """The accuracy of the epoch that turned out to be the last one, where none was due after it."""
        row = self.history[-1]
        if self.rank == 0 and "top1" not in row:
            self.evaluated.take_up()
            row.update(self.accuracy(self.evaluation(self.inputs.evaluation, meanwhile=meanwhile)))
            self._keep(row)

    @property
    def accuracies(self):
        """Rows of the epochs after which the network was evaluated."""
        return [row for row in self.history if "top1" in row]

    def out_of_patience(self):
        """Whether --patience evaluations have found no better accuracy. It is all in the history, so in checkpoints.

        Asked before every epoch; the line in the log is said once.
        """
        patience = self.recipe.patience
        if not patience or not self.best or self.batch or "top1" not in self.history[-1]:
            return False
        if sum(row["epoch"] > self.best["epoch"] for row in self.accuracies) < patience:
            return False
        if self.epoch < self.recipe.epochs:
            asked = f"in {patience} evaluation{'s' * (patience > 1)}"
            self.log.line(f"ended after epoch {self.epoch}: no better accuracy on {self.inputs.chosen_on} {asked}")
        return True

    @property
    def best(self):
        """The first of the epochs with the highest accuracy; None where there is none. Lost ones: train/best.py."""
        candidates = [row for row in self.accuracies if "lost" not in row]
        return max(candidates, key=lambda row: row["top1"], default=None)

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
            training_images=self.inputs.images,
            identity=self.inputs.identity,
            classes=list(self.card.classes),
            skipped=dict(report.skipped(self)),
            passed_over=self.passed_over,
            history=self.history,
            **self.best_file.facts,
            seconds=self.clock.seconds,
            command=self.command,
            threads=threads.taken(),
            amx=matrix_units.taken(),
            versions=versions(),
        )
        self.checkpoints.save(self.step, arrays, meta)
