"""What the recipe does to a network: decay by role, synchronised statistics, zero gammas."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_attn.errors import GluonAttnError
from gluon_attn.models import norms
from gluon_attn.train import build as network
from gluon_attn.train.run import Run
from tests.train.tiny import tiny


class Scaled(nn.HybridBlock):
    """A block whose own weight is named gamma, as in DANet and BAM's relatives."""

    def __init__(self):
        super().__init__()
        self.gamma = self.params.get("gamma", shape=(1,))
        self.norm = nn.BatchNorm(in_channels=4)
        self.fc = nn.Dense(2, in_units=4)


def test_decay_is_left_out_by_role_not_by_name():
    net = Scaled()
    network.exempt_from_decay(net)
    decays = {name: p.wd_mult for name, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    assert decays == {"gamma": 1.0, "norm.gamma": 0.0, "norm.beta": 0.0, "fc.weight": 1.0, "fc.bias": 0.0}


def test_every_network_keeps_decay_on_its_weights(tmp_path):
    net = network.create(tiny(tmp_path, model="cifar_iaff_resnet20"), 10)
    network.exempt_from_decay(net)
    for name, parameter in net._collect_params_with_prefix().items():
        if parameter.grad_req != "null":
            assert parameter.wd_mult == float(name.endswith("weight")), name


def test_last_gamma_starts_the_branches_at_zero(tmp_path):
    net = network.build(tiny(tmp_path, last_gamma=True), 10, [mx.cpu()])
    gammas = {n: p.data().asnumpy().max() for n, p in net._collect_params_with_prefix().items() if n.endswith("gamma")}
    assert gammas["stages.0.0.body.4.gamma"] == 0 and gammas["stages.0.0.body.1.gamma"] == 1


def test_initial_weights_are_those_of_the_seed(tmp_path):
    def weights(seed):
        net = network.build(tiny(tmp_path, seed=seed), 10, [mx.cpu()])
        return net.head.fc.weight.data().asnumpy()

    np.testing.assert_array_equal(weights(1), weights(1))
    assert abs(weights(1) - weights(2)).max() > 0.01


def test_synchronised_batch_norms_keep_parameters_and_values(tmp_path):
    """The swap itself: same names, same values, same inference. (MXNet's operator trains on GPUs only.)"""
    net = network.build(tiny(tmp_path), 10, [mx.cpu()])
    x = mx.nd.array(np.random.RandomState(0).randn(2, 3, 32, 32))
    names, want = list(net._collect_params_with_prefix()), net(x).asnumpy()
    network.synchronise(net, 2)
    net.hybridize()
    assert {type(block).__name__ for block in norms.blocks(net) if isinstance(block, nn.BatchNorm)} == {"SyncBatchNorm"}
    assert list(net._collect_params_with_prefix()) == names
    np.testing.assert_allclose(net(x).asnumpy(), want, rtol=1e-4, atol=1e-5)


def test_synchronised_batch_norm_is_refused_where_it_would_hang(tmp_path):
    with pytest.raises(GluonAttnError, match="--sync-bn needs GPUs.*waits for itself"):
        network.build(tiny(tmp_path, sync_bn=True), 10, [mx.cpu(0), mx.cpu(1)])


def test_averaged_running_statistics_are_equal_on_all_devices(tmp_path):
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = network.build(tiny(tmp_path), 10, contexts)
    mean = net.stem[1].running_mean
    for value, array in enumerate(mean.list_data()):
        array[:] = value
    network.average_running_statistics(net)
    assert [array.asnumpy().tolist() for array in mean.list_data()] == [[0.5] * 8] * 2


def test_finite():
    net = nn.HybridSequential()
    net.add(*(nn.BatchNorm(in_channels=1) for _ in range(101)))  # 404 arrays: more than MXNet takes at once
    net.initialize()
    net[100](mx.nd.ones((1, 1)))
    assert network.finite(net)
    net[100].gamma.set_data(mx.nd.array([np.nan]))
    assert not network.finite(net)


def test_what_is_new_in_the_weights_is_said_once(tmp_path, caplog):
    """A run has two networks, the trained one and the one that is evaluated: both are built of the same file."""
    recipe = tiny(tmp_path / "run", pretrained=str(tmp_path / "seven.params"))
    network.build(recipe.replace(pretrained=""), 7, [mx.cpu()]).save_parameters(recipe.pretrained)
    with caplog.at_level("WARNING", logger="gluon_attn.weights"):
        Run(recipe, progress=False).close()
    (record,) = caplog.records
    assert record.getMessage().startswith("new, untrained: head.fc.bias, head.fc.weight (")
    caplog.clear()
    network.create(recipe, 10)
    assert len(caplog.records) == 1  # later loads speak again
