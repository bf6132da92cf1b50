"""best.params: of which epoch it is, and where that file is when a run goes on from a checkpoint that is named."""

from __future__ import annotations

import shutil
from pathlib import Path

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import md5, replacing
from gluon_attn.train.checkpoint import Checkpoints
from gluon_attn.weights.files import write_parameters

NAME, ASIDE = "best.params", "best-before.params"


class BestFile:
    """`epoch` is the one whose weights the file has: a full disk may have kept it from the best one's."""

    def __init__(self, folder):
        self.path = Path(folder) / NAME
        self.epoch = self.md5 = None

    def write(self, net, epoch):
        write_parameters(self.path, net)
        self.epoch, self.md5 = epoch, md5(self.path)

    def problem(self, epoch):
        """Why the file is not that of `epoch`, the best one, in words; '' where it is."""
        if self.epoch != epoch:
            return "could not be written then"
        if self.md5 is None:  # an early checkpoint does not say
            return "" if self.path.is_file() else "is gone"
        if not self.path.is_file() or md5(self.path) != self.md5:
            return "is not what this run wrote then, but was exchanged, changed or removed"
        return ""

    @property
    def facts(self):
        """What a checkpoint keeps of it."""
        return dict(kept=self.epoch, kept_md5=self.md5)


def go_on(run, meta):
    """Bring best.params to where the checkpoint of `meta` had it; `run` is at that checkpoint.

    The file lies beside the checkpoint, but later epochs may have written another: then the epochs before are no
    longer candidates for the best one (`lost` in their rows), but for the last of them, whose weights the run has.
    """
    file, checkpoint = run.best_file, run.recipe.checkpoint
    # Before it was said, it was the best epoch's.
    file.epoch, file.md5 = meta.get("kept", run.best and run.best["epoch"]), meta.get("kept_md5")
    if run.rank:
        return
    if not checkpoint:  # later epochs may have written another file, and are done again
        if file.epoch is not None and not file.path.exists():
            _without(run)
        return
    beside = checkpoint.parent / NAME
    if file.epoch is not None and _is_of(file, beside, checkpoint):
        if not file.path.exists():
            with replacing(file.path) as temporary:
                shutil.copyfile(beside, temporary)
        return
    _without(run)


def _is_of(file, beside, checkpoint):
    """Whether `beside` is the file that the checkpoint knew; an early one does not say, and is the newest there."""
    if not beside.is_file():
        return False
    if file.md5 is None:
        newest = Checkpoints(beside.parent).paths()[:1]
        return [path.name for path in newest] == [checkpoint.name]
    return md5(beside) == file.md5


def _without(run):
    """Go on where the file is not to be had."""
    run.best_file.epoch = run.best_file.md5 = None
    best, where = run.best, run.recipe.checkpoint or run.folder
    there = f"beside {where}" if run.recipe.checkpoint else f"in {where}"
    last = best is not None and best["epoch"] == run.epoch - 1 and not run.batch
    if best and not last:
        if run.epoch >= run.recipe.epochs and run.history[-1] is run.accuracies[-1]:
            raise GluonAttnError(
                f"{where} has all {run.recipe.epochs} epochs done, and the {NAME} of its best one, epoch "
                f"{best['epoch'] + 1}, is not there: give more --epochs."
            )
        for row in run.accuracies:
            row["lost"] = True
        run.log.warn(
            f"the weights of epoch {best['epoch'] + 1}, the best so far, are not {there}: "
            f"{NAME} will be of the best epoch from here on"
        )
    if run.best_file.path.exists():
        run.best_file.path.replace(run.best_file.path.with_name(ASIDE))
        run.log.warn(f"{NAME} was of an epoch that this run has not seen: it is {ASIDE} now")
    if last:
        run.evaluated.take_up()
        run.best_file.write(run.evaluated.net, best["epoch"])
