"""One symbol in MXNet and in PyTorch: values, and gradients of what is trained, are equal."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import torch

from gluon_attn.deploy.run.symbol_json import read_graph
from gluon_attn.deploy.run.torch_graph import build


def check(symbol, arrays, gradients=True, untrained=(), weights=(), rtol=2e-5, atol=2e-6):
    """The module, built. `untrained` names inputs without a gradient, `weights` those that the module holds.

    Outputs are weighed by random numbers; a gradient is held to five times the rtol and twenty-five times the atol.
    """
    given = {name: mx.nd.array(array) for name, array in arrays.items()}
    expected = [output.asnumpy() for output in symbol.bind(mx.cpu(), given).forward(is_train=False)]
    module = build(read_graph(symbol.tojson()), {name: arrays[name] for name in weights})
    inputs = {name: torch.tensor(arrays[name]) for name in symbol.list_arguments() if name not in weights}
    for name, value in inputs.items():
        value.requires_grad_(gradients and name not in untrained)
    results = module(*inputs.values())
    results = results if isinstance(results, tuple) else (results,)
    assert len(results) == len(expected)
    for wanted, found in zip(expected, results):
        assert wanted.shape == tuple(found.shape)
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=rtol, atol=atol)
    if gradients and any(result.requires_grad for result in results):
        heads = [np.random.RandomState(5).uniform(0.5, 1, e.shape).astype("float32") for e in expected]
        slopes = {name: mx.nd.zeros_like(array) for name, array in given.items() if name not in untrained}
        executor = symbol.bind(mx.cpu(), given, args_grad=slopes)
        executor.forward(is_train=True)
        executor.backward([mx.nd.array(head) for head in heads])
        sum((result * torch.from_numpy(head)).sum() for result, head in zip(results, heads)).backward()
        for name, slope in slopes.items():
            found = (module.get_parameter(name) if name in weights else inputs[name]).grad
            found = torch.zeros(slope.shape) if found is None else found
            np.testing.assert_allclose(found.numpy(), slope.asnumpy(), rtol=5 * rtol, atol=25 * atol)
    return module
