"""Sequences and recurrent layers, as MXNet's operators mean them.

`axis` is that of time, 0 or 1; the other of the two is the batch's.
"""

from __future__ import annotations

import torch
from torch import nn

from gluon_attn.deploy.run.torch_operators.numbers import only, several


def _in_time(x, lengths, axis):
    """(steps along time, lengths) that broadcast to x, whose other of the first two axes is the batch."""
    rest = [1] * (x.dim() - 2)
    steps = torch.arange(x.shape[axis], device=x.device)
    steps = steps.reshape(-1, 1, *rest) if axis == 0 else steps.reshape(1, -1, *rest)
    lengths = lengths.detach().long()
    return steps, lengths.reshape(1, -1, *rest) if axis == 0 else lengths.reshape(-1, 1, *rest)


def sequence_mask(x, lengths=None, use_sequence_length=False, value=0.0, axis=0):
    """`value` from each sequence's length on."""
    if not use_sequence_length:
        return x
    steps, lengths = _in_time(x, lengths, axis)
    return x.masked_fill(steps >= lengths, float(value))


def sequence_last(x, lengths=None, use_sequence_length=False, axis=0):
    """The last step of each sequence; of a length of 0, for which MXNet reads elsewhere, the first."""
    if not use_sequence_length:
        return x.select(axis, x.shape[axis] - 1)
    _, lengths = _in_time(x, lengths, axis)
    last = (lengths - 1).clamp(0, x.shape[axis] - 1)
    shape = list(x.shape)
    shape[axis] = 1
    return x.gather(axis, last.expand(shape)).squeeze(axis)


@only(axis=(0,))
def sequence_reverse(x, lengths=None, use_sequence_length=False, axis=0):
    """Each sequence from its last step to its first, what is after it in place."""
    if not use_sequence_length:
        return x.flip(0)
    steps, lengths = _in_time(x, lengths, 0)
    return x.gather(0, torch.where(steps < lengths, lengths - 1 - steps, steps).expand(x.shape))


# --- recurrent layers ----------------------------------------------------------------------------------------------

_GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}
_FUNCTIONS = {"rnn_relu": torch.rnn_relu, "rnn_tanh": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}


def joined(*weights, dim=1):
    return torch.cat(weights, dim)


@several
@only(
    mode=tuple(_GATES),
    use_sequence_length=(False,),  # MXNet has it on GPUs alone, as the clips of an LSTM's state
    lstm_state_clip_min=(None,),
    lstm_state_clip_max=(None,),
)
class RNN(nn.Module):
    """`num_layers` of LSTM, GRU or plain RNN over x (T, N, C), with all weights, then all biases, in one vector.

    A layer's are of the gates in PyTorch's order, from x, from the state, and of a projection; forward, then backward.
    Gives (T, N, H), with `state_outputs` also the last state, and an LSTM's cells. Between layers, in training, each
    number is dropped with probability p.
    """

    def __init__(
        self,
        state_size,
        num_layers,
        mode,
        bidirectional=False,
        p=0.0,
        state_outputs=False,
        projection_size=None,
        use_sequence_length=False,
        lstm_state_clip_min=None,
        lstm_state_clip_max=None,
        lstm_state_clip_nan=False,
    ):
        super().__init__()
        self.state_size, self.num_layers, self.mode, self.p = state_size, num_layers, mode, float(p)
        self.directions, self.state_outputs = 1 + bool(bidirectional), bool(state_outputs)
        self.projection_size = projection_size

    def extra_repr(self):
        return f"{self.mode}, state_size={self.state_size}, num_layers={self.num_layers}, directions={self.directions}"

    def forward(self, x, parameters, *states):
        # MXNet takes a batch of 0 in a state's shape from where it is used.
        states = tuple(state.expand(-1, x.shape[1], -1).to(x.dtype).contiguous() for state in states)
        results = _FUNCTIONS[self.mode](
            x,
            states if self.mode == "lstm" else states[0],
            self._weights(parameters, x.shape[2]),
            True,
            self.num_layers,
            self.p,
            self.training,
            self.directions == 2,
            False,
        )
        return tuple(results) if self.state_outputs else tuple(results[:1])

    def _weights(self, parameters, inputs):
        """PyTorch's list of a layer's weights and biases, one direction after the other."""
        gates, given = _GATES[self.mode] * self.state_size, self.projection_size or self.state_size
        shapes = []
        for layer in range(self.num_layers):
            width = inputs if layer == 0 else given * self.directions
            one = [(gates, width), (gates, given)]
            one += [(given, self.state_size)] if self.projection_size else []
            shapes += [one] * self.directions
        at, weights = 0, []
        for one in shapes:
            weights.append([])
            for rows, columns in one:
                weights[-1].append(parameters[at : at + rows * columns].reshape(rows, columns))
                at += rows * columns
        flat = []
        for one in weights:
            biases = [parameters[at : at + gates], parameters[at + gates : at + 2 * gates]]
            flat += [*one[:2], *biases, *one[2:]]
            at += 2 * gates
        return flat


OPERATORS = {
    "RNN": RNN,
    "SequenceLast": sequence_last,
    "SequenceMask": sequence_mask,
    "SequenceReverse": sequence_reverse,
    "_rnn_param_concat": joined,
}
