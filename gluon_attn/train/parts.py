"""The parts of a network in fine-tuning: some frozen, the head new and with a rate of its own.

A part is what the network calls it: stem, stage1 ... stageN, branch (where the head has one), head.
"""

from __future__ import annotations

import numpy as np

from gluon_attn.complexity import count_parameters
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.models.norms import infer


def parts(net):
    """{name: block}, from the image to the classes."""
    stages = {f"stage{number}": stage for number, stage in enumerate(net.stages, start=1)}
    branch = {} if net.branch is None else {"branch": net.branch}
    return {"stem": net.stem, **stages, **branch, "head": net.head}


def freeze(net, names):
    """No update moves these parts, to the last bit: their weights get no gradient, their BatchNorms no statistics.

    Sets `net.frozen`, the list of their parameters.
    """
    known = parts(net)
    for name in names:
        if name not in known:
            raise unknown("part in --freeze", name, known)
    net.frozen = [p for name in names for p in known[name].collect_params().values()]
    for parameter in net.frozen:
        parameter.grad_req = "null"
    for name in names:
        infer(known[name])
    if names and not count_parameters(net):
        raise GluonAttnError(f"--freeze {','.join(names)} leaves nothing to train: leave out the head.")


def scale_rate(net, factor):
    """The head learns `factor` times as fast."""
    for parameter in net.head.collect_params().values():
        parameter.lr_mult = factor


def renew_head(net, sibling, initialiser):
    """New values for what belongs to the classes: parameters that have another shape in `sibling`, for more classes."""
    ours, theirs = (each._collect_params_with_prefix() for each in (net, sibling))
    for name, parameter in ours.items():
        if parameter.shape != theirs[name].shape:
            parameter.initialize(default_init=initialiser, ctx=parameter.list_ctx(), force_reinit=True)


def weights_in_all(net):
    """Trainable parameters, the frozen ones among them."""
    running = ("running_mean", "running_var")
    frozen = [p for p in getattr(net, "frozen", ()) if not p.name.endswith(running)]
    return count_parameters(net) + sum(int(np.prod(p.shape)) for p in frozen)
