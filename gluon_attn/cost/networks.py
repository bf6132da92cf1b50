"""What a network costs on a device: images a second in training and inference, and memory, beside its plain backbone.

Memory is that of a process of its own (`python -m gluon_attn.cost.networks NAME MODE BATCH SIZE DEVICE`): its peak less
what it had before the network was made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from gluon_attn import plugins
from gluon_attn.cost.timing import interleaved
from gluon_attn.errors import GluonAttnError

MODES = ("training", "inference")
MIB = 2**20


def job(name, mode, batch, size, place):
    from gluon_attn.cost import jobs

    make = {"training": jobs.training_step, "inference": jobs.inference}[mode]
    return make(_network(name), batch, size, place)


def _described(name):
    """(Spec, keywords beside it, side of the input) of a name of the zoo, or of the whole path of a run's folder."""
    from gluon_attn import zoo
    from gluon_attn.weights.card import Card

    if not os.path.isabs(name):  # a folder here may be called as a network is
        spec = zoo.find(name)
        return spec, {}, spec.input_size
    card = Card.read(name)
    return zoo.find(card.model), dict(card.arch, classes=len(card.classes)), card.input_size


def _network(name, plain=False):
    """The network without weights, which cost nothing; or its plain backbone, in the same depth and width."""
    from gluon_attn import zoo

    spec, arch, _ = _described(name)
    if not plain:
        return zoo.get_model(spec.name, **arch)
    usual = zoo.find(spec.plain)
    return zoo.get_model(usual.name, **{key: arch[key] for key in arch if key == "classes" or key in usual.arch})


def measure(names, mode, batch, size=None, device="cpu:0", rounds=3, clock="wall", memory=True):
    """One dictionary a name: what is promised (MACs), what is measured, and the ratios to the plain backbone.

    names : of the zoo, or whole paths of runs' folders, measured in the form and for the size that they were trained in
    """
    from gluon_attn.complexity import complexity
    from gluon_attn.cost import jobs
    from gluon_attn.devices import parse_devices

    (place,) = parse_devices(device)
    make = {"training": jobs.training_step, "inference": jobs.inference}[mode]
    rows = []
    for name in names:
        spec, _, side = _described(name)
        side, plain = size or side, spec.plain
        info, base = (complexity(_network(name, is_plain), side) for is_plain in (False, True))
        todo = {name: make(_network(name), batch, side, place)}
        if spec.name != plain:
            todo = {plain: make(_network(name, plain=True), batch, side, place), **todo}
        times = interleaved(todo, rounds, 1, clock)
        times.setdefault(plain, times[name])
        rows.append(
            {
                "network": name,
                "mode": mode,
                "device": device,
                "batch": batch,
                "size": side,
                "images_per_second": f"{batch / times[name].median:.1f}",
                "spread": f"{times[name].spread:.2f}",
                "plain": plain,
                "macs_ratio": f"{info.macs / base.macs:.3f}",
                "time_ratio": f"{1 / times[name].faster_than(times[plain]):.2f}",
                "parameters_ratio": f"{info.parameters / base.parameters:.3f}",
                "memory_mib": peak_memory(name, mode, batch, side, device) if memory else "",
            }
        )
    return rows


def peak_memory(name, mode, batch, size, device):
    """MiB that one step needs at its peak, measured in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, name, mode, str(batch), str(size), device]
    run = subprocess.run(command, capture_output=True)
    if run.returncode:
        said = run.stderr.decode(errors="replace").split("\n")
        reason = next((line for line in reversed(said) if line.strip()), f"it ended with status {run.returncode}")
        raise GluonAttnError(
            f"Measuring the memory of {name} failed in the process that it takes: {reason.strip()[:300]} (A mechanism "
            f"of your own script's is known there where {plugins.VARIABLE} names the module that registers it.) "
            "memory=False, or --no-memory, leaves it out."
        )
    return json.loads(run.stdout.decode().splitlines()[-1])


def _main(name, mode, batch, size, device):
    import mxnet as mx

    from gluon_attn.devices import parse_devices

    (place,) = parse_devices(device)
    if place.device_type == "gpu":
        before = mx.context.gpu_memory_info(place.device_id)[0]
        job(name, mode, int(batch), int(size), place)()
        print(json.dumps(round((before - mx.context.gpu_memory_info(place.device_id)[0]) / MIB)))
        return
    before = _resident("VmRSS")
    job(name, mode, int(batch), int(size), place)()
    print(json.dumps(round(_resident("VmHWM") - before)))


def _resident(key):
    """MiB of this process now ('VmRSS') or at its peak ('VmHWM'); getrusage's peak would include the parent's."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


if __name__ == "__main__":
    _main(*sys.argv[1:])
