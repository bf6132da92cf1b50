"""AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101) on MXNet's operator, which leaves the bias correction out.

m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  with t updates done and the rate lr:
w <- w - lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + wd w)

The decay is decoupled from g, and scaled by the learning rate as in PyTorch: wd = 0.05 is a usual value here, where
1e-4 is one for SGD.
"""

from __future__ import annotations

import math

import mxnet as mx


class AdamW(mx.optimizer.Optimizer):
    """Its state for a weight is (m, v), in the weight's type; t is the optimiser's count of updates."""

    def __init__(self, beta1=0.9, beta2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def create_state(self, index, weight):
        return tuple(mx.nd.zeros(weight.shape, weight.context, dtype=weight.dtype) for _ in range(2))

    def update(self, index, weight, grad, state):
        self._update_count(index)
        t, lr = self._index_update_count[index], self._get_lr(index)
        first, second = 1 - self.beta1**t, math.sqrt(1 - self.beta2**t)
        mean, variance = state
        mx.nd.contrib.adamw_update(
            weight,
            grad,
            mean,
            variance,
            rescale_grad=mx.nd.array([self.rescale_grad], ctx=weight.context),
            lr=lr * second / first,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon * second,
            wd=lr * self._get_wd(index),
            eta=1,
            out=weight,
        )
