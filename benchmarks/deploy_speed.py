"""Inference on a CPU: onnxruntime in float32 and int8 beside the hybridized plain formulation, same run."""

from __future__ import annotations

from benchmarks.common import options, show, write

# network, batch, the ratios aimed at in float32 and int8
TABLE = (
    ("iaff_resnext50_32x4d", 1, 3.3, None),
    ("iaff_resnext50_32x4d", 16, 3.3, 5.5),
    ("aff_resnet50", 1, 2.5, None),
    ("aff_resnet50", 16, 2.5, 6.5),
)
SIZE = 224


def main(argv=None):
    args = options(__doc__, argv, rounds=5, networks="")
    rows = []
    for name, batch, *targets in TABLE:
        if not args.networks or name in args.networks.split(","):
            rows += measure(name, batch, targets, args)
    write("deploy_speed", rows, args)


def measure(name, batch, targets, args):
    import numpy as np

    import gluon_attn
    from benchmarks.plain import plain_network, plain_words
    from gluon_attn.cost.jobs import inference
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.deploy.export import int8, onnx_graph
    from gluon_attn.deploy.run.onnxruntime_engine import session

    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, SIZE, SIZE)).astype("float32")
    net = gluon_attn.get_model(name)
    net.initialize()
    model = onnx_graph.to_onnx(net, SIZE)
    sessions = {
        "onnxruntime float32": session(model.SerializeToString(), args.threads),
        "onnxruntime int8": session(int8.quantize(model, [images[:4]]).SerializeToString(), args.threads),
    }
    jobs = {key: (lambda s=running: s.run(None, {onnx_graph.INPUT: images})) for key, running in sessions.items()}
    jobs["mxnet"] = inference(net, batch, SIZE)
    with plain_words():
        jobs["plain"] = inference(plain_network(name), batch, SIZE)
    times = interleaved(jobs, args.rounds, clock=args.clock)
    aims = dict(zip(sessions, targets))
    return [
        show(
            {
                "network": name,
                "batch": batch,
                "engine": key,
                "images_per_second": f"{batch / time.median:.2f}",
                "ratio": f"{time.faster_than(times['plain']):.2f}",
                "target": aims.get(key) or "",
                "spread": f"{time.spread:.2f}",
            }
        )
        for key, time in times.items()
    ]


if __name__ == "__main__":
    main()
