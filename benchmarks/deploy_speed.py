"""One network in every engine, beside the hybridized plain formulation in MXNet, same run: inference, and training.

--networks and --batches choose rows of the tables below, and --without leaves engines out (torch.compile takes minutes
before it runs); what the file holds of other rows stays. The engine torch, and the
ONNX file that PyTorch writes of the same network, are measured where torch is installed, or GLUON_ATTN_TORCH names its
environment; torch.compile where there is a C++ compiler. They need `--threads`, for all engines to have the same cores.
"""

from __future__ import annotations

import functools
import io
import shutil

from benchmarks.common import add_torch, options, show, write

# network, batch, the ratios aimed at in float32 and int8 when MXNet has half of the cores, as it comes
INFERENCE = (
    ("iaff_resnext50_32x4d", 1, 3.3, None),
    ("iaff_resnext50_32x4d", 16, 3.3, 5.5),
    ("aff_resnet50", 1, 2.5, None),
    ("aff_resnet50", 16, 2.5, 6.5),
)
TRAINING = (("aff_resnet50", 16, 224), ("cifar_aff_resnet20", 128, 32))  # network, batch, side
SIZE = 224


def main(argv=None):
    args = options(__doc__, argv, rounds=5, networks="", batches="", without="", mode="inference,training")
    torch = add_torch() if args.threads else None
    if torch:
        torch.set_num_threads(args.threads)
    rows = []
    for mode, table, measure in (("inference", INFERENCE, inference), ("training", TRAINING, training)):
        for name, batch, *details in table if mode in args.mode.split(",") else ():
            if chosen(name, args.networks) and chosen(batch, args.batches):
                rows += measure(name, batch, details, args, torch)
    write("deploy_speed", rows, args, unique=("threads", "network", "batch", "mode"))


def chosen(value, words):
    return not words or str(value) in words.split(",")


def inference(name, batch, targets, args, torch):
    import mxnet as mx
    import numpy as np

    import gluon_attn
    from benchmarks.plain import plain_network, plain_words
    from gluon_attn.cost import jobs
    from gluon_attn.deploy.export import int8, onnx_graph
    from gluon_attn.deploy.run.onnxruntime_engine import session
    from gluon_attn.deploy.run.openvino_engine import OpenvinoEngine

    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, SIZE, SIZE)).astype("float32")
    net = gluon_attn.get_model(name)
    net.initialize()
    wanted = net(mx.nd.array(images)).asnumpy()
    model = onnx_graph.to_onnx(net, SIZE)
    files = {"onnxruntime float32": model.SerializeToString()}
    if not chosen("onnxruntime int8", args.without or "none"):
        files["onnxruntime int8"] = int8.quantize(model, [images[:4]]).SerializeToString()
    engines = {}
    if torch:
        files["onnxruntime, PyTorch's file"] = exported_by_torch(torch, net)
        engines.update({key: run_of(torch, module, images) for key, module in modules(torch, net, args).items()})
    for key, file in files.items():
        engines[key] = functools.partial(session(file, args.threads).run, None, {onnx_graph.INPUT: images})
    openvino = OpenvinoEngine(files["onnxruntime float32"], args.threads)
    openvino.prepare(SIZE, batch)
    engines["openvino float32"] = functools.partial(openvino, images)
    for key, engine in engines.items():
        difference = abs(np.reshape(engine(), wanted.shape) - wanted).max() / abs(wanted).max()
        if "int8" not in key and difference > 1e-4:
            raise SystemExit(f"{name} in {key} differs by {difference:.1e}: it is not the same network.")
    engines["mxnet"] = jobs.inference(net, batch, SIZE)
    with plain_words():
        engines["plain"] = jobs.inference(plain_network(name), batch, SIZE)
    aims = dict(zip(files, targets)) if not args.threads else {}
    return timed(name, batch, "inference", engines, args, aims)


def training(name, batch, details, args, torch):
    """A step of SGD with momentum; PyTorch's is channels last, from the same random weights."""
    import mxnet as mx
    import numpy as np

    import gluon_attn
    from benchmarks.plain import plain_network, plain_words
    from gluon_attn.cost import jobs

    (side,) = details
    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, side, side)).astype("float32")
    net = gluon_attn.get_model(name)
    net.initialize()
    net(mx.nd.array(images[:1]))
    engines = {}
    if torch:
        engines.update({key: step_of(torch, module, images) for key, module in modules(torch, net, args).items()})
    engines["mxnet"] = jobs.training_step(gluon_attn.get_model(name), batch, side, optimizer="sgd")
    with plain_words():
        engines["plain"] = jobs.training_step(plain_network(name), batch, side, optimizer="sgd")
    return timed(name, batch, "training", engines, args, {})


def modules(torch, net, args):
    from gluon_attn.deploy import to_torch

    found = {"torch": to_torch(net).to(memory_format=torch.channels_last)}
    if shutil.which("g++") and not chosen("torch.compile", args.without or "none"):
        found["torch.compile"] = torch.compile(to_torch(net).to(memory_format=torch.channels_last))
    return found


def run_of(torch, module, images):
    x = torch.from_numpy(images).to(memory_format=torch.channels_last)

    def job():
        with torch.inference_mode():
            return module(x).numpy()

    return job


def step_of(torch, module, images, bfloat16=False):
    x = torch.from_numpy(images).to(memory_format=torch.channels_last)
    return functools.partial(updates_of(torch, module, bfloat16), x, torch.zeros(len(x), dtype=torch.long))


def updates_of(torch, module, bfloat16=False):
    """A callable of images and labels: forward (in bfloat16 by autocast), backward, SGD with momentum."""
    module.train()
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 1e-3, 0.9, weight_decay=1e-4)

    def update(x, labels):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = torch.nn.functional.cross_entropy(module(x), labels)
        loss.backward()
        optimizer.step()

    return update


def exported_by_torch(torch, net):
    """The ONNX file that PyTorch writes of the network, for any batch and size."""
    from gluon_attn.deploy import to_torch
    from gluon_attn.deploy.export.onnx_graph import INPUT

    file, axes = io.BytesIO(), {INPUT: {0: "batch", 2: "height", 3: "width"}}
    example = (torch.zeros(1, 3, SIZE, SIZE),)
    words = dict(input_names=[INPUT], dynamic_axes=axes, opset_version=13, dynamo=False)
    torch.onnx.export(torch.nn.Sequential(to_torch(net)), example, file, **words)  # it takes a graph for its own
    return file.getvalue()


def timed(name, batch, mode, engines, args, aims):
    from gluon_attn.cost.timing import interleaved

    times = interleaved(engines, args.rounds, clock=args.clock)
    return [
        show(
            {
                "network": name,
                "batch": batch,
                "mode": mode,
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
