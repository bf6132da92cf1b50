"""Learning rate as a function of the update's number: linear warm-up, then a cosine to zero or steps."""

from __future__ import annotations

import math


def learning_rate(recipe, steps_per_epoch, step):
    """The rate of update ``step`` (counted from 0 over the whole run, whatever the number of workers).

    With W warm-up and T total updates and the peak rate lr:
    warm-up  lr * t / W                                for t < W
    cosine   lr * (1 + cos(pi (t - W) / (T - W))) / 2  after it
    step     lr * decay ^ (milestones passed), milestones in epochs from 0
    """
    warm = recipe.warmup_epochs * steps_per_epoch
    if step < warm:
        return recipe.peak_lr * step / warm
    if recipe.schedule == "cosine":
        total = recipe.epochs * steps_per_epoch
        return recipe.peak_lr * (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
    passed = sum(step >= milestone * steps_per_epoch for milestone in recipe.milestones)
    return recipe.peak_lr * recipe.lr_decay**passed
