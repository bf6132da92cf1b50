"""GluonCV's SSD detector on an attention backbone of this zoo.

    python examples/gluoncv_ssd.py --backbone se_resnet50 --image-size 256

The backbone gives its last stages, three at most, as a list (`features=`), which is what GluonCV's SSD takes;
everything else, from anchors and targets to the loss, is GluonCV's own. The command builds the detector, takes one
training step on one made-up image and shows the loss and what the detector gives.
"""

from __future__ import annotations

import argparse
import sys

import gluon_attn  # isort: skip  (before mxnet: it needs help on newer Pythons)
import mxnet as mx
from gluoncv.data.transforms.presets.ssd import SSDDefaultTrainTransform
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo.ssd.ssd import SSD

from gluon_attn.complexity import check_size
from gluon_attn.parser import Parser, exit_status, number

LEAST = 32  # pixels a side: what the last stage of an ImageNet network makes one place of


def last_stages(backbone, image_size):
    """{name: side of its map} of the last three stages, for images of that size."""
    net = gluon_attn.get_model(backbone, features=True)
    check_size(net, image_size)
    _, shapes, _ = mx.sym.Group(net(mx.sym.Variable("data"))).infer_shape(data=(1, 3, image_size, image_size))
    return dict(list(zip(net.names, (shape[2] for shape in shapes)))[-3:])


def ssd(backbone, classes, image_size, pretrained=False):
    """SSD for images of one size; only the backbone may come with weights."""
    maps, ratios = last_stages(backbone, image_size), [1, 2, 0.5]
    anchors = (len(ratios) + 1) * sum(side**2 for side in maps.values())

    def features(pretrained, ctx, root):
        return gluon_attn.get_model(backbone, pretrained=pretrained, ctx=ctx, features=tuple(maps))

    return SSD(
        network=None,
        features=features,
        pretrained=pretrained,
        base_size=image_size,
        num_filters=None,
        sizes=[image_size * share for share in (0.1, 0.3, 0.55, 0.8)][-len(maps) - 1 :],
        ratios=[ratios] * len(maps),
        steps=[image_size / side for side in maps.values()],
        classes=classes,
        anchor_alloc_size=max(side << number for number, side in enumerate(maps.values())),  # halved at each map
        post_nms=min(100, anchors),
    )


def training_step(net, image_size):
    """Loss of one image with one object; the gradients are in the parameters afterwards."""
    with mx.autograd.train_mode():
        _, _, anchors = net(mx.nd.zeros((1, 3, image_size, image_size)))
    to_targets = SSDDefaultTrainTransform(image_size, image_size, anchors.as_in_context(mx.cpu()))
    image = mx.nd.random.uniform(0, 255, (image_size, image_size, 3)).astype("uint8")
    corner, far = image_size // 8, image_size * 3 // 4
    label = mx.nd.array([[corner, corner, far, far, 0]]).asnumpy()
    image, class_targets, box_targets = to_targets(image, label)
    with mx.autograd.record():
        class_scores, boxes, _ = net(image.expand_dims(0))
        total, _, _ = SSDMultiBoxLoss()(class_scores, boxes, class_targets.expand_dims(0), box_targets.expand_dims(0))
    mx.autograd.backward(total)
    return total[0].asscalar()


def main(argv=None):
    parser = Parser(prog="gluoncv_ssd.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_option("--backbone", "se_resnet50", "a name of `gluon-attn list`")
    parser.add_argument("--pretrained", default=False, help="tag or file of the backbone's weights (default: none)")
    parser.add_option("--image-size", 256, "side of the images", type=number(least=LEAST))
    return exit_status("gluoncv_ssd.py", lambda: show(parser.parse_args(argv)))


def show(args):
    size, image = args.image_size, (1, 3, args.image_size, args.image_size)
    net = ssd(args.backbone, ["digit"], size, args.pretrained)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros(image))  # block by block: in one graph, Gluon wants the shapes of what SSD leaves out, too (ABN)
    net.hybridize()
    print(f"{args.backbone}: loss of the first step {training_step(net, size):.3f}")
    net.hybridize()  # GluonCV's SSD chooses its outputs, for training or for detection, when it is traced
    ids, scores, boxes = net(mx.nd.zeros(image))
    print(f"detections: classes {ids.shape}, scores {scores.shape}, boxes {boxes.shape}")


if __name__ == "__main__":
    sys.exit(main())
