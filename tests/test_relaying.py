"""A network's own arrays are read when the forward passes under way have ended: see `cpu.finish_relaying`."""

from __future__ import annotations

import time
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import gluon_attn
from gluon_attn.deploy.export.named_graph import named_graph
from gluon_attn.deploy.export.symbol_file import export_symbol
from gluon_attn.train.checkpoint import capture
from gluon_attn.weights.files import write_parameters
from tests.helpers import build, images


def _to_onnx(net, folder):
    from gluon_attn.deploy.export.onnx_graph import to_onnx

    to_onnx(net, 32)


def _capture(net, folder):
    trainer = SimpleNamespace(_params=[], _updaters=[SimpleNamespace(states={})])
    capture(net, trainer, [], SimpleNamespace(decay=0))


READERS = {
    "write_parameters": lambda net, folder: write_parameters(folder / "net.params", net),
    "save_weights": lambda net, folder: gluon_attn.save_weights(net, folder / "net.safetensors"),
    "named_graph": lambda net, folder: named_graph(net),
    "export_symbol": lambda net, folder: export_symbol(net, folder / "net", 32),
    "to_onnx": _to_onnx,
    "capture": _capture,
}
ended = []


class _Slow(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        time.sleep(0.3)
        ended.append(True)
        self.assign(out_data[0], req[0], in_data[0])


@mx.operator.register("slow_identity")
class _SlowProperties(mx.operator.CustomOpProp):
    def create_operator(self, ctx, shapes, dtypes):
        return _Slow()


@pytest.fixture
def guarded(monkeypatch):
    """(network, function that makes every reading of its arrays fail as long as `ended` is empty)."""
    net = build("cifar_resnet20", layers=(1, 1, 1))
    own = {array.handle.value for p in net.collect_params().values() for array in p.list_data()}
    asnumpy, save = mx.nd.NDArray.asnumpy, mx.nd.save

    def check(array):
        assert ended or array.handle.value not in own, "read while a forward pass is under way"

    def guarded_asnumpy(array):
        check(array)
        return asnumpy(array)

    def guarded_save(path, arrays):
        for array in arrays.values():
            check(array)
        save(path, arrays)

    mx.nd.waitall()
    ended.clear()
    monkeypatch.setattr(mx.nd.NDArray, "asnumpy", guarded_asnumpy)
    monkeypatch.setattr(mx.nd, "save", guarded_save)
    return net


@pytest.mark.parametrize("reader", READERS)
def test_readers_wait(reader, guarded, tmp_path):
    waiting = guarded(mx.nd.Custom(mx.nd.array(images(1, 3, 32, 32)), op_type="slow_identity"))
    READERS[reader](guarded, tmp_path)
    assert ended and waiting is not None


def test_the_guard_notices(guarded):
    waiting = guarded(mx.nd.Custom(mx.nd.array(images(1, 3, 32, 32)), op_type="slow_identity"))
    with pytest.raises(AssertionError, match="under way"):
        guarded.stem[0].weight.data().asnumpy()
    waiting.wait_to_read()


@pytest.mark.slow
def test_large_weights_are_read_whole():
    """The race itself: without the waiting about one weight in twenty is wrong from the middle on."""
    weight = np.arange(512 * 2048 * 9, dtype="float32").reshape(512, 2048, 3, 3)
    for _ in range(20):
        net = nn.Conv2D(512, 3, in_channels=2048, use_bias=False)
        net.initialize()
        net.weight.set_data(mx.nd.array(weight))
        waiting = net(mx.nd.ones((1, 2048, 8, 8)))
        assert np.array_equal(named_graph(net)[1]["weight"], weight)
        waiting.wait_to_read()
