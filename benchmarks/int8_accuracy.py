"""What int8 costs in accuracy: stored weights on their own test images, float32 and int8 of one engine.

    python -m benchmarks.int8_accuracy --model cifar_aff_resnet20 --pretrained runs/demo/best.params --dataset digits

Without --model: every network of the zoo with stored weights for digits or clutter.
"""

from __future__ import annotations

from benchmarks.common import options, show, write

DATASETS = ("digits", "clutter")


def main(argv=None):
    args = options(__doc__, argv, model="", pretrained="", dataset="digits", images=200)
    jobs = [(args.model, args.pretrained, args.dataset)] if args.model else list(_stored())
    rows = [show(measure(*job, args.images)) for job in jobs]
    if rows:
        write("int8_accuracy", rows, args)


def _stored():
    """(name, tag, data set) of all stored weights."""
    from gluon_attn import weights, zoo

    for name in zoo.list_models():
        for entry in weights.entries(name):
            if entry.path and entry.dataset in DATASETS:
                yield name, entry.tag, entry.dataset


def measure(name, pretrained, dataset, images):
    import numpy as np

    from gluon_attn import data
    from gluon_attn.deploy import Predictor
    from gluon_attn.weights.card import Card

    test, train = (data.get_dataset(dataset, split) for split in ("test", "train"))
    calibration = [train[i][0] for i in np.linspace(0, len(train) - 1, images).astype(int)]
    pictures, labels = zip(*[test[i] for i in range(len(test))])
    card = Card(name, tuple(test.classes), test.mean, test.std, test.image_size, 1.0)
    arguments = dict(classes=len(test.classes), batch_size=64, card=card)
    found = {}
    for precision in ("float32", "int8"):
        extra = {"calibration": calibration} if precision == "int8" else {}
        predictor = Predictor(name, pretrained, precision=precision, **extra, **arguments)
        found[precision] = predictor.logits(pictures).argmax(1)
    right = {key: float((value == np.asarray(labels)).mean()) for key, value in found.items()}
    return {
        "network": name,
        "pretrained": pretrained,
        "dataset": dataset,
        "images": len(labels),
        "float32_top1": f"{100 * right['float32']:.2f}",
        "int8_top1": f"{100 * right['int8']:.2f}",
        "agreement": f"{100 * float((found['float32'] == found['int8']).mean()):.2f}",
    }


if __name__ == "__main__":
    main()
