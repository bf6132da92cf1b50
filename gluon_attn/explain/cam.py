"""Class activation maps: which places of a stage's output raise the score of a class.

With A_k the channels of the stage, y the logit of the target class and g_k = dy / dA_k, every map is
relu(sum_k w_k A_k), enlarged to the input and divided by its maximum. They differ in the channel weights:

==============  ======================================================  =======================================
gradcam         w_k = mean over positions of g_k                         Selvaraju et al., arXiv 1610.02391
gradcam_pp      w_k = sum over positions of alpha relu(g_k), where       Chattopadhay et al., arXiv 1710.11063
                alpha = g_k^2 / (2 g_k^2 + g_k^3 sum A_k)
scorecam        w = softmax over k of y(x * enlarged A_k in [0, 1])      Wang et al., arXiv 1910.01279
==============  ======================================================  =======================================

Grad-CAM++ is defined on exp(y): that adds the same factor exp(y) to all w_k, which the division by the maximum removes.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from PIL import Image

from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain.graph import cut_at


def gradcam(
    net: mx.gluon.HybridBlock,
    x: mx.nd.NDArray,
    target: Union[int, Sequence[int], None] = None,
    stage: Union[int, str] = -1,
) -> np.ndarray:
    """Grad-CAM maps (N, H, W) in [0, 1] at input size.

    net : a network of the zoo, hybridized or not; the parameters' gradients are not touched
    x : one image (3, H, W) or a batch (N, 3, H, W), normalised, on the network's device
    target : a class, or one for every image; by default the predicted ones
    stage : index or name of the stage looked at ('stage4'); -1 is the last one that has places, which a vector has not

    >>> gradcam(net, x).shape == (len(x), *x.shape[2:])
    True
    """
    return _gradient_cam(net, x, target, stage, lambda features, gradient: gradient.mean(axis=(2, 3)))


def gradcam_pp(
    net: mx.gluon.HybridBlock,
    x: mx.nd.NDArray,
    target: Union[int, Sequence[int], None] = None,
    stage: Union[int, str] = -1,
) -> np.ndarray:
    """Grad-CAM++ maps (N, H, W) in [0, 1]; arguments as for `gradcam`.

    >>> maps = gradcam_pp(net, x, target=7, stage="stage2")
    """
    return _gradient_cam(net, x, target, stage, _plus_plus_weights)


def scorecam(
    net: mx.gluon.HybridBlock,
    x: mx.nd.NDArray,
    target: Union[int, Sequence[int], None] = None,
    stage: Union[int, str] = -1,
    batch_size: int = 32,
) -> np.ndarray:
    """Score-CAM maps (N, H, W) in [0, 1]: no gradient, but one forward pass a channel. Arguments as for `gradcam`.

    >>> maps = scorecam(net, x[:1], batch_size=64)
    """
    refuse_no_count(batch_size=batch_size)
    x = as_batch(x)
    cut, features = cut_at(net, x, stage)
    target = as_target(target, cut.logits(features, x))
    maps = []
    for image, channels, label in zip(x, features.asnumpy(), target):
        masks = enlarge(_unit_range(channels), image.shape[1:])
        scores = masked_scores(lambda batch: cut.logits(cut.features(batch), batch), image, masks, label, batch_size)
        weights = np.exp(scores - scores.max())
        maps.append(np.tensordot(weights / weights.sum(), channels, 1))
    return finish(np.stack(maps), x.shape[2:])


def class_gradient(
    net: mx.gluon.HybridBlock,
    x: mx.nd.NDArray,
    target: Union[int, Sequence[int], None] = None,
    stage: Union[int, str] = -1,
) -> Tuple[np.ndarray, np.ndarray]:
    """(features, gradient) as arrays (N, C, h, w): a stage's output and d logit_target / d output.

    >>> features, gradient = class_gradient(net, x, target=7)
    >>> features.shape == gradient.shape
    True
    """
    x = as_batch(x)
    cut, features = cut_at(net, x, stage)
    features.attach_grad()
    with mx.autograd.record():  # the behaviour is that of inference all the same (graph.InferenceGraph)
        logits = cut.logits(features, x)
        # Images do not interact, so the gradient of the sum is every image's own.
        score = logits.pick(mx.nd.array(as_target(target, logits), ctx=x.context)).sum()
    (gradient,) = mx.autograd.grad(score, [features])
    return features.asnumpy(), gradient.asnumpy()


def _gradient_cam(net, x, target, stage, weigh):
    x = as_batch(x)
    features, gradient = class_gradient(net, x, target, stage)
    return finish(np.einsum("nkhw,nk->nhw", features, weigh(features, gradient)), x.shape[2:])


def _plus_plus_weights(features, gradient):
    square = gradient**2
    denominator = 2 * square + gradient * square * features.sum(axis=(2, 3), keepdims=True)
    alpha = np.divide(square, denominator, out=np.zeros_like(square), where=denominator != 0)
    return (alpha * np.maximum(gradient, 0)).sum(axis=(2, 3))


_FLOATS = (np.float16, np.float32, np.float64)


def as_batch(x: mx.nd.NDArray) -> mx.nd.NDArray:
    """(N, C, H, W) of a batch or of one image (C, H, W); an array of numpy's goes to the CPU, as float32.

    >>> as_batch(np.zeros((3, 32, 32))).shape
    (1, 3, 32, 32)
    """
    if not isinstance(x, mx.nd.NDArray):
        x = mx.nd.array(x)
    if x.ndim not in (3, 4) or not x.size:
        raise GluonAttnError(f"x has shape {x.shape}: give one image (3, H, W) or a batch (N, 3, H, W).")
    x = x if x.dtype in _FLOATS else x.astype("float32")
    if not np.isfinite(x.asnumpy()).all():  # which ReLUs and poolings pass over: the map would look fine
        raise GluonAttnError("x has values that are no number or infinite: look at how the image was prepared.")
    return x.expand_dims(0) if x.ndim == 3 else x


def as_target(target: Any, logits: mx.nd.NDArray) -> np.ndarray:
    """The class to explain for every image: int array (N,); the predicted ones where `target` is None.

    Floats that are whole, as MXNet's labels, are classes.

    >>> as_target(3, mx.nd.zeros((2, 10))).tolist()
    [3, 3]
    """
    count, classes = logits.shape
    if target is None:
        return logits.argmax(axis=1).asnumpy().astype(int)
    target = target.asnumpy() if isinstance(target, mx.nd.NDArray) else np.asarray(target)
    if target.dtype.kind not in "iuf" or (target != np.floor(target)).any():
        raise GluonAttnError(f"target={target.tolist()!r} is no class: give a whole number from 0 to {classes - 1}.")
    if target.ndim > 1 or (target.ndim and len(target) != count):
        given = f"{len(target)} classes" if target.ndim == 1 else f"shape {target.shape}"
        raise GluonAttnError(f"target has {given} for {count} images: give one class, or one an image.")
    target = np.broadcast_to(target, count).astype(int)
    for label in target:
        if not 0 <= label < classes:
            raise GluonAttnError(f"target={label} is no class of this network: it has 0 to {classes - 1}.")
    return target


def masked_scores(
    logits_of: Callable, image: mx.nd.NDArray, masks: np.ndarray, label: int, batch_size: int
) -> np.ndarray:
    """Logits of class `label` for image * mask, (M,) for masks (M, H, W).

    >>> masked_scores(net, x[0], np.ones((4, *x.shape[2:])), label=7, batch_size=2).shape
    (4,)
    """
    scores = []
    for start in range(0, len(masks), batch_size):
        part = mx.nd.array(masks[start : start + batch_size, None], ctx=image.context, dtype=image.dtype)
        scores.append(logits_of(mx.nd.broadcast_mul(part, image.expand_dims(0)))[:, int(label)])
    return mx.nd.concat(*scores, dim=0).asnumpy()


def finish(maps: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """relu, enlarge to the input's (H, W), divide by the maximum; a map without a positive place stays 0.

    >>> float(finish(np.full((1, 2, 2), 3.0), (4, 4)).max())
    1.0
    """
    maps = enlarge(np.maximum(maps, 0), size)
    peak = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, peak, out=np.zeros_like(maps), where=peak > 0)


def enlarge(maps: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """(N, h, w) -> float32 (N, H, W), bilinear.

    >>> enlarge(np.zeros((1, 2, 2)), (4, 6)).shape
    (1, 4, 6)
    """
    height, width = size
    resized = [Image.fromarray(m.astype("float32")).resize((width, height), Image.BILINEAR) for m in maps]
    return np.stack([np.asarray(m) for m in resized])


def _unit_range(channels):
    """Every channel to [0, 1]; a constant one becomes 0."""
    low = channels.min(axis=(1, 2), keepdims=True)
    span = channels.max(axis=(1, 2), keepdims=True) - low
    return np.divide(channels - low, span, out=np.zeros_like(channels), where=span > 0)
