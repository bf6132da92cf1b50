"""From labels to a loss, on one device: smoothing, mixup or cutmix, cross-entropy, distillation."""

from __future__ import annotations

from mxnet import nd

from gluon_attn.data import mix
from gluon_attn.data.seeding import random_state
from gluon_attn.models.network import logits_of


def draw_mixing(recipe, epoch, batch, size):
    """How this batch is mixed, the same for all devices and workers: None, ('mixup', lambda) or ('cutmix', box)."""
    if not (recipe.mixup or recipe.cutmix) or epoch >= recipe.epochs - recipe.mixup_off_epochs:
        return None
    rng = random_state(recipe.seed, epoch, batch, stream="mix")
    cut = recipe.cutmix > 0 and (recipe.mixup == 0 or rng.rand() < 0.5)
    lam = mix.sample_lambda(recipe.cutmix if cut else recipe.mixup, rng)
    return ("cutmix", mix.sample_box(size, size, lam, rng)) if cut else ("mixup", lam)


def prepare(images, labels, classes, smoothing, mixing):
    """(images, targets) of one device's share: targets (N, classes) are smoothed, then both are mixed."""
    targets = mix.one_hot_smooth(labels, classes, smoothing)
    if mixing is None:
        return images, targets
    kind, amount = mixing
    return {"mixup": mix.mixup, "cutmix": mix.cutmix}[kind](images, targets, amount)


def cross_entropy(logits, targets):
    """- sum over images and classes of target * log softmax(logits), in float32; a scalar.

    A sum, not a mean: the update divides by the images of the whole batch, so that a device with fewer images (the
    last batch) counts by its images, and a float16 gradient is scaled up by the batch for free.
    """
    return -(targets * nd.log_softmax(logits.astype("float32"), axis=-1)).sum()


class Objective:
    """The loss of a share: cross-entropy of each of the network's logits, and of a teacher's where there is one.

    Distillation (Hinton et al., arXiv 1503.02531): h * CE(y, z) + (1 - h) * T^2 * CE(softmax(t / T), z / T).
    """

    def __init__(self, teacher=None, temperature=1.0, hard_weight=1.0):
        self.teacher, self.temperature, self.hard_weight = teacher, temperature, hard_weight

    def teach(self, images):
        """The teacher's softened opinion of the share; called outside of `autograd.record`."""
        if self.teacher is None:
            return None
        return nd.softmax(logits_of(self.teacher, self.teacher(images)).astype("float32") / self.temperature, axis=-1)

    def __call__(self, outputs, targets, opinion):
        return sum(self._of(logits, targets, opinion) for logits in outputs)

    def _of(self, logits, targets, opinion):
        if opinion is None:
            return cross_entropy(logits, targets)
        soft = cross_entropy(logits.astype("float32") / self.temperature, opinion) * self.temperature**2
        return self.hard_weight * cross_entropy(logits, targets) + (1 - self.hard_weight) * soft
