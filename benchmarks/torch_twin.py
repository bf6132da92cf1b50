"""Our ONNX file beside the one that PyTorch exports of the same network, both in onnxruntime, same run.

The network is rebuilt in PyTorch layer by layer with the same weights, in the words of the authors' code; the outputs
must agree. Needs `pip install torch onnxscript` on top of the `deploy` extra, so `make bench` leaves it out.
"""

from __future__ import annotations

import io

import torch

from benchmarks.common import options, show, write

NETWORKS = ("iaff_resnext50_32x4d", "aff_resnet50")
BATCHES = (1, 16)
SIZE = 224


def main(argv=None):
    args = options(__doc__, argv, rounds=7)
    rows = []
    for name in NETWORKS:
        rows += measure(name, args)
    write("torch_twin", rows, args)


def measure(name, args):
    import numpy as np

    import gluon_attn
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.deploy.export import onnx_graph
    from gluon_attn.deploy.run.onnxruntime_engine import session

    net = gluon_attn.get_model(name)
    net.initialize()
    models = {
        "gluon_attn": onnx_graph.to_onnx(net, SIZE).SerializeToString(),
        "torch": exported(net, dynamic=True),
        "torch, fixed size": exported(net, dynamic=False),
    }
    sessions = {exporter: session(model, args.threads) for exporter, model in models.items()}
    rows = []
    for batch in BATCHES:
        images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, SIZE, SIZE)).astype("float32")
        jobs = {exporter: _run(running, images) for exporter, running in sessions.items()}
        if batch > 1:
            jobs.pop("torch, fixed size")
        _refuse_another_network(name, {exporter: job() for exporter, job in jobs.items()})
        rows += _rows(name, batch, interleaved(jobs, args.rounds, clock=args.clock))
    return rows


def _refuse_another_network(name, outputs):
    import numpy as np

    ours = outputs["gluon_attn"]
    for exporter, output in outputs.items():
        difference = np.abs(output - ours).max() / np.abs(ours).max()
        if difference > 1e-4:
            raise SystemExit(f"{name} of {exporter} differs by {difference:.1e}: it is not the same network.")


def _rows(name, batch, times):
    for exporter, time in times.items():
        yield show(
            {
                "network": name,
                "batch": batch,
                "exporter": exporter,
                "images_per_second": f"{batch / time.median:.2f}",
                "gluon_attn_is_faster_by": f"{times['gluon_attn'].faster_than(time):.2f}",
                "spread": f"{time.spread:.2f}",
            }
        )


def _run(running, images):
    name = running.get_inputs()[0].name
    return lambda: running.run(None, {name: images})[0]


def exported(net, dynamic):
    """The ONNX file that PyTorch writes of the network's twin."""
    twin = twin_of(net).eval()
    axes = {"images": {0: "batch", 2: "height", 3: "width"}} if dynamic else {}
    file = io.BytesIO()
    example = torch.zeros(1, 3, SIZE, SIZE)
    torch.onnx.export(twin, (example,), file, input_names=["images"], dynamic_axes=axes, opset_version=13, dynamo=False)
    return file.getvalue()


def twin_of(block):
    """The PyTorch module of a Gluon block of the AFF networks, with the same weights."""
    kind = type(block).__name__
    if kind not in TWINS:
        raise SystemExit(f"{kind} has no twin here: add it to TWINS in benchmarks/torch_twin.py.")
    return TWINS[kind](block)


class Calls(torch.nn.Module):
    """formula(twins of the parts, *inputs)."""

    def __init__(self, formula, **parts):
        super().__init__()
        self.parts = torch.nn.ModuleDict({name: twin_of(part) for name, part in parts.items()})
        self.formula = formula

    def forward(self, *inputs):
        return self.formula(self.parts, *inputs)


def _aff(parts, x, y):
    w = torch.sigmoid(parts["context"](x + y))
    return 2 * x * w + 2 * y * (1 - w)


def _iaff(parts, x, y):
    w = torch.sigmoid(parts["one"](x + y))
    w = torch.sigmoid(parts["two"](x * w + y * (1 - w)))
    return x * w + y * (1 - w)


def _residual(parts, x):
    return torch.relu(parts["fuse"](parts["body"](x), parts["around"](x)))


def _convolution(block):
    options = block._kwargs
    places = dict(stride=options["stride"], padding=options["pad"], groups=options["num_group"])
    channels, width = block.weight.shape[:2]
    module = torch.nn.Conv2d(
        width * options["num_group"], channels, options["kernel"], bias=block.bias is not None, **places
    )
    return _with(module, weight=block.weight, bias=block.bias)


def _batch_norm(block):
    module = torch.nn.BatchNorm2d(block.gamma.shape[0], eps=block._kwargs["eps"])
    statistics = dict(running_mean=block.running_mean, running_var=block.running_var)
    return _with(module, weight=block.gamma, bias=block.beta, **statistics)


def _dense(block):
    return _with(torch.nn.Linear(*block.weight.shape[::-1]), weight=block.weight, bias=block.bias)


def _max_pool(block):
    return torch.nn.MaxPool2d(block._kwargs["kernel"], block._kwargs["stride"], block._kwargs["pad"])


def _average_pool(block):
    return torch.nn.AvgPool2d(block._kwargs["kernel"], block._kwargs["stride"], ceil_mode=True, count_include_pad=False)


def _with(module, **parameters):
    with torch.no_grad():
        for name, parameter in parameters.items():
            if parameter is not None:
                getattr(module, name).copy_(torch.from_numpy(parameter.data().asnumpy().copy()))
    return module


def _sequence(*blocks):
    return torch.nn.Sequential(*map(twin_of, blocks))


TWINS = {
    "ResNet": lambda net: _sequence(net.stem, net.stages, net.head),
    "HybridSequential": lambda block: _sequence(*block),
    "Classifier": lambda head: torch.nn.Sequential(twin_of(head.pool), torch.nn.Flatten(), twin_of(head.fc)),
    "ResidualBlock": lambda block: Calls(_residual, body=block.body, around=block.shortcut, fuse=block.fuse),
    "MultiScaleContext": lambda block: Calls(
        lambda parts, x: parts["local"](x) + parts["global"](x),
        **{"local": block.local_branch, "global": block.global_branch},
    ),
    "AFF": lambda block: Calls(_aff, context=block.context),
    "IAFF": lambda block: Calls(_iaff, one=block.first, two=block.second),
    "Add": lambda block: Calls(lambda parts, x, y: x + y),
    "Identity": lambda block: torch.nn.Identity(),
    "GlobalAvgPool": lambda block: torch.nn.AdaptiveAvgPool2d(1),
    "Conv2D": _convolution,
    "GroupedConv2D": _convolution,
    "Dense": _dense,
    "BatchNorm": _batch_norm,
    "Activation": lambda block: torch.nn.ReLU(),
    "MaxPool2D": _max_pool,
    "AvgPool2D": _average_pool,
}


if __name__ == "__main__":
    main()
