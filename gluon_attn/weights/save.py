"""Out of a network into a file with somebody else's names: the inverse of `load_weights`, by the same maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import WeightsError, unknown
from gluon_attn.files import AnyPath, replacing
from gluon_attn.weights.expressible import form, refuse_what_it_lacks
from gluon_attn.weights.files import values_of, write_checked
from gluon_attn.weights.layouts import source_of
from gluon_attn.weights.layouts.inverse import FORMATS, published_names

if TYPE_CHECKING:
    from mxnet.gluon import HybridBlock


@mxnet_explained()
def save_weights(net: HybridBlock, path: AnyPath, format: str = "gluon") -> None:
    """Write the parameters of `net`, a network of the zoo, as `path`, under the names of `format`; whole or not at all.

    format : 'gluon' (ours, what `net.save_parameters` writes: the mean where devices differ), 'timm', 'torchvision',
        'imgclsmob', 'openaff' or 'abn'
    path : its suffix says the container: .params, .safetensors, or .pth (which needs torch)

    `load_weights` reads all of them back, equal to the bit. A network that the format's own library could not build
    raises WeightsError: names and shapes alone would not tell it (SE and its inverse have the same).

    >>> save_weights(load_run("runs/cats"), "resnet50.safetensors", format="timm")
    >>> timm.create_model("resnet50", num_classes=2, checkpoint_path="resnet50.safetensors")       # elsewhere
    """
    if format not in FORMATS:
        raise unknown("format of weights", format, FORMATS, WeightsError)
    arrays = {name: value.asnumpy() for name, value in values_of(net).items()}
    if format != "gluon":
        refuse_what_it_lacks(net, format)
        names = published_names(format, arrays, _stem_length(net, format))
        arrays = {names[name]: array for name, array in arrays.items()}
    if source_of(format).COUNTS_BATCHES:
        counters = [name[: -len("running_mean")] for name in arrays if name.endswith(".running_mean")]
        arrays.update({f"{name}num_batches_tracked": np.zeros((), "int64") for name in counters})
    _write(Path(path).expanduser(), arrays)


def _stem_length(net, format):
    """Layers of the stem where open-aff counts them among its `features`; 0 where its stages are `layer1..4`."""
    arch = form(type(net), net.zoo_arch)
    plain = arch.get("stem") == "deep" and "groups" not in arch
    return 0 if format == "openaff" and plain else len(net.stem)


def _write(path, arrays):
    writers = {".params": _write_params, ".safetensors": _write_safetensors, ".pth": _write_pth}
    if path.suffix not in writers:
        raise unknown("suffix of a file of weights", path.suffix, writers, WeightsError)
    writers[path.suffix](path, arrays)


def _write_params(path, arrays):
    import mxnet as mx

    if any(array.ndim == 0 for array in arrays.values()):  # which .params files cannot hold
        arrays = {name: array for name, array in arrays.items() if array.ndim}
    values = {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}
    write_checked(path, lambda temporary: mx.nd.save(temporary, values))


def _write_safetensors(path, arrays):
    from safetensors.numpy import save_file

    values = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_checked(path, lambda temporary: save_file(values, temporary))


def _write_pth(path, arrays):
    import torch

    values = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    with replacing(path) as temporary:
        torch.save(values, temporary)
