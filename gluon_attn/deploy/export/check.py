"""An exported network gives what Gluon gives, or it is no export."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from gluon_attn import mixed_precision
from gluon_attn.complexity import check_images
from gluon_attn.deploy.export.trace import place_of
from gluon_attn.deploy.run.symbol_file import INPUT, output_shapes
from gluon_attn.errors import GluonAttnError

TOLERANCE = 1e-4  # of the largest output: float32 sums in another order, and BatchNorm folded


def difference(net, run, size, in_channels=3, batches=(1, 3), sizes=None):
    """The largest difference of the outputs of `net` and `run(images) -> arrays`, over that of the largest output.

    Random images, every batch size at every side in `sizes` (default: `size` alone).
    """
    largest = 0.0
    for batch in batches:
        for side in sizes or (size,):
            images = np.random.RandomState(side + batch).uniform(-2, 2, (batch, in_channels, side, side))
            images = images.astype("float32")
            with mixed_precision.switched_off(net):
                expected = net(mx.nd.array(images, ctx=place_of(net)))
            expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
            for wanted, found in zip(expected, run(images)):
                wanted = wanted.asnumpy()
                if not np.isfinite(found).all() or wanted.shape != found.shape:
                    raise GluonAttnError(f"The exported network gives shape {found.shape}, or infinite values.")
                largest = max(largest, float(abs(wanted - found).max() / max(abs(wanted).max(), 1e-6)))
    return largest


def demand(difference, tolerance=TOLERANCE):
    if not difference <= tolerance:
        raise GluonAttnError(
            f"The exported network differs from Gluon's by {difference:.2g} of its largest output, more than the "
            f"tolerance of {tolerance:g}: no file was written."
        )


def check_network(symbol, net, size, in_channels=3):
    """Refuse a network without weights, or images that it, traced as `symbol`, cannot take."""
    for name, parameter in net.collect_params().items():
        if parameter._data is None:
            raise GluonAttnError(f"{name} has no values: load weights, or call net.initialize(), before exporting.")
        if not name.endswith(("running_mean", "running_var")) and parameter.dtype not in (np.float32, "float32"):
            kind = np.dtype(parameter.dtype).name
            raise GluonAttnError(f"{name} is of {kind}, and exports are of float32: call net.cast('float32') first.")
    if not takes(symbol, net, size, in_channels):
        check_images(net, (in_channels, size, size))  # says why
        raise GluonAttnError(
            f"This {type(net).__name__} cannot take images of {in_channels}x{size}x{size}: the shapes of its outputs "
            "cannot be told. Give the size= and in_channels= that it was built for."
        )


def takes(symbol, net, size, in_channels=3):
    """Whether the network takes images of that side: one whose parameters know the map's size refuses all but one."""
    used = set(symbol.list_inputs())
    shapes = {name: p.shape for name, p in net.collect_params().items() if name in used}
    try:
        return output_shapes(symbol, {INPUT: (1, in_channels, size, size), **shapes}) is not None
    except mx.MXNetError:
        return False
