"""Training and evaluation of segmentation: loss, metric, loop and pictures of the masks."""

from __future__ import annotations

import json
import time
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import gluon

from gluon_attn import _compat
from gluon_attn.data import random_state
from gluon_attn.errors import GluonAttnError
from gluon_attn.figures import new_figure, save_figure
from gluon_attn.files import write_csv, write_text
from gluon_attn.models.network import logits_of
from gluon_attn.train.build import Evaluated, demand_finite
from gluon_attn.weights.files import write_parameters

IGNORED = -1  # the mask's value of pixels that count neither in the loss nor in the metric, as in GluonCV


class SegmentationLoss(gluon.HybridBlock):
    """Sum over the outputs of the mean cross-entropy of the pixels, (N,); DANet's three count alike.

    outputs : maps of logits (N, classes, H, W), a tuple or one; mask (N, H, W), with -1 where it is unknown.
    """

    def hybrid_forward(self, F, outputs, mask):
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        return sum(self._cross_entropy(F, logits, mask) for logits in outputs)

    def _cross_entropy(self, F, logits, mask):
        known = mask != IGNORED
        loss = -F.pick(F.log_softmax(logits, axis=1), F.maximum(mask, 0), axis=1) * known
        return F.sum(loss, axis=(1, 2)) / F.maximum(F.sum(known, axis=(1, 2)), 1)


def arrays(dataset):
    """A segmentation data set in memory: images (N, 3, H, W) normalised float32, masks (N, H, W) float32."""
    images, masks = zip(*(dataset[i] for i in range(len(dataset))))
    images = (np.stack(images).astype("float32") / 255 - np.float32(dataset.mean)) / np.float32(dataset.std)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), np.stack(masks).astype("float32")


def evaluate(net, images, masks, classes, batch_size=64):
    """{'pixel_accuracy', 'miou'}, counted by GluonCV's SegmentationMetric; the network gives logits alone.

    The mean IoU is that of the classes which occur in truth or prediction: GluonCV counts any other as 0.
    """
    metric = _compat.import_gluoncv().utils.metrics.segmentation.SegmentationMetric(classes)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        metric.update(mx.nd.array(masks[part]), predict(net, images[part]))
    accuracy, _ = metric.get()
    seen = metric.total_union > 0
    miou = (metric.total_inter[seen] / metric.total_union[seen]).mean() if seen.any() else 0.0
    return {"pixel_accuracy": float(accuracy), "miou": float(miou)}


def predict(net, images):
    """Logits (N, classes, H, W) of the prediction."""
    return logits_of(net, net(mx.nd.array(images)))


def updates_an_epoch(images, batch_size):
    """How many, of as many training images; GluonAttnError where these fill no batch."""
    if batch_size > images:
        raise GluonAttnError(f"batch_size={batch_size} is more than the {images} training images.")
    return images // batch_size


def fit(make_net, train, test, classes, *, epochs, batch_size, lr, wd=1e-4, seed=0, log=print):
    """Train with SGD (Nesterov 0.9) on a cosine; returns (network that holds the trained weights, rows of the history).

    make_net : () -> an initialised network that gives all its outputs; called twice, since the trained network is not
        the one that is evaluated (train/evaluated.py). Not hybridized with static_shape=True, which lets that one's
        copy of the running statistics be a step behind
    train, test : (images, masks) as `arrays` gives them
    """
    images, masks = train
    batches = updates_an_epoch(len(images), batch_size)
    net = make_net()
    evaluated = Evaluated(net, make_net())
    schedule = mx.lr_scheduler.CosineScheduler(epochs * batches, base_lr=lr, final_lr=0, warmup_steps=batches // 2)
    options = {"learning_rate": lr, "momentum": 0.9, "wd": wd, "lr_scheduler": schedule}
    trainer, loss_of, rows = gluon.Trainer(net.collect_params(), "nag", options), SegmentationLoss(), []
    loss_of.hybridize()
    for epoch in range(epochs):
        order, total, start = random_state(seed, epoch, stream="order").permutation(len(images)), 0.0, time.time()
        for index in order[: batches * batch_size].reshape(batches, batch_size):
            x, y = mx.nd.array(images[index]), mx.nd.array(masks[index])
            with mx.autograd.record():
                loss = loss_of(net(x), y)
            loss.backward()
            trainer.step(batch_size)
            total += float(loss.mean().asscalar())
        demand_finite(net, total, epoch)
        row = {"epoch": epoch, "loss": total / batches, "seconds": time.time() - start}
        if epoch == epochs - 1 or epoch % 5 == 4:
            evaluated.settle()
            row.update(evaluate(evaluated.net, *test, classes))
        rows.append(row)
        log(" ".join(f"{key} {value:.4g}" for key, value in row.items()))
    return evaluated.net, rows


def write_run(folder, net, history, metrics):
    """metrics.json, history.csv and last.params of one run."""
    folder = Path(folder)
    write_csv(folder / "history.csv", history, sorted({key for row in history for key in row}))
    write_parameters(folder / "last.params", net)
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def draw(path, images, truths, predictions, titles, names):
    """One row an image: the image, its true mask, and the mask of each prediction; a legend of the classes' colours.

    images : uint8 (N, H, W, 3); truths (N, H, W), -1 where unknown; predictions : one (N, H, W) a title
    names : of the classes, the background first, which is nearly white
    """
    from matplotlib.patches import Patch

    columns, colours = ["image", "truth", *titles], class_colours(len(names))
    figure = new_figure(1.5 * len(columns), 1.55 * len(images) + 0.5)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for row, panels in zip(axes, zip(images, truths, *predictions)):
        for axis, panel in zip(row, panels):
            # The last colour, black, is that of -1.
            axis.imshow(panel if panel.ndim == 3 else colours[panel.astype(int)], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            for side in axis.spines.values():
                side.set_color("#b0b0b8")
    for axis, title in zip(axes[0], columns):
        axis.set_title(title, fontsize=9)
    patches = [Patch(facecolor=colour, edgecolor="#b0b0b8", label=name) for colour, name in zip(colours, names)]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(names), 11), fontsize=8, frameon=False)
    save_figure(figure, path, dpi=110)


def class_colours(count):
    """(count + 1, 3): nearly white for the background, then colours that people tell apart, black at the end."""
    from matplotlib import colormaps

    palette = colormaps["tab10" if count <= 11 else "tab20"]
    return np.array([(0.96, 0.96, 0.97), *(palette(i % palette.N)[:3] for i in range(count - 1)), (0, 0, 0)])
