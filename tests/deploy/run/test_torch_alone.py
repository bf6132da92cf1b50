"""The engine torch where there is no MXNet: files in, torch and numpy 2 alone. `make test-torch` runs it.

GLUON_ATTN_PYTHON names the Python of the other environment, with MXNet and GluonCV, which writes the files.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
OTHER = os.environ.get("GLUON_ATTN_PYTHON")
pytestmark = pytest.mark.skipif(not OTHER, reason="GLUON_ATTN_PYTHON names the Python that has MXNet")

from gluon_attn import GluonAttnError  # noqa: E402
from gluon_attn.deploy import Predictor, load_torch  # noqa: E402
from gluon_attn.deploy.run.symbol_json import Node  # noqa: E402
from gluon_attn.deploy.run.torch_operators import operator_of  # noqa: E402
from tests.deploy.run import written  # noqa: E402

torch.set_num_threads(1)


def _run(module, *arguments):
    clean = {key: value for key, value in os.environ.items() if key != "GLUON_ATTN_TORCH"}
    subprocess.run([OTHER, "-W", "ignore", "-m", module, *map(str, arguments)], check=True, env=clean)


def _write(folder, kind):
    _run("tests.deploy.run.written", folder, kind)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("quick"), "quick")


@pytest.fixture(scope="session")
def slow_folder(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("slow"), "slow")


def _load(folder, name):
    return load_torch(folder / f"{name}-symbol.json", folder / f"{name}-0000.params"), np.load(folder / f"{name}.npz")


def test_nothing_of_mxnet_is_here():
    assert "mxnet" not in sys.modules and "gluoncv" not in sys.modules
    with pytest.raises(GluonAttnError, match="MXNet is not installed"):
        from gluon_attn.deploy import to_torch  # noqa: F401


@pytest.mark.parametrize("name", written.GLUONCV["quick"])
def test_networks_of_gluoncv(folder, name):
    _check_equal(folder, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", written.GLUONCV["slow"])
def test_large_networks_of_gluoncv(slow_folder, name):
    _check_equal(slow_folder, name)


@pytest.mark.slow
def test_operators_of_every_name_of_gluoncv(tmp_path):
    """All can be traced but for a few, and every operator is known but for the quantized ones."""
    path = tmp_path / "names.json"
    _run("tests.deploy.run.gluoncv_operators", path)
    described, unknown = json.loads(path.read_text()), set()
    untraced = {name for name, kinds in described.items() if isinstance(kinds, str)}
    assert untraced == set(written.WITHOUT_A_GRAPH), {name: described[name] for name in untraced}
    for name in set(described) - untraced:
        for operator, attributes in described[name]:
            try:
                operator_of(Node(name, operator, ast.literal_eval(attributes), {}, ()))
            except GluonAttnError:
                unknown.add(name)
    assert len(described) > 300 and unknown == {name for name in described if name.endswith("_int8")}


def _check_equal(folder, name):
    net, expected = _load(folder, name)
    with torch.no_grad():
        outputs = net(torch.from_numpy(expected["x"]))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert len(outputs) == len(expected.files) - 1
    pairs = [(output.numpy(), expected[f"y{i}"]) for i, output in enumerate(outputs)]
    if name.startswith(written.DETECTORS):
        pairs = [[np.concatenate([_of_boxes(y) for y in side], 1) for side in zip(*pairs)]]
        assert len(np.unique(pairs[0][1], axis=0)) > 10
        pairs[0][0] = _in_order(*pairs[0])
    for found, wanted in pairs:
        assert found.shape == wanted.shape and abs(found - wanted).max() <= 1e-5 * abs(wanted).max()


def _of_boxes(y):
    """One row a box: its class, its score, its corners or its mask, each in parts of the largest."""
    return y.reshape(y.shape[1], -1) / abs(y).max()


def _in_order(found, wanted):
    """Boxes whose scores differ by rounding are in any order: to each that is wanted the nearest that was found."""
    return found[abs(found[None] - wanted[:, None]).max(2).argmin(1)]


@pytest.fixture(params=["resnet18_v2", "digits"])
def network(folder, request):
    """(module, images) of two networks without Dropout, whose chance would differ."""
    if request.param == "digits":
        return load_torch(folder / "digits.safetensors"), torch.randn(4, 3, 32, 32)
    net, expected = _load(folder, request.param)
    return net, torch.from_numpy(expected["x"]).repeat(2, 1, 1, 1)


def _near(found, wanted, tolerance=1e-4):
    assert (found - wanted).abs().max() <= tolerance * max(wanted.abs().max(), 1e-3)


def test_channels_last(network):
    net, x = network
    wanted = net(x)
    last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    _near(last, wanted)


def test_bfloat16_autocast_trains(network):
    net, x = network
    wanted = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x)
        loss = net.train()(x).float().square().mean()
    loss.backward()
    _near(found.float(), wanted, 0.05)
    gradients = [p.grad for p in net.parameters() if p.requires_grad]
    assert all(g is not None and g.dtype == torch.float32 and g.isfinite().all() for g in gradients)


def test_torch_export(network):
    net, x = network
    program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=64)},))
    _near(program.module()(x[:3]), net(x[:3]))


# The default generates C++ and compiles it, for a minute and more.
INDUCTOR = pytest.param(
    "inductor", marks=[pytest.mark.slow, pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")]
)


@pytest.mark.parametrize("backend", ["aot_eager", INDUCTOR])
def test_torch_compile(network, backend):
    net, x = network
    compiled = torch.compile(copy.deepcopy(net), backend=backend)
    _near(compiled(x), net(x))
    compiled.train()
    net.train()
    _near(compiled(x), net(x))
    compiled(x).square().mean().backward()
    net(x)
    assert all(p.grad is not None for p in compiled.parameters() if p.requires_grad)
    for ours, theirs in zip(net.buffers(), compiled.buffers()):  # running statistics, updated twice
        _near(theirs, ours)


def test_fine_tuning_reaches_what_gluon_reaches(folder):
    _check_fine_tuning(folder, written.EVERY["quick"])


@pytest.mark.slow
def test_fine_tuning_on_all_digits(slow_folder):
    _check_fine_tuning(slow_folder, written.EVERY["slow"])


def _check_fine_tuning(folder, every):
    (images, labels), (test, truth) = written.digits("train", every), written.digits("test")
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    net = load_torch(folder / "digits.safetensors").train()
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=written.LR, momentum=0.9, weight_decay=1e-4)
    for epoch in range(written.EPOCHS):
        for chosen in written.batches(len(images), epoch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (net.eval()(torch.from_numpy(test)).argmax(1).numpy() == truth).mean()
    wanted = np.load(folder / "digits.npz")["accuracy"]
    assert abs(accuracy - wanted) <= 0.01 and wanted > 0.9


def test_predictor(folder):
    predict = Predictor(folder / "digits.safetensors", threads=1)
    assert "torch float32" in predict.describe()
    ((name, probability),) = predict(["docs/digits/digit-3.png"], top=1)[0]
    assert name in "0123456789" and probability == pytest.approx(0.1)  # its head was set to zero
