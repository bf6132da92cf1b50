"""GluonCV's SSD detector on an attention backbone of this zoo.

    python examples/gluoncv_ssd.py --backbone se_resnet50 --image-size 256

The backbone gives its last three stages as a list (`features=`), which is what GluonCV's SSD takes; everything else,
from anchors and targets to the loss, is GluonCV's own. The command builds the detector, takes one training step on one
made-up image and shows the loss and what the detector gives.
"""

from __future__ import annotations

import argparse

import gluon_attn  # isort: skip  (before mxnet: it needs help on newer Pythons)
import mxnet as mx
from gluoncv.data.transforms.presets.ssd import SSDDefaultTrainTransform
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo.ssd.ssd import SSD

STAGES = ("stage2", "stage3", "stage4")  # strides 8, 16, 32


def ssd(backbone, classes, image_size, pretrained=False):
    """SSD for images of one size; only the backbone may come with weights."""

    def features(pretrained, ctx, root):
        return gluon_attn.get_model(backbone, pretrained=pretrained, ctx=ctx, features=STAGES)

    return SSD(
        network=None,
        features=features,
        pretrained=pretrained,
        base_size=image_size,
        num_filters=None,
        sizes=[image_size * share for share in (0.1, 0.3, 0.55, 0.8)],
        ratios=[[1, 2, 0.5]] * 3,
        steps=[8, 16, 32],
        classes=classes,
        anchor_alloc_size=image_size // 8,
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="se_resnet50")
    parser.add_argument("--pretrained", default=False, help="tag or file of the backbone's weights")
    parser.add_argument("--image-size", type=int, default=256)
    args = parser.parse_args()
    net = ssd(args.backbone, ["digit"], args.image_size, args.pretrained)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    print(f"{args.backbone}: loss of the first step {training_step(net, args.image_size):.3f}")
    net.hybridize()  # GluonCV's SSD chooses its outputs, for training or for detection, when it is traced
    ids, scores, boxes = net(mx.nd.zeros((1, 3, args.image_size, args.image_size)))
    print(f"detections: classes {ids.shape}, scores {scores.shape}, boxes {boxes.shape}")


if __name__ == "__main__":
    main()
