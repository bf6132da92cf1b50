"""Complete checkpoints: one .npz file each, written atomically, read without pickle, checked by zip's CRC.

They hold the arrays that a run depends on, out of the live objects and back into them, bit for bit:

param/NAME        weights, which all devices have in common
running/D/NAME    running statistics of device D, which differ
optimiser/NAME/K  K-th array of the optimiser's state for that weight
ema/...           both of the moving average, where there is one
loss/D            the epoch's loss so far on device D
"""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import mxnet as mx
import numpy as np

from gluon_attn import cpu
from gluon_attn.errors import GluonAttnError
from gluon_attn.files import write_bytes
from gluon_attn.weights.archive import read_npz

FORMAT = 1
KEPT = 2  # the newest and the one before it, in case the newest is damaged
_META = "meta.json"


class Checkpoints:
    """The checkpoints of a run's folder: `checkpoint-STEP.npz`, STEP the number of updates done."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def paths(self):
        """Newest first."""
        found = [p for p in self.folder.glob("checkpoint-*.npz") if re.fullmatch(r"checkpoint-\d+\.npz", p.name)]
        return sorted(found, key=lambda path: int(path.stem.split("-")[1]), reverse=True)

    def save(self, step, arrays, meta):
        """Write one (OSError where that fails: what was there before stays) and remove all but the newest two."""
        self._sweep()
        write(self.folder / f"checkpoint-{step:08d}.npz", arrays, meta)
        for path in self.paths()[KEPT:]:
            path.unlink()

    def newest(self, warn, check=lambda arrays, meta: None):
        """(arrays, meta) of the newest whole checkpoint, or None where the folder has none.

        A damaged one, or one that `check` raises a GluonAttnError for, is passed over and named by `warn`; where
        all are so, an error says it.
        """
        paths = self.paths()
        for path in paths:
            try:
                found = read(path)
                check(*found)
                return found
            except GluonAttnError as error:
                warn(str(error) if str(path) in str(error) else f"The checkpoint {str(path)!r} does not fit. {error}")
        if paths:
            raise GluonAttnError(
                f"None of the {len(paths)} checkpoints in {str(self.folder)!r} can be used: "
                "take another --output, or remove that folder to start afresh."
            )
        return None

    def clear(self):
        for path in self.paths():
            path.unlink()

    def _sweep(self):
        """Remove what a killed process left half written."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink()


def write(path, arrays, meta):
    """`arrays` {name: numpy array} and `meta` (anything JSON can hold) as one file."""
    text = np.frombuffer(json.dumps({"format": FORMAT, **meta}).encode("utf-8"), np.uint8)
    content = io.BytesIO()
    np.savez(content, **{_META: text}, **arrays)
    # Not getbuffer(): where the disk is full, Python 3.12 crashes on collecting the view and its owner together.
    write_bytes(path, content.getvalue())


def read(path):
    """(arrays, meta) of one file; whatever is wrong with it is one sentence."""
    if not Path(path).is_file():
        raise GluonAttnError(f"There is no checkpoint {str(path)!r}.")
    try:
        arrays = read_npz(path, "the file")
        meta = json.loads(arrays.pop(_META).tobytes().decode("utf-8"))
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise GluonAttnError(f"The checkpoint {str(path)!r} is damaged ({error}).") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        raise GluonAttnError(f"The checkpoint {str(path)!r} has format {str(found)[:40]!r}, not {FORMAT}.")
    _check_meta(path, meta)
    _check_kinds(path, arrays)
    return arrays, meta


def _check_meta(path, meta):
    """GluonAttnError where the facts are not those of a run: what is missing, or has an impossible value."""

    def count(value):
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    def row(value):
        return isinstance(value, dict) and count(value.get("epoch")) and isinstance(value.get("train_loss"), float)

    tests = dict(
        recipe=lambda value: isinstance(value, dict),
        epoch=count,
        batch=count,
        images=count,
        history=lambda value: isinstance(value, list) and len(value) == meta["epoch"] and all(map(row, value)),
        seconds=lambda value: isinstance(value, (int, float)) and 0 <= value < math.inf,
    )
    for key, test in tests.items():
        if key not in meta:
            raise GluonAttnError(f"The checkpoint {str(path)!r} does not say {key!r}: it is no whole one.")
        if not test(meta[key]):
            shown = str(meta[key])[:60]
            raise GluonAttnError(f"The checkpoint {str(path)!r} says {key} = {shown}, which no run can have.")


def _check_kinds(path, arrays):
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise GluonAttnError(
                f"The checkpoint {str(path)!r} has {name!r} of type {array.dtype}: its arrays are real numbers."
            )
        if not np.isfinite(array).all():
            raise GluonAttnError(f"The checkpoint {str(path)!r} has numbers in {name!r} that are not finite.")


def check_arrays(arrays, net, trainer, totals, evaluated):
    """GluonAttnError where `restore` would miss an array, find one too many, or one of another shape."""
    wanted = {name: array.shape for name, array in capture(net, trainer, totals, evaluated).items()}
    paths = _paths(net, trainer)
    arrays = _named(arrays, paths)
    if any(name.startswith("optimiser/") for name in arrays):
        for index, parameter in enumerate(trainer._params):
            if parameter.grad_req != "null":
                state = trainer.optimizer.create_state_multi_precision(index, parameter.list_data()[0])
                wanted.update({f"optimiser/{paths[index]}/{k}": a.shape for k, a in enumerate(_flat(state))})
    wanted = {name: shape for name, shape in wanted.items() if not name.startswith("loss/") or name in arrays}
    for name, shape in wanted.items():
        if name not in arrays:
            raise GluonAttnError(f"The checkpoint has no {name!r}: it belongs to another network or other devices.")
        if arrays[name].shape != shape:
            raise GluonAttnError(f"The checkpoint's {name!r} has shape {arrays[name].shape}, this run's has {shape}.")
    more = sorted(set(arrays) - set(wanted))
    if more:
        raise GluonAttnError(f"The checkpoint holds what this run has no place for: {', '.join(more[:5])}.")


def capture(net, trainer, totals, evaluated):
    """{name: numpy array}; waits for the devices."""
    cpu.finish_relaying()
    arrays, paths = _of_network(net), _paths(net, trainer)
    for index, state in trainer._updaters[0].states.items():
        for k, array in enumerate(_flat(state)):
            arrays[f"optimiser/{paths[index]}/{k}"] = array.asnumpy()
    if evaluated.decay:
        arrays.update({f"ema/{name}": array for name, array in _of_network(evaluated.net).items()})
    arrays.update({f"loss/{device}": total.asnumpy() for device, total in enumerate(totals)})
    return arrays


def restore(arrays, net, trainer, totals, evaluated):
    """Put `capture`'s arrays back; the objects must be of the same recipe."""
    paths = _paths(net, trainer)
    arrays = _named(arrays, paths)
    _restore_network(arrays, net)
    _restore_optimiser(arrays, trainer, paths)
    if evaluated.decay:
        _restore_network(arrays, evaluated.net, "ema/")
    for device, total in enumerate(totals):
        total[:] = arrays.pop(f"loss/{device}", 0)
    if arrays:
        raise GluonAttnError(f"The checkpoint holds what this run has no place for: {', '.join(sorted(arrays)[:5])}.")


def _paths(net, trainer):
    """The path in the network of each of the Trainer's parameters.

    A Trainer sorts them by Gluon's own names, which count what the process has built: after conv99 comes conv100, and
    that is sorted before. So its order is no property of the network.
    """
    paths = {id(parameter): path for path, parameter in net._collect_params_with_prefix().items()}
    return [paths[id(parameter)] for parameter in trainer._params]


def _named(arrays, paths):
    """The arrays, with paths in the place of the Trainer's numbers, which earlier checkpoints have."""
    of_number = {str(number): path for number, path in enumerate(paths)}
    found = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition("/")
        number, _, k = rest.rpartition("/")
        numbered = kind == "optimiser" and number in of_number
        path = f"{kind}/{of_number[number]}/{k}" if numbered else name
        if path in found:
            raise GluonAttnError(f"The checkpoint has {path!r} twice, once by the number of its weight: it was edited.")
        found[path] = array
    return found


def _of_network(net):
    arrays = {}
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req == "null":
            arrays.update({f"running/{d}/{name}": copy.asnumpy() for d, copy in enumerate(parameter.list_data())})
        else:
            arrays[f"param/{name}"] = parameter.list_data()[0].asnumpy()
    return arrays


def _restore_network(arrays, net, prefix=""):
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            parameter.set_data(mx.nd.array(_take(arrays, f"{prefix}param/{name}"), dtype=parameter.dtype))
            continue
        for device, copy in enumerate(parameter.list_data()):
            value = _take(arrays, f"{prefix}running/{device}/{name}")
            copy[:] = mx.nd.array(value, dtype=copy.dtype, ctx=copy.context)


def _restore_optimiser(arrays, trainer, paths):
    """Before the first update there is no state, and then the checkpoint has none."""
    if not any(name.startswith("optimiser/") for name in arrays):
        return
    for index, parameter in enumerate(trainer._params):
        if parameter.grad_req == "null":
            continue
        for updater, weight in zip(trainer._updaters, parameter.list_data()):
            state = trainer.optimizer.create_state_multi_precision(index, weight)
            for k, array in enumerate(_flat(state)):
                value = _found(arrays, f"optimiser/{paths[index]}/{k}")
                array[:] = mx.nd.array(value, dtype=array.dtype, ctx=array.context)
            updater.states[index] = state
            updater.states_synced[index] = True
    for name in [name for name in arrays if name.startswith("optimiser/")]:
        del arrays[name]


def _take(arrays, name):
    found = _found(arrays, name)
    del arrays[name]
    return found


def _found(arrays, name):
    if name not in arrays:
        raise GluonAttnError(
            f"The checkpoint has no {name!r}: it belongs to another network, optimiser or other devices."
        )
    return arrays[name]


def _flat(state):
    """The arrays of an optimiser's state: None, an array, or a tuple of states."""
    if state is None:
        return []
    if isinstance(state, (list, tuple)):
        return [array for part in state for array in _flat(part)]
    return [state]
