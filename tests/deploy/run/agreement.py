"""Gluon and PyTorch on one network: outputs, gradients, statistics and five steps of SGD, as {what: array}.

Each side needs its own framework only, so that they may be two processes that exchange numpy files.
"""

from __future__ import annotations

import copy

import numpy as np

# Powers of two and their sums: MXNet's optimizer takes them as float32.
STEPS, LR, MOMENTUM, WD = 5, 2**-9, 0.875, 2**-10


def targets(outputs, seed=7):
    """What the outputs are drawn to: the loss is the sum of the mean squares of the differences."""
    rng = np.random.RandomState(seed)
    return [rng.uniform(-1, 1, output.shape) for output in outputs]


def gluon_side(net, x):
    """Of an initialised network whose parameters are named as in `net.save_parameters`; it ends five steps later."""
    import mxnet as mx
    from mxnet import autograd, gluon

    x, named = mx.nd.array(x, dtype=x.dtype), net._collect_params_with_prefix()
    found = {f"eval {i}": y.asnumpy() for i, y in enumerate(_flat(net(x)))}
    trained = {name: p for name, p in named.items() if p.grad_req != "null" and p.lr_mult}
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": LR, "momentum": MOMENTUM, "wd": WD})
    for step in range(STEPS):
        with autograd.record():
            outputs = _flat(net(x))
            wanted = [mx.nd.array(t, dtype=x.dtype) for t in targets(outputs)]
            loss = sum(((y - t) ** 2).mean() for y, t in zip(outputs, wanted))
        loss.backward()
        if step == 0:
            found.update({f"train {i}": y.asnumpy() for i, y in enumerate(outputs)})
            found.update({f"gradient {name}": p.grad().asnumpy() for name, p in trained.items()})
        trainer.step(1, ignore_stale_grad=True)
        if step == 0:
            found.update({f"statistics {n}": p.data().asnumpy() for n, p in named.items() if "running_" in n})
    found.update({f"after {name}": p.data().asnumpy() for name, p in named.items()})
    return found


def torch_side(net, x):
    """The same of a PyTorch module."""
    import torch

    x = torch.from_numpy(x).to(next(net.parameters()).dtype)
    net.eval()
    with torch.no_grad():
        found = {f"eval {i}": y.numpy().copy() for i, y in enumerate(_flat(net(x)))}
    net.train()
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(trained.values(), lr=LR, momentum=MOMENTUM, weight_decay=WD)
    for step in range(STEPS):
        optimizer.zero_grad()
        outputs = _flat(net(x))
        loss = sum((y - torch.from_numpy(t).to(y.dtype)).square().mean() for y, t in zip(outputs, targets(outputs)))
        loss.backward()
        if step == 0:
            found.update({f"train {i}": y.detach().numpy().copy() for i, y in enumerate(outputs)})
            found.update({f"gradient {n}": p.grad.numpy().copy() for n, p in trained.items() if p.grad is not None})
        optimizer.step()
        if step == 0:
            # Not the buffers: those of a norm that nothing uses are parameters, frozen, as all that no operator reads.
            found.update({f"statistics {n}": b.numpy().copy() for n, b in net.state_dict().items() if "running_" in n})
    found.update({f"after {name}": t.detach().numpy().copy() for name, t in net.state_dict().items()})
    return found


def _flat(outputs):
    return [y for output in outputs for y in _flat(output)] if isinstance(outputs, (list, tuple)) else [outputs]


def differences(gluon, torch):
    """{eval, train, gradient, statistics, after: the largest difference}, relative to the largest number.

    A gradient is compared with the largest of its own array, but at least 1 % of the network's largest: that of a bias
    before a BatchNorm is 0, and what both give there is rounding.
    """
    found = {}
    floor = 0.01 * max((abs(a).max() for key, a in gluon.items() if key.startswith("gradient ")), default=0.0)
    for key, ours in gluon.items():
        kind = key.split(" ")[0]
        scale = max(abs(ours).max(initial=0), floor if kind == "gradient" else 1e-3)
        theirs = torch[key] if key in torch else np.zeros_like(ours)
        assert theirs.shape == ours.shape, (key, theirs.shape, ours.shape)
        found[kind] = max(found.get(kind, 0.0), float(abs(theirs - ours).max(initial=0) / scale))
    return found


def in_inference(net, x):
    """The largest difference of the outputs in float32, relative to the largest."""
    import mxnet as mx
    import torch

    from gluon_attn.deploy import to_torch

    wanted = _flat(net(mx.nd.array(x)))
    with torch.no_grad():
        found = _flat(to_torch(net)(torch.from_numpy(x)))
    assert len(found) == len(wanted)
    return max(float(abs(y.numpy() - w.asnumpy()).max() / abs(w.asnumpy()).max()) for y, w in zip(found, wanted))


def in_training(net, x, single=True):
    """{inference, float64_*: how the engines differ; torch_*, mxnet_*: errors in float32 against PyTorch's float64}.

    The network ends in float64, five steps later. single=False trains in float64 alone. InstanceNorm MXNet has in
    float32 alone: float64_* are left out.
    """
    import mxnet as mx

    from gluon_attn.deploy import to_torch

    module, x64 = to_torch(net), x.astype("float64")
    truth = torch_side(copy.deepcopy(module).double(), x64)
    found = {} if single else {"inference": in_inference(net, x)}
    before = {key: p.data().copy() for key, p in net.collect_params().items()}
    if single:
        ours, theirs = torch_side(module, x), gluon_side(net, x)
        found["inference"] = differences(theirs, ours)["eval"]
        for engine, side in (("torch", ours), ("mxnet", theirs)):
            found.update({f"{engine}_{kind}": value for kind, value in differences(truth, side).items()})
    if "InstanceNorm" not in net(mx.sym.Variable("x")).tojson():
        for key, p in net.collect_params().items():
            p.set_data(before[key])
        net.cast("float64")
        found.update({f"float64_{kind}": value for kind, value in differences(gluon_side(net, x64), truth).items()})
    return found
