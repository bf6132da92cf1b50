"""The engine torch beside MXNet and onnxruntime: the same networks and weights, in one run.

Training is a step of SGD with momentum, in float32; the module is `deploy.to_torch(net)`, channels last, as it comes
and compiled (`torch.compile`, where a C++ compiler is there). Needs torch beside MXNet: left out where there is none.
"""

from __future__ import annotations

import shutil

from benchmarks.common import options, show, write

TABLE = (("resnet50", 16, 224), ("aff_resnet50", 16, 224), ("cifar_aff_resnet20", 128, 32))  # network, batch, side


def main(argv=None):
    args = options(__doc__, argv, rounds=3, networks="", compiled=False)
    try:
        import torch

        import gluon_attn  # noqa: F401  (before torch and MXNet)
    except ImportError:
        print("torch is not installed: `pip install 'gluon_attn[torch]'` to have this table.")
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = []
    for name, batch, side in TABLE:
        if not args.networks or name in args.networks.split(","):
            rows += measure(name, batch, side, args)
    write("torch_speed", rows, args)


def measure(name, batch, side, args):
    import mxnet as mx
    import numpy as np
    import torch

    import gluon_attn
    from gluon_attn.cost import jobs
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.deploy import to_torch
    from gluon_attn.deploy.export import onnx_graph
    from gluon_attn.deploy.run.onnxruntime_engine import session

    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, side, side)).astype("float32")
    net = gluon_attn.get_model(name)
    net.initialize()
    net(mx.nd.array(images[:1]))
    running = session(onnx_graph.to_onnx(net, side).SerializeToString(), args.threads)
    x = torch.from_numpy(images).to(memory_format=torch.channels_last)
    modules = {"torch": to_torch(net).to(memory_format=torch.channels_last)}
    if args.compiled and shutil.which("g++"):
        modules["torch, compiled"] = torch.compile(to_torch(net).to(memory_format=torch.channels_last))
    found = {
        "inference": {
            "MXNet": jobs.inference(gluon_attn.get_model(name), batch, side, mx.cpu()),
            "onnxruntime": lambda: running.run(None, {onnx_graph.INPUT: images}),
            **{engine: _inference(module, x) for engine, module in modules.items()},
        },
        "training": {
            "MXNet": jobs.training_step(gluon_attn.get_model(name), batch, side, mx.cpu(), "sgd"),
            **{engine: _training(module, x) for engine, module in modules.items()},
        },
    }
    return [
        row
        for mode, engines in found.items()
        for row in _rows(name, mode, batch, interleaved(engines, args.rounds, clock=args.clock))
    ]


def _rows(name, mode, batch, times):
    for engine, time in times.items():
        yield show(
            {
                "network": name,
                "mode": mode,
                "batch": batch,
                "engine": engine,
                "images_per_second": f"{batch / time.median:.2f}",
                "times_mxnet": f"{time.faster_than(times['MXNet']):.2f}",
                "spread": f"{time.spread:.2f}",
            }
        )


def _inference(module, x):
    import torch

    def job():
        with torch.inference_mode():
            return module.eval()(x)

    return job


def _training(module, x):
    import torch

    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.01, 0.9, weight_decay=1e-4)
    labels = torch.zeros(len(x), dtype=torch.long)

    def job():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module.train()(x), labels).backward()
        optimizer.step()

    return job


if __name__ == "__main__":
    main()
