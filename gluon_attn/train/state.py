"""The arrays that a run depends on, out of the live objects and back into them, bit for bit.

param/NAME        weights, which all devices have in common
running/D/NAME    running statistics of device D, which differ
optimiser/I/K     K-th array of the optimiser's state for parameter I
ema/...           both of the moving average, where there is one
loss/D            the epoch's loss so far on device D
"""

from __future__ import annotations

import mxnet as mx

from gluon_attn.errors import GluonAttnError


def capture(net, trainer, totals, evaluated):
    """{name: numpy array}; waits for the devices."""
    arrays = _of_network(net)
    for index, state in trainer._updaters[0].states.items():
        for k, array in enumerate(_flat(state)):
            arrays[f"optimiser/{index}/{k}"] = array.asnumpy()
    if evaluated.decay:
        arrays.update({f"ema/{name}": array for name, array in _of_network(evaluated.net).items()})
    arrays.update({f"loss/{device}": total.asnumpy() for device, total in enumerate(totals)})
    return arrays


def restore(arrays, net, trainer, totals, evaluated):
    """Put ``capture``'s arrays back; the objects must be of the same recipe."""
    arrays = dict(arrays)
    _restore_network(arrays, net)
    _restore_optimiser(arrays, trainer)
    if evaluated.decay:
        _restore_network(arrays, evaluated.net, "ema/")
    for device, total in enumerate(totals):
        total[:] = arrays.pop(f"loss/{device}", 0)
    if arrays:
        raise GluonAttnError(f"The checkpoint holds what this run has no place for: {', '.join(sorted(arrays)[:5])}.")


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


def _restore_optimiser(arrays, trainer):
    """Before the first update there is no state, and then the checkpoint has none."""
    if not any(name.startswith("optimiser/") for name in arrays):
        return
    for index, parameter in enumerate(trainer._params):
        if parameter.grad_req == "null":
            continue
        for updater, weight in zip(trainer._updaters, parameter.list_data()):
            state = trainer.optimizer.create_state_multi_precision(index, weight)
            for k, array in enumerate(_flat(state)):
                array[:] = mx.nd.array(arrays[f"optimiser/{index}/{k}"], dtype=array.dtype, ctx=array.context)
            updater.states[index] = state
            updater.states_synced[index] = True
    for name in [name for name in arrays if name.startswith("optimiser/")]:
        del arrays[name]


def _take(arrays, name):
    if name not in arrays:
        raise GluonAttnError(f"The checkpoint has no {name!r}: it belongs to another network or other devices.")
    return arrays.pop(name)


def _flat(state):
    """The arrays of an optimiser's state: None, an array, or a tuple of states."""
    if state is None:
        return []
    if isinstance(state, (list, tuple)):
        return [array for part in state for array in _flat(part)]
    return [state]
