"""Layers of gluon.nn, gluon.rnn and gluon.contrib as they are, one by one, in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mxnet")

from mxnet.gluon import contrib, nn, rnn  # noqa: E402

from gluon_attn.deploy import to_torch  # noqa: E402

IMAGE, LINE, ROWS = (2, 8, 6, 5), (2, 8, 7), (3, 8)
LAYERS = [
    (contrib.cnn.DeformableConvolution(4, (3, 3), padding=(1, 1), num_deformable_group=2), IMAGE),
    (contrib.cnn.DeformableConvolution(4, (3, 3), strides=(2, 2), use_bias=False, activation="relu"), IMAGE),
    (contrib.cnn.ModulatedDeformableConvolution(4, (3, 3), padding=(1, 1), num_deformable_group=2), IMAGE),
    (contrib.nn.HybridConcurrent(axis=1), IMAGE),
    (contrib.nn.Identity(), IMAGE),
    (contrib.nn.SyncBatchNorm(), IMAGE),
    (contrib.nn.PixelShuffle1D(2), LINE),
    (contrib.nn.PixelShuffle2D((2, 1)), IMAGE),
    (contrib.nn.PixelShuffle3D((2, 1, 2)), (2, 8, 3, 4, 2)),
    (nn.BatchNorm(axis=-1), IMAGE),
    (nn.BatchNormReLU(), IMAGE),
    (nn.Conv1D(4, 3, padding=1, groups=2), LINE),
    (nn.Conv3D(4, 2), (2, 8, 3, 4, 2)),
    (nn.Conv1DTranspose(4, 3, strides=2), LINE),
    (nn.Conv2DTranspose(4, 3, strides=2, output_padding=1, groups=2, in_channels=8), IMAGE),
    (nn.Dense(3, activation="tanh"), IMAGE),
    (nn.Dense(3, flatten=False), LINE),
    (nn.ELU(0.7), ROWS),
    (nn.SELU(), ROWS),
    (nn.GELU(), ROWS),
    (nn.Swish(0.5), ROWS),
    (nn.PReLU(), IMAGE),
    (nn.LeakyReLU(0.3), ROWS),
    (nn.GlobalAvgPool1D(), LINE),
    (nn.GlobalMaxPool2D(), IMAGE),
    (nn.AvgPool2D(3, 2, 1, ceil_mode=True, count_include_pad=False), IMAGE),
    (nn.MaxPool3D(2), (2, 8, 3, 4, 2)),
    (nn.InstanceNorm(), IMAGE),
    (nn.LayerNorm(), LINE),
    (nn.GroupNorm(4), IMAGE),
    (nn.ReflectionPad2D(2), IMAGE),
    (nn.HybridLambda(lambda F, x: F.swapaxes(x, 1, 2) * 2), LINE),
]
RECURRENT = [
    rnn.HybridSequentialRNNCell(),
    rnn.ResidualCell(rnn.GRUCell(8, input_size=8)),
    rnn.ZoneoutCell(rnn.RNNCell(8, input_size=8), zoneout_outputs=0.3),
    rnn.DropoutCell(0.3),
    contrib.rnn.LSTMPCell(6, 3, input_size=8),
    contrib.rnn.VariationalDropoutCell(rnn.LSTMCell(6, input_size=8), drop_inputs=0.3),
]
RECURRENT[0].add(rnn.LSTMCell(6, input_size=8))
RECURRENT[0].add(rnn.GRUCell(5, input_size=6))
LAYERS[3][0].add(nn.Conv2D(3, 1), nn.Conv2D(2, 3, padding=1))


def _check(net, shape):
    x = np.random.RandomState(0).uniform(-1, 1, shape).astype("float32")
    mx.random.seed(1)
    net.initialize(mx.init.Uniform(0.4))
    net(mx.nd.array(x))
    for parameter in net.collect_params().values():
        parameter.set_data(mx.nd.random.uniform(0.1, 0.5, parameter.shape))
    found = to_torch(net)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, net(mx.nd.array(x)).asnumpy(), rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize("net, shape", LAYERS, ids=lambda value: type(value).__name__)
def test_layers(net, shape):
    _check(net, shape)


class _Unrolled(nn.HybridBlock):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def hybrid_forward(self, F, x):
        self.cell.reset()
        return self.cell.unroll(7, x, layout="NTC", merge_outputs=True)[0]


@pytest.mark.parametrize("cell", RECURRENT, ids=lambda value: type(value).__name__)
def test_cells(cell):
    _check(_Unrolled(cell), (2, 7, 8))
