"""What MXNet and GluonCV give, as files for a process without them.

`python -m tests.deploy.run.written FOLDER quick` in seconds, `... slow` in minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# Sides are the smallest that the networks take.
GLUONCV = {
    "quick": {"mobilenetv3_small": 64, "squeezenet1.0": 224, "resnet18_v2": 64, "yolo3_mobilenet0.25_voc": 64},
    "slow": {
        "resnet50_v1b": 64,
        "densenet121": 224,
        "inceptionv3": 299,
        "se_resnext50_32x4d": 224,
        "vgg16_bn": 64,
        "fcn_resnet50_voc": 64,
        "ssd_300_vgg16_atrous_voc": 300,
        "ssd_512_resnet50_v1_voc": 128,
        "center_net_resnet18_v1b_dcnv2_voc": 64,
        "mask_rcnn_resnet18_v1b_coco": 160,
    },
}
EVERY = {"quick": 3, "slow": 1}  # how many of the training digits: every third, or all
# GluonCV's names that cannot be traced here, and why. Beside them, those that end in `_int8` have quantized operators.
WITHOUT_A_GRAPH = {
    "custom_faster_rcnn_fpn": "GluonCV cannot run it with the arguments that it has by default",
    "resnet50_v1b_gn": "GluonCV's own GroupNorm asks for the shape of an array",
    "resnet101_v1b_gn": "the same",
    "resnet18_v1b_custom": "GluonCV makes it of stored weights alone; resnet18_v1b is the same network",
    "resnet50_v1b_custom": "the same of resnet50_v1b",
}
DETECTORS = ("ssd", "yolo", "center_net", "mask_rcnn")  # as their names begin
REGIONS = 13  # that a region proposer leaves
BATCH, EPOCHS, LR = 32, 2, 0.02


def digits(split, every=1):
    """(prepared images, labels) of the embedded digits; no framework is needed."""
    from gluon_attn import data
    from gluon_attn.weights.card import Card

    transform = Card.beside("params/digits/cifar_resnet20/digits/weights.params").transform()
    dataset = data.get_dataset("digits", split)
    pairs = [dataset[i] for i in range(0, len(dataset), every)]
    return np.stack([transform(image, None) for image, _ in pairs]), np.array([label for _, label in pairs])


def batches(count, epoch):
    """Indices, in an order that the epoch alone decides."""
    order = np.random.RandomState(epoch).permutation(count)
    return [order[i : i + BATCH] for i in range(0, count - BATCH + 1, BATCH)]


def main(folder, kind):
    import gluon_attn

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in GLUONCV[kind].items():
        _write_gluoncv(folder, name, side)
    _write_digits(folder, gluon_attn.get_model("cifar_resnet20", pretrained="digits"), EVERY[kind])


def _write_gluoncv(folder, name, side):
    import mxnet as mx
    from gluoncv import model_zoo

    from gluon_attn.deploy.export.named_graph import named_graph
    from gluon_attn.deploy.run.symbol_json import write_graph

    mx.random.seed(0)
    net = model_zoo.get_model(name, **({"pretrained_base": False} if name.startswith(("fcn", *DETECTORS)) else {}))
    if "rcnn" in name:  # a whole ResNet stage runs over every region
        net._rpn_test_post_nms = net.rpn._test_post_nms = net._rcnn_max_dets = REGIONS
    x = np.random.RandomState(0).uniform(-1, 1, (1, 3, side, side)).astype("float32")
    _fill(net, mx.nd.array(x))
    outputs = net(mx.nd.array(x))
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    graph, arrays, _ = named_graph(net)
    (folder / f"{name}-symbol.json").write_text(write_graph(graph))
    mx.nd.save(str(folder / f"{name}-0000.params"), {n: mx.nd.array(a, dtype=a.dtype) for n, a in arrays.items()})
    np.savez(folder / f"{name}.npz", x=x, **{f"y{i}": y.asnumpy() for i, y in enumerate(outputs)})


def _fill(net, x):
    """Random weights under which numbers keep their size, with BatchNorm and without."""
    import mxnet as mx

    for key, parameter in net.collect_params().items():  # one by one: SSD's BatchNorms ask for Xavier, and refuse it
        parameter.initialize(mx.init.One() if key.endswith(("gamma", "_var")) else mx.init.Normal(0.05))
    net(x)  # tells the shapes
    for key, parameter in net.collect_params().items():
        if key.endswith("weight"):
            spread = (1 / np.prod(parameter.shape[1:])) ** 0.5
            parameter.set_data(mx.nd.random.normal(0, spread, parameter.shape))


def _write_digits(folder, net, every):
    """The stored network with its head at zero as a file, then fine-tuned here: its accuracy is what to reach."""
    import mxnet as mx
    from mxnet import autograd, gluon

    from gluon_attn.deploy.export.named_graph import named_graph
    from gluon_attn.deploy.run.torch_file import write_pair
    from gluon_attn.weights.card import Card

    for parameter in net.head.fc.collect_params().values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    card = Card.beside("params/digits/cifar_resnet20/digits/weights.params")
    graph, arrays, _ = named_graph(net)
    write_pair(folder / "digits.safetensors", graph, arrays, card.to_metadata())
    (images, labels), (test, truth) = digits("train", every), digits("test")
    net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": LR, "momentum": 0.9, "wd": 1e-4})
    for epoch in range(EPOCHS):
        for chosen in batches(len(images), epoch):
            with autograd.record():
                logits = net(mx.nd.array(images[chosen]))
                loss = gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(labels[chosen]))
            loss.backward()
            trainer.step(len(chosen))
    found = np.concatenate([net(mx.nd.array(test[i : i + 100])).asnumpy() for i in range(0, len(test), 100)])
    np.savez(folder / "digits.npz", accuracy=(found.argmax(1) == truth).mean())


if __name__ == "__main__":
    main(*sys.argv[1:])
