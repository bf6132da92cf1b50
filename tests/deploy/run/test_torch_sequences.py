"""Sequences and recurrent layers against MXNet's: values, gradients, and whole Gluon layers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mxnet")

from mxnet.gluon import nn, rnn  # noqa: E402

from gluon_attn import GluonAttnError  # noqa: E402
from gluon_attn.deploy import to_torch  # noqa: E402
from gluon_attn.deploy.run.symbol_json import read_graph  # noqa: E402
from gluon_attn.deploy.run.torch_graph import build  # noqa: E402
from tests.deploy.run.beside_mxnet import check  # noqa: E402

S = mx.sym
x, lengths = S.Variable("x"), S.Variable("lengths")
STEPS, BATCH, WIDTH, STATE = 5, 3, 4, 6


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (5, 3, 2, 4)])
@pytest.mark.parametrize(
    "operator, options",
    [
        (S.SequenceMask, {"value": 0.5}),
        (S.SequenceMask, {"value": -1.5, "axis": 1}),
        (S.SequenceLast, {}),
        (S.SequenceLast, {"axis": 1}),
        (S.SequenceReverse, {}),
    ],
)
def test_sequences(operator, options, shape):
    data, axis = np.random.RandomState(0).rand(*shape).astype("float32"), options.get("axis", 0)
    check(operator(x, **options), {"x": data})
    most, batch = shape[axis], shape[1 - axis]
    long = (np.arange(batch) * 2 % most + 1).astype("float32")
    symbol = operator(x, lengths, use_sequence_length=True, **options)
    check(symbol, {"x": data, "lengths": long}, untrained=["lengths"])
    if operator is not S.SequenceLast:  # MXNet reads elsewhere
        check(symbol, {"x": data, "lengths": long * 0}, untrained=["lengths"])


def test_the_last_step_of_an_empty_sequence_is_its_first():
    module = build(read_graph(S.SequenceLast(x, lengths, use_sequence_length=True).tojson()), {})
    data = torch.rand(5, 3, 2)
    assert torch.equal(module(data, torch.tensor([0.0, 2, 5])), torch.stack([data[0, 0], data[1, 1], data[4, 2]]))


LAYERS = {
    "lstm": rnn.LSTM,
    "gru": rnn.GRU,
    "relu": lambda *a, **k: rnn.RNN(*a, activation="relu", **k),
    "tanh": lambda *a, **k: rnn.RNN(*a, activation="tanh", **k),
}


def _made(net):
    mx.random.seed(0)
    net.initialize(mx.init.Uniform(0.6))  # biases are 0 otherwise
    for parameter in net.collect_params().values():
        parameter.set_data(mx.nd.random.uniform(-0.6, 0.6, parameter.shape))
    return net


def _near(found, wanted):
    np.testing.assert_allclose(found.detach().numpy(), wanted.asnumpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_recurrent_layers(kind, layers, bidirectional):
    """Output, gradients of the input and of every weight and bias."""
    net = _made(LAYERS[kind](STATE, layers, bidirectional=bidirectional, input_size=WIDTH))
    given = mx.nd.random.uniform(-1, 1, (STEPS, BATCH, WIDTH))
    given.attach_grad()
    with mx.autograd.record():
        wanted = net(given)
        (wanted * wanted).sum().backward()
    module, data = to_torch(net).train(), torch.tensor(given.asnumpy(), requires_grad=True)
    found = module(data)
    found.square().sum().backward()
    _near(found, wanted)
    _near(module.eval()(data), wanted)
    np.testing.assert_allclose(data.grad.numpy(), given.grad.asnumpy(), rtol=1e-4, atol=2e-5)
    names = net._collect_params_with_prefix()
    assert set(names) == {name for name, _ in module.named_parameters()}
    for name, parameter in names.items():
        slope = module.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(slope, parameter.grad().asnumpy(), rtol=1e-4, atol=5e-5)


class _Tagger(nn.HybridBlock):
    """A layer with a state of its own to begin with, over batches first."""

    def __init__(self, kind, **options):
        super().__init__()
        self.body = LAYERS[kind](STATE, 2, layout="NTC", bidirectional=True, input_size=WIDTH, **options)

    def hybrid_forward(self, F, x, *states):
        output, last = self.body(x, list(states))
        return [output, *last]


@pytest.mark.parametrize("kind", LAYERS)
def test_states_that_are_given_and_taken(kind):
    net = _made(_Tagger(kind))
    count = 2 if kind == "lstm" else 1
    given = [mx.nd.random.uniform(-1, 1, (BATCH, STEPS, WIDTH))]
    given += [mx.nd.random.uniform(-1, 1, (4, BATCH, STATE)) for _ in range(count)]
    symbol = S.Group(net(*(S.Variable(name) for name in "xhc"[: count + 1])))
    values = {parameter.name: parameter.data().asnumpy() for parameter in net.collect_params().values()}
    module = build(read_graph(symbol.tojson()), values)
    for found, wanted in zip(module(*(torch.tensor(g.asnumpy()) for g in given)), net(*given)):
        _near(found, wanted)


def test_projection_of_an_lstm():
    net = _made(rnn.LSTM(STATE, 2, bidirectional=True, input_size=WIDTH, projection_size=2))
    given = mx.nd.random.uniform(-1, 1, (STEPS, BATCH, WIDTH))
    _near(to_torch(net)(torch.tensor(given.asnumpy())), net(given))


def test_dropout_between_layers():
    """In training alone, and not after the last layer."""
    data = torch.rand(STEPS, BATCH, WIDTH)
    one, two = (to_torch(_made(rnn.GRU(STATE, n, dropout=0.5, input_size=WIDTH))) for n in (1, 2))
    for module in (one, two):
        assert torch.equal(module(data), module(data))
        module.train()
    assert torch.equal(one(data), one(data)) and not torch.equal(two(data), two(data))


@pytest.mark.parametrize("cell", [rnn.LSTMCell, rnn.GRUCell, rnn.RNNCell])
def test_cells_unrolled(cell):
    class Unrolled(nn.HybridBlock):
        def __init__(self):
            super().__init__()
            self.cell = cell(STATE, input_size=WIDTH)

        def hybrid_forward(self, F, x):
            return self.cell.unroll(STEPS, x, layout="NTC", merge_outputs=True)[0]

    net, given = _made(Unrolled()), mx.nd.random.uniform(-1, 1, (BATCH, STEPS, WIDTH))
    _near(to_torch(net)(torch.tensor(given.asnumpy())), net(given))


def test_what_mxnet_has_on_gpus_alone_is_refused():
    weights = [S.Variable(name) for name in ("w", "h", "c")]
    options = dict(state_size=STATE, num_layers=1, mode="lstm", name="here")
    for symbol, said in (
        (S.RNN(x, *weights, lengths, use_sequence_length=True, **options), "use_sequence_length=True"),
        (S.RNN(x, *weights, lstm_state_clip_min=-1, lstm_state_clip_max=1, **options), "lstm_state_clip_min=-1"),
    ):
        with pytest.raises(GluonAttnError, match=f"RNN at 'here' has {said}"):
            build(read_graph(symbol.tojson()), {})
