"""Interaction-aware (spatio-temporal) pyramid attention (Du et al., ECCV 2018, arXiv 1808.01106).

No code was published. What the paper leaves open is an argument here, with the choice that is the default:

* R, the sampling to the size of the last map: `sampling`, 'mean' (halving average pools) or 'max'.
* F, the fusion of the score maps: `fusion`, 'mean', 'sum', 'max' or 'product'.
* the axis of softmax and L2 norm: softmax over the positions of all frames, unit L2 norm of each row of A, which the
  paper's interaction loss takes for granted (A A^T has ones on its diagonal).
* the number d of rows: `map_size`^2, so that the result is a map again; W_j has d rows and C_j columns.
* the features inside the interaction loss: divided by their Frobenius norm and without gradient, since the paper's term
  is otherwise unbounded below (`normalise`, `detach` of interaction_loss).
"""

from __future__ import annotations

from typing import Any, Sequence

from mxnet.gluon import nn

from gluon_attn.attention.announce import announce
from gluon_attn.cpu import fence
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.layers import MaxPool2D

SAMPLINGS = {
    "mean": lambda: nn.AvgPool2D(2, 2, ceil_mode=True, count_include_pad=False),
    "max": lambda: MaxPool2D(2, 2, ceil_mode=True),
}
FUSIONS = {
    "mean": lambda F, maps: sum(maps) / len(maps),
    "sum": lambda F, maps: sum(maps),
    "max": lambda F, maps: F.max(F.stack(*maps, axis=0), axis=0),
    "product": lambda F, maps: _product(maps),
}


def _product(maps):
    result = maps[0]
    for scores in maps[1:]:
        result = result * scores
    return result


class PyramidHead(nn.HybridBlock):
    """maps -> (logits, attention A, interaction loss (B,), diversity loss (B,)), the logits from the attended map."""

    def __init__(self, channels, classifier, normalise=True, detach=True, **how):
        super().__init__()
        self.attention, self.classifier = PyramidAttention(channels, **how), classifier
        self.how = dict(normalise=normalise, detach=detach)

    def hybrid_forward(self, F, *maps):
        attended_map, columns, attention, fused, *scales = self.attention(*maps)
        interaction = interaction_loss(F, attention, columns, **self.how)
        return self.classifier(attended_map), attention, interaction, diversity_loss(F, fused, scales)


class Pointwise(nn.Conv1D):
    """A convolution of one place, (B, C, P) -> (B, d, P), as a 1x1 one of a map: the same parameters and values.

    An inference lays a three-dimensional weight out anew, in which form MXNet can neither save it nor copy it.
    """

    def hybrid_forward(self, F, x, weight, bias):
        flat = F.expand_dims(x, axis=3), F.expand_dims(weight, axis=3), bias
        return F.reshape(F.Convolution(*flat, kernel=(1, 1), num_filter=self._channels), (0, 0, -1))


class PyramidAttention(nn.HybridBlock):
    r"""A X_last from a pyramid of N maps X_1 ... X_N of one network, the last the smallest.

    Y_j = W_j X_j + b_j       scores of scale j, (d, K P): W_j (d, C_j), b_j (d, 1); X_j (C_j, K P) after sampling
    a = softmax(F(Y_1, ..., Y_N)) over the K P positions,  A = a with rows of unit L2 norm
    M = A X_last^T            (d, C_last), returned as a map (B, C_last, map_size, map_size)

    channels : C_1 ... C_N, every map twice as large as the next one
    frames : K; the maps then hold B * K images, the frames of a clip one after the other

    Returns (M, X_last, A, a, softmax(Y_1), ..., softmax(Y_N)): M a map, X_last (B, C_last, K P), the rest (B, d, K P).
    """

    def __init__(self, channels, map_size, frames=1, fusion="mean", sampling="mean", **kwargs):
        super().__init__(**kwargs)
        if fusion not in FUSIONS:
            raise unknown("fusion of score maps", fusion, FUSIONS)
        if sampling not in SAMPLINGS:
            raise unknown("sampling", sampling, SAMPLINGS)
        if frames < 1:
            raise GluonAttnError(f"frames={frames}: a clip has at least one frame.")
        self.map_size, self.frames, self.fusion = map_size, frames, fusion
        self.halve = SAMPLINGS[sampling]()
        self.scores = nn.HybridSequential()
        for width in channels:
            self.scores.add(Pointwise(map_size**2, 1, in_channels=width))

    def hybrid_forward(self, F, *maps):
        columns = [self._columns(F, x, len(maps) - 1 - j) for j, x in enumerate(maps)]
        # oneDNN's softmax and its reorders fail on the layouts that convolutions leave behind in three dimensions.
        scores = [fence(F, score(x)) for score, x in zip(self.scores, columns)]
        fused = F.softmax(FUSIONS[self.fusion](F, scores), axis=-1)
        attention = announce(self, F.L2Normalization(fused, mode="spatial"), "positions")
        y = F.batch_dot(columns[-1], attention, transpose_b=True)
        y = F.reshape(y, (0, 0, self.map_size, self.map_size))
        return (y, columns[-1], attention, fused) + tuple(F.softmax(score, axis=-1) for score in scores)

    def _columns(self, F, x, halvings):
        """A map of B * K images -> (B, C, K P) at the size of the last map."""
        for _ in range(halvings):
            x = self.halve(x)
        x = F.reshape(fence(F, x), (0, 0, -1))
        if self.frames == 1:
            return x
        x = F.reshape(x, (-4, -1, self.frames, 0, 0))
        return F.reshape(fence(F, F.transpose(x, axes=(0, 2, 1, 3))), (0, 0, -3))


def interaction_loss(F: Any, attention: Any, columns: Any, normalise: bool = True, detach: bool = True) -> Any:
    """The sum of squares of (A A^T) o (1 - I), less the sum of (A X X^T A^T) o I, an image: (B,).

    As in PCA: the rows of A are directions on which X varies most, at right angles to each other. The first sum is that
    of the squares of A X^T. attention (B, d, P), columns (B, C, P).

    >>> interaction_loss(mx.nd, mx.nd.ones((2, 3, 49)), mx.nd.ones((2, 8, 49))).shape
    (2,)
    """
    if detach:
        columns = F.BlockGrad(columns)
    if normalise:
        columns = F.L2Normalization(columns, mode="instance")
    spread = F.sum(F.square(F.batch_dot(attention, columns, transpose_b=True)), axis=(1, 2))
    gram = F.batch_dot(attention, attention, transpose_b=True)
    diagonal = F.sum(F.square(F.sum(F.square(attention), axis=2)), axis=1)
    return F.sum(F.square(gram), axis=(1, 2)) - diagonal - spread


def diversity_loss(F: Any, fused: Any, scales: Sequence) -> Any:
    """sqrt of the sum over scales and entries of 1 - (a - softmax(Y_j))^2, an image: every scale its own map; (B,).

    >>> diversity_loss(mx.nd, mx.nd.zeros((2, 3, 4)), [mx.nd.zeros((2, 3, 4))] * 2).asnumpy().round(3)
    array([4.899, 4.899], dtype=float32)
    """
    return F.sqrt(sum(F.sum(1 - F.square(fused - scale), axis=(1, 2)) for scale in scales))
