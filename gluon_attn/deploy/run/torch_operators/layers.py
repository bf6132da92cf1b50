"""Layers: convolutions, norms, dropout and leaky activations, as MXNet's operators mean them.

Those that do something else in training are modules: they carry no parameters of their own, only the mode.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from gluon_attn.deploy.run.torch_operators.numbers import CHANNELS_FIRST, as_tuple, only

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def fully_connected(x, weight, bias=None, num_hidden=None, no_bias=False, flatten=True):
    return F.linear(x.flatten(1) if flatten else x, weight, bias)


@only(layout=CHANNELS_FIRST)
def convolution(x, weight, bias=None, kernel=(), stride=(), dilate=(), pad=(), num_group=1, no_bias=False, layout=None):
    return _CONVOLUTIONS[len(kernel)](x, weight, bias, stride or 1, pad or 0, dilate or 1, num_group)


@only(layout=CHANNELS_FIRST)
def deconvolution(
    x,
    weight,
    bias=None,
    kernel=(),
    stride=(),
    dilate=(),
    pad=(),
    adj=(),
    target_shape=(),
    num_group=1,
    no_bias=True,
    layout=None,
):
    count = len(kernel)
    stride, dilate = tuple(stride) or (1,) * count, tuple(dilate) or (1,) * count
    if any(target_shape):  # pad and adj are then what leads to it
        wholes = [s * (n - 1) + d * (k - 1) + 1 for s, n, d, k in zip(stride, x.shape[2:], dilate, kernel)]
        over = [whole - side for whole, side in zip(wholes, target_shape)]
        pad, adj = [(n + 1) // 2 for n in over], [n % 2 for n in over]
    return _TRANSPOSED[count](x, weight, bias, stride, pad or 0, adj or 0, num_group, dilate)


# --- norms ---------------------------------------------------------------------------------------------------------


class BatchNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * gamma + beta over `axis`; x, gamma, beta, running mean, running variance.

    In training the statistics are the batch's, and running = momentum * running + (1 - momentum) * batch with the
    *biased* variance (PyTorch's own momentum is 1 - this one, its running variance the unbiased). MXNet updates in the
    backward pass, this in the forward pass. With fix_gamma, gamma counts as 1 whatever is stored.
    """

    statistics = (3, 4)  # places of the inputs that no gradient changes

    def __init__(
        self,
        eps=1e-3,
        momentum=0.9,
        fix_gamma=True,
        use_global_stats=False,
        axis=1,
        min_calib_range=None,
        max_calib_range=None,
    ):
        super().__init__()
        self.eps, self.axis = eps, axis
        self.momentum = torch.tensor(momentum, dtype=torch.float32).item()  # as in MXNet, whatever x is
        self.fix_gamma, self.use_global_stats = bool(fix_gamma), bool(use_global_stats)

    def extra_repr(self):
        return f"eps={self.eps}, momentum={self.momentum}"

    def forward(self, x, gamma, beta, mean, var):
        if self.axis not in (1, 1 - x.dim()):
            return self._normalised(x.movedim(self.axis, 1), gamma, beta, mean, var).movedim(1, self.axis)
        return self._normalised(x, gamma, beta, mean, var)

    def _normalised(self, x, gamma, beta, mean, var):
        if self.fix_gamma:
            gamma = torch.ones_like(gamma)
        # Not F.batch_norm, which refuses a batch of one value a channel; MXNet normalises it to 0.
        if not self.training or self.use_global_stats:
            return torch.batch_norm(x, gamma, beta, mean, var, False, 0.0, self.eps, torch.backends.cudnn.enabled)
        of_batch, unbiased = torch.zeros_like(mean), torch.zeros_like(var)
        y = torch.batch_norm(x, gamma, beta, of_batch, unbiased, True, 1.0, self.eps, torch.backends.cudnn.enabled)
        with torch.no_grad():
            count = x.numel() // x.shape[1]
            biased = unbiased * ((count - 1) / count) if count > 1 else torch.zeros_like(var)
            mean.mul_(self.momentum).add_(of_batch, alpha=1 - self.momentum)
            var.mul_(self.momentum).add_(biased, alpha=1 - self.momentum)
        return y


class BatchNormWithReLU(BatchNorm):
    def forward(self, *inputs):
        return F.relu(super().forward(*inputs))


def instance_norm(x, gamma, beta, eps=1e-3):
    """Every channel of every image by its own mean and biased variance."""
    return torch.group_norm(x, x.shape[1], gamma, beta, eps)


def layer_norm(x, gamma, beta, axis=-1, eps=1e-5):
    moved = x.movedim(axis, -1)
    return F.layer_norm(moved, gamma.shape, gamma, beta, eps).movedim(-1, axis)


def group_norm(x, gamma, beta, num_groups=1, eps=1e-5):
    """In MXNet 1.x gamma and beta are one number a group."""
    each = x.shape[1] // num_groups
    if gamma.shape[0] == num_groups:
        gamma, beta = gamma.repeat_interleave(each), beta.repeat_interleave(each)
    return torch.group_norm(x, num_groups, gamma, beta, eps)


def l2_normalization(x, eps=1e-10, mode="instance"):
    """x / sqrt(sum of x^2 + eps), over all of an image, its channels, or its places."""
    first, last = {"instance": (1, x.dim()), "channel": (1, 2), "spatial": (2, x.dim())}[mode]
    return x / (x.square().sum(tuple(range(first, last)), keepdim=True) + eps).sqrt()


def local_response_norm(x, nsize, alpha=1e-4, beta=0.75, knorm=2.0):
    return F.local_response_norm(x, nsize, alpha, beta, knorm)


# --- chance --------------------------------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Zeros with probability p, the rest over 1 - p, in training (mode='always': always); one draw along `axes`."""

    def __init__(self, p=0.5, mode="training", axes=()):
        super().__init__()
        self.p, self.always, self.axes = p, mode == "always", tuple(axes)

    def extra_repr(self):
        return f"p={self.p}"

    def forward(self, x):
        active = self.training or self.always
        if not self.axes:
            return F.dropout(x, self.p, active)
        shape = [1 if axis in self.axes else side for axis, side in enumerate(x.shape)]
        return x * F.dropout(x.new_ones(shape), self.p, active)


class Normal(nn.Module):
    """Numbers drawn at every call, in inference as well, of a shape or of the shape of what is given."""

    def __init__(self, loc=0.0, scale=1.0, shape=(), dtype=None):
        super().__init__()
        self.first, self.second, self.shape = float(loc), float(scale), as_tuple(shape)
        self.register_buffer("like", torch.zeros(()), persistent=False)  # goes where the module goes

    def forward(self, x=None):
        return self.drawn(x if x is not None else self.like.expand([side or 1 for side in self.shape]))

    def drawn(self, like):
        return self.first + self.second * torch.randn_like(like)


class Uniform(Normal):
    def __init__(self, low=0.0, high=1.0, shape=(), dtype=None):
        super().__init__(low, high, shape)

    def drawn(self, like):
        return self.first + (self.second - self.first) * torch.rand_like(like)


@only(act_type=("leaky", "prelu", "rrelu", "elu", "selu", "gelu"))
class LeakyReLU(nn.Module):
    """x where positive, else by act_type: slope * x ('leaky'), gamma * x ('prelu'), a drawn slope ('rrelu'), ...

    The gradient of 'selu' is that of its formula; MXNet 1.9.1's is 3 % off below 0.
    """

    def __init__(self, act_type="leaky", slope=0.25, lower_bound=0.125, upper_bound=0.334):
        super().__init__()
        self.act_type, self.slope, self.bounds = act_type, slope, (lower_bound, upper_bound)

    def forward(self, x, gamma=None):
        if self.act_type == "prelu":
            return F.prelu(x, gamma.reshape(-1))
        if self.act_type == "rrelu":
            return F.rrelu(x, *self.bounds, training=self.training)
        if self.act_type == "elu":
            return F.elu(x, self.slope)
        return {"leaky": lambda: F.leaky_relu(x, self.slope), "selu": lambda: F.selu(x), "gelu": lambda: F.gelu(x)}[
            self.act_type
        ]()


OPERATORS = {
    "BatchNorm": BatchNorm,
    "Convolution": convolution,
    "Deconvolution": deconvolution,
    "Dropout": Dropout,
    "FullyConnected": fully_connected,
    "GroupNorm": group_norm,
    "InstanceNorm": instance_norm,
    "L2Normalization": l2_normalization,
    "LRN": local_response_norm,
    "LayerNorm": layer_norm,
    "LeakyReLU": LeakyReLU,
    "_contrib_BatchNormWithReLU": BatchNormWithReLU,
    "_random_normal": Normal,
    "_random_normal_like": Normal,
    "_random_uniform": Uniform,
    "_random_uniform_like": Uniform,
    "_contrib_SyncBatchNorm": BatchNorm,
}
