"""One update of the weights: its learning rate, and a batch cut over devices, forward, backward, optimiser."""

from __future__ import annotations

import math
import os

import mxnet as mx
from mxnet import autograd, gluon

from gluon_attn.errors import GluonAttnError
from gluon_attn.losses import for_training, parts
from gluon_attn.train.adamw import AdamW
from gluon_attn.train.build import exempt_from_decay
from gluon_attn.train.objective import prepare

# What MXNet's parameter server asks the environment for; without one of them it ends in a C++ error.
LAUNCHED = ("DMLC_NUM_WORKER", "DMLC_NUM_SERVER", "DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT")


def learning_rate(recipe, steps_per_epoch, step):
    """The rate of update `step` (counted from 0 over the whole run, whatever the number of workers).

    With W warm-up and T total updates and the peak rate lr:
    warm-up  lr * t / W                                for t < W
    cosine   lr * (1 + cos(pi (t - W) / (T - W))) / 2  after it
    step     lr * decay ^ (milestones passed), milestones in epochs from 0

    So the first update of a warm-up has the rate 0 and moves the statistics alone. GluonCV's scheduler, which open-aff
    uses, counts t from 1 and divides by W - 1 and T - W - 1: its first rate is lr / (W - 1), and the last two are 0.
    The rates differ by 2 lr / (W - 1) at most.
    """
    warm = recipe.warmup_epochs * steps_per_epoch
    if step < warm:
        return recipe.peak_lr * step / warm
    if recipe.schedule == "cosine":
        total = recipe.epochs * steps_per_epoch
        return recipe.peak_lr * (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
    passed = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
    return recipe.peak_lr * recipe.lr_decay**passed


def create_trainer(net, recipe, kvstore):
    """A Trainer with the recipe's optimiser; the learning rate is set before each update."""
    if recipe.no_wd:
        exempt_from_decay(net)
    half = recipe.dtype == "float16"
    common = dict(wd=recipe.wd, learning_rate=recipe.peak_lr, **({"multi_precision": True} if half else {}))
    if recipe.optimizer == "adamw":
        optimiser = AdamW(**common)
    else:
        optimiser = mx.optimizer.create(recipe.optimizer, momentum=recipe.momentum, **common)
    # The updates run here and not in the parameter server: their state can then be saved, and AMP needs it.
    trainer = gluon.Trainer(net.collect_params(), optimiser, kvstore=kvstore, update_on_kvstore=False)
    # Now, and not in the first update: it gives all devices the first one's running statistics, which on resuming
    # would undo what the checkpoint says.
    trainer._init_kvstore()
    trainer._init_params()
    return trainer


class Updater:
    """`updater(images, labels, ...)` moves the weights once and adds the loss to `self.totals`; waits for no device."""

    def __init__(self, net, trainer, objective, devices, recipe, classes):
        self.net, self.forward = net, for_training(net, static_alloc=True)
        self.trainer, self.objective = trainer, objective
        self.devices, self.pieces, self.classes = devices, recipe.accumulate, classes
        self.smoothing, self.dtype = recipe.label_smoothing, recipe.dtype
        self.weights = [p for p in net.collect_params().values() if p.grad_req != "null"]
        if self.pieces > 1:
            for parameter in self.weights:
                parameter.grad_req = "add"
        self.totals = [mx.nd.zeros((1,), ctx=device) for device in devices]

    def __call__(self, images, labels, lr, mixing=None, batch_size=None):
        """`batch_size`: images of the whole batch, where other workers hold a part of it."""
        if self.pieces > 1:
            for parameter in self.weights:
                parameter.zero_grad()
        for share in _cut(images, labels, self.pieces):
            self._backward(*share, mixing)
        self.trainer.set_learning_rate(lr)
        self.trainer.step(batch_size or len(labels))

    def _backward(self, images, labels, mixing):
        shares = _cut(images, labels, len(self.devices))
        losses = []
        for device, total, (x, y) in zip(self.devices, self.totals, shares):
            x, y = x.as_in_context(device), y.as_in_context(device)
            x, targets = prepare(x, y, self.classes, self.smoothing, mixing)
            x = x.astype("float16", copy=False) if self.dtype == "float16" else x
            opinion = self.objective.teach(x)
            with autograd.record():
                logits, own = parts(self.net, self.forward(x))
                loss = self.objective(logits, targets, opinion)
                losses.append(loss if own is None else loss + own)
            total += losses[-1].detach()
        autograd.backward(losses)
        for device in self.devices[len(shares) :]:
            self._idle(device)

    def _idle(self, device):
        """A batch with fewer images than devices leaves `device` without any: its gradient is zero, and not stale."""
        for parameter in self.weights:
            if self.pieces == 1:
                parameter.grad(device)[:] = 0
            parameter.data(device)._fresh_grad = True


def _cut(images, labels, parts):
    """Nearly equal parts, as many as there are images at most."""
    parts = min(parts, len(labels))
    return list(zip(*(gluon.utils.split_data(array, parts, even_split=False) for array in (images, labels))))


def open_store(kvstore):
    """The parameter server of a distributed run, to which this process then belongs; None on one machine."""
    if not kvstore.startswith("dist"):
        return None
    missing = [name for name in LAUNCHED if name not in os.environ]
    if missing:
        raise GluonAttnError(
            f"--kvstore {kvstore} is for processes that know of each other, and {missing[0]} is not set: start them "
            "by `gluon-attn launch -n WORKERS -- COMMAND`, or leave out --kvstore."
        )
    return mx.kv.create(kvstore)


class SumOverWorkers:
    """What the workers of a distributed run tell each other besides gradients: `total = over_workers(mine)`.

    To be called by all workers at the same point of the run; waits for them.
    """

    def __init__(self, store, key):
        """`store`: a dist_sync parameter server, or None where there is one worker; `key`: a number of its own."""
        self.store, self.key = store, key
        if store:
            store.init(key, mx.nd.zeros(1))

    def __call__(self, mine):
        if not self.store:
            return mine
        total = mx.nd.array([mine])
        self.store.push(self.key, total)
        self.store.pull(self.key, out=total)
        return float(total.asscalar())
