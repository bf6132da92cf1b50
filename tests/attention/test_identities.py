"""What must hold whatever the parameters are."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from gluon_attn import GluonAttnError, create_fuse, create_gate, list_fuses, list_gates
from gluon_attn.attention.gating import Gating
from tests.helpers import images, randomise

Z = mx.nd.array(np.linspace(-30, 30, 301, dtype="float32").reshape(1, 301, 1, 1))


def test_complement_with_alpha_one_is_negated():
    np.testing.assert_allclose(Gating("complement")(Z).asnumpy(), Gating("negated")(Z).asnumpy(), atol=1e-7)


def test_reciprocal_stays_above_0_731():
    weight = Gating("reciprocal")(Z).asnumpy()
    assert weight.min() > 0.731 and weight.max() <= 1
    np.testing.assert_allclose(weight[0, 150, 0, 0], 1 / (1 + np.exp(-1 / (0.5 + 1e-6))), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_reciprocal_keeps_its_gradient_finite(dtype):
    z = Z.astype(dtype)
    z.attach_grad()
    with mx.autograd.record():
        weight = Gating("reciprocal")(z)
    weight.backward()
    assert np.isfinite(z.grad.asnumpy()).all() and np.isfinite(weight.asnumpy()).all()


@pytest.mark.parametrize("plain, inverse", [("se", "inv_se"), ("cbam", "inv_cbam")])
@pytest.mark.parametrize("gating", ["complement", "negated"])
def test_inverse_gate_with_negated_last_layer_is_the_plain_gate(plain, inverse, gating):
    base, inv = randomise(create_gate(plain, 32)), create_gate(inverse, 32, gating=gating)
    inv.initialize()
    last = ("mlp.2.", "spatial.bn.gamma", "spatial.bn.beta")
    source = base._collect_params_with_prefix()
    for name, parameter in inv._collect_params_with_prefix().items():
        sign = -1 if any(part in name for part in last) else 1
        parameter.set_data(sign * source[name].data())
    x = mx.nd.array(images(2, 32, 6, 6))
    np.testing.assert_allclose(inv(x).asnumpy(), base(x).asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, factor", [("aff", 2), ("iaff", 1)])
def test_fusing_equal_inputs(name, factor):
    x = mx.nd.array(images(2, 16, 4, 4))
    np.testing.assert_allclose(randomise(create_fuse(name, 16))(x, x).asnumpy(), factor * x.asnumpy(), rtol=1e-6)


def test_iaff_uses_its_second_global_branch():
    fuse, x, y = randomise(create_fuse("iaff", 16)), *(mx.nd.array(images(2, 16, 4, 4, seed=i)) for i in (0, 1))
    before = fuse(x, y).asnumpy()
    shift = fuse.second.global_branch[5].beta
    shift.set_data(shift.data() + 1)
    assert abs(fuse(x, y).asnumpy() - before).max() > 1e-3


@pytest.mark.parametrize("create, names", [(create_gate, list_gates), (create_fuse, list_fuses)])
def test_float16_leaves_batch_norm_in_float32(create, names):
    for name in names():
        block = create(name, 32)
        block.cast("float16")
        inputs = [mx.sym.Variable(f"x{i}", dtype="float16") for i in range(2 if create is create_fuse else 1)]
        types, outs, aux = block(*inputs).infer_type(**{x.name: np.float16 for x in inputs})
        assert outs == [np.float16], name
        norm = [p for key, p in block.collect_params(".*batchnorm.*").items()]
        assert all(p.dtype == "float32" for p in norm), name


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: create_gate("see", 8), ["gate 'see'", "Did you mean 'se'", "cbam"]),
        (lambda: create_fuse("af", 8), ["fuse 'af'", "Did you mean 'aff'"]),
        (lambda: create_gate("se", 8, reductoin=4), ["'reductoin'", "Did you mean 'reduction'"]),
        (lambda: create_gate("se", 8, gating="inverse"), ["gating 'inverse'", "complement"]),
        (lambda: create_gate("se", 8, gating="complement", alpha=1.5), ["alpha=1.5", "(0, 1]"]),
        (lambda: create_gate("se", 8, alpha=0), ["alpha=0", "(0, 1]: the weights would be constant"]),
        (lambda: create_gate("se", 8, gating="negated", alpha=0.5), ["alpha=0.5", "negated", "complement"]),
        (lambda: create_gate("cbam", 8, spatial_order="mean"), ["spatial_order 'mean'", "mean_max"]),
        (lambda: create_gate("eca", 8, kernel=4), ["kernel=4", "odd"]),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(GluonAttnError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
