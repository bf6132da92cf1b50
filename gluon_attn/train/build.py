"""The networks of a run: the one that is trained, built as the recipe says, and the one that is evaluated."""

from __future__ import annotations

import math

import mxnet as mx
from mxnet.gluon import nn

from gluon_attn import zoo
from gluon_attn.complexity import check_size
from gluon_attn.errors import GluonAttnError
from gluon_attn.models import norms
from gluon_attn.models.norms import blocks
from gluon_attn.train import parts
from gluon_attn.train.objective import Objective
from gluon_attn.weights.labels import first_renamed
from gluon_attn.weights.origin import Origin

INITIALISERS = {"msra": mx.init.MSRAPrelu, "xavier": mx.init.Xavier}

# Their gamma and beta are what weight decay leaves alone; attention scales of that name elsewhere are weights.
NORMALISATIONS = (nn.BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm)


def build(recipe, classes, devices):
    """The hybridized network on `devices`, with pretrained or seeded random weights."""
    mx.random.seed(recipe.seed)  # a head for other classes than the file's is drawn, too
    net = create(recipe, classes)
    initialiser = INITIALISERS[recipe.init]()
    if getattr(net, "card", None) is not None:  # it came with weights
        net.collect_params().reset_ctx(devices)
        if recipe.new_head:
            parts.renew_head(net, create(recipe.replace(pretrained=""), classes + 1), initialiser)
    else:
        net.initialize(initialiser, ctx=devices)
    parts.freeze(net, recipe.freeze)
    parts.scale_rate(net, recipe.head_lr)
    if recipe.use_global_stats:
        norms.infer(net)
    refuse_sync_on_cpu(recipe, devices)
    if recipe.sync_bn and len(devices) > 1:
        synchronise(net, len(devices))
    if recipe.dtype == "float16":
        net.cast("float16")
    net.hybridize(static_alloc=True, static_shape=False)
    return net


def create(recipe, classes):
    """The network as the zoo gives it."""
    arch = {**recipe.arch, **({"last_gamma": True} if recipe.last_gamma else {})}
    return zoo.get_model(
        recipe.model,
        pretrained=recipe.pretrained,
        variant=recipe.variant or None,
        classes=classes,
        **arch,
    )


def objective(recipe, card, devices):
    """What is minimised, with the teacher on `devices` where there is one."""
    if not recipe.teacher:
        return Objective()
    check_teacher(recipe, card)
    teacher = zoo.get_model(recipe.teacher, pretrained=recipe.teacher_weights)
    teacher.collect_params().reset_ctx(devices)
    if recipe.dtype == "float16":
        teacher.cast("float16")
    teacher.hybridize(static_alloc=True)
    return Objective(teacher, recipe.temperature, recipe.hard_weight)


def check_teacher(recipe, card):
    """GluonAttnError where there are no weights, or such for other classes than the student's `card`: it would teach
    noise.
    """
    classes = len(card.classes)
    origin = Origin.of(zoo.find(recipe.teacher).name, recipe.teacher_weights)
    if not origin:
        raise GluonAttnError(
            f"--teacher-weights {recipe.teacher_weights} leaves the teacher {recipe.teacher} without weights: give "
            "true, a tag or a file."
        )
    known = origin.classes or origin.classes_in_file(lambda: zoo.get_model(recipe.teacher))
    if known not in (None, classes):
        raise GluonAttnError(
            f"The weights of the teacher {recipe.teacher} (--teacher-weights {recipe.teacher_weights}) know {known} "
            f"classes, the student {classes}: give weights of a teacher that was trained on the same classes."
        )
    other = first_renamed(origin.card.classes, card.classes) if origin.card else None
    if other:
        raise GluonAttnError(
            f"The weights of the teacher {recipe.teacher} (--teacher-weights {recipe.teacher_weights}) know other "
            f"classes, or in another order: where they know {other[0]!r}, the student has {other[1]!r}. Give weights "
            "of a teacher that was trained on the same classes."
        )


def check_sizes(recipe, net, card):
    """Refuse images of a size that the network cannot take, in any epoch."""
    usual = card.input_size
    check_size(net, *sorted({usual, *(recipe.size_at(epoch, usual) for epoch in range(recipe.epochs))}))


def has_dropout(net):
    return any(isinstance(block, nn.Dropout) for block in blocks(net))


def exempt_from_decay(net):
    """Set wd_mult = 0 on every bias and on the gamma and beta of normalisations: by role, not by name."""
    for block in blocks(net):
        normalisation = isinstance(block, NORMALISATIONS)
        for role, parameter in block._reg_params.items():
            if role == "bias" or (normalisation and role in ("gamma", "beta")):
                parameter.wd_mult = 0.0


def synchronise(net, devices):
    """Replace each BatchNorm by a SyncBatchNorm over `devices` devices that has the same parameters."""
    from mxnet.gluon.contrib.nn import SyncBatchNorm

    def synced(norm):
        return SyncBatchNorm(
            in_channels=norm.gamma.shape[0],
            num_devices=devices,
            momentum=norm._kwargs["momentum"],
            epsilon=norm._kwargs["eps"],
            use_global_stats=norm._kwargs["use_global_stats"],
            prefix=norm.prefix,
            params=norm.params,
        )

    norms.replace(net, synced)


def refuse_sync_on_cpu(recipe, devices):
    if recipe.sync_bn and len(devices) > 1 and any(device.device_type == "cpu" for device in devices):
        raise GluonAttnError(
            "--sync-bn needs GPUs: with several CPU devices the backward pass of MXNet's SyncBatchNorm waits for "
            "itself for ever. Leave it out, or use --use-global-stats."
        )


def average_running_statistics(net):
    """Give every device the mean of the devices' running statistics: what is evaluated is then what is saved."""
    frozen = {parameter.name for parameter in getattr(net, "frozen", ())}
    for parameter in net.collect_params().values():
        if parameter.grad_req == "null" and parameter.name not in frozen and len(parameter.list_ctx()) > 1:
            copies = [array.as_in_context(mx.cpu()) for array in parameter.list_data()]
            parameter.set_data(sum(copies[1:], copies[0].copy()) / len(copies))


def finite(net):
    """Whether all parameters are finite numbers; waits for the device."""
    arrays = [parameter.list_data()[0] for parameter in net.collect_params().values()]
    # MXNet 1.9 writes past its arguments beyond 200 arrays (its own AMP counts in chunks, too).
    chunks = [arrays[start : start + 200] for start in range(0, len(arrays), 200)]
    return all(mx.nd.multi_all_finite(*chunk, num_arrays=len(chunk)).asscalar() for chunk in chunks)


def demand_finite(net, loss, epoch):
    """GluonAttnError where the loss of an epoch (from 0), or a weight after it, is no number."""
    if not (math.isfinite(loss) and finite(net)):
        raise GluonAttnError(
            f"Training stopped in epoch {epoch + 1}: loss or weights are not finite. Try a smaller lr."
        )


class Evaluated:
    """The network that is evaluated and stored: a second one.

    After `settle`, `net` holds the weights of the trained network; with `decay`, their moving average:

    average <- d * average + (1 - d) * weight after update t, d = min(decay, (1 + t) / (10 + t))

    (Polyak & Juditsky, 1992; the smaller d of the first updates forgets the random start). Running statistics count as
    weights.

    The trained network itself never runs in inference mode: oneDNN then changes the memory layout of its weights, in
    the background, and the next updates differ in their last bits from one run to the other.
    """

    def __init__(self, trained, net, decay=0.0):
        """`net`: a second network of the same build on the same devices."""
        self.net, self.decay = net, decay
        frozen = {parameter.name for parameter in getattr(trained, "frozen", ())}
        pairs = list(zip(net.collect_params().values(), trained.collect_params().values()))
        self.pairs = _arrays(pairs)
        self._copy()
        # An average of equal numbers may differ from them in its last bit.
        self.pairs = _arrays([pair for pair in pairs if pair[1].name not in frozen])

    def update(self, step):
        """To be called after update number `step`."""
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            for average, weight in self.pairs:
                average *= decay
                average += (1 - decay) * weight

    def settle(self):
        """Make `net` ready to be evaluated, with the same running statistics on every device."""
        if not self.decay:
            self._copy()
        average_running_statistics(self.net)

    def take_up(self):
        """As `settle`, after an epoch's end: there an average has been settled, and so is in checkpoints."""
        if not self.decay:
            self.settle()

    def _copy(self):
        for copy, weight in self.pairs:
            copy[:] = weight


def _arrays(pairs):
    """(copy, weight) of every device."""
    return [(a, w) for ours, theirs in pairs for a, w in zip(ours.list_data(), theirs.list_data())]
