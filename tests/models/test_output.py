"""GluonCV's idioms: `net.output` and `net.features`, for reading and for assigning, on every kind of head."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import SymbolBlock, Trainer, nn

import gluon_attn
from gluon_attn import GluonAttnError, complexity, explain, losses
from tests.helpers import build, images, randomise

SMALL = dict(layers=(1, 1, 1))
HEADS = {
    "classifier": ("cifar_resnet20", SMALL, 64),
    "pre-activated": ("cifar_preresnet32_w4", SMALL, 256),
    "danet": ("cifar_danet_resnet20", SMALL, 16),
    "ltpa": ("cifar_resnet20", dict(head="ltpa", **SMALL), 112),
    "pyramid": ("cifar_pyramid_resnet20", SMALL, 64),
    "abn": ("cifar_abn_resnet20", SMALL, 64),
    "mobilenet": ("cifar_mobilenet", {}, 1024),
    "vgg": ("cifar_ltpa_vgg", dict(width=4), 96),
}
ONE_LAYER = [head for head in HEADS if head != "abn"]


def network(head, **more):
    name, arch, _ = HEADS[head]
    return build(name, **{"classes": 10, **arch, **more})


def x(n=2):
    return mx.nd.array(images(n, 3, 32, 32))


def same(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("hybrid", [False, True])
def test_the_output_of_the_features_is_what_the_network_gives(head, hybrid):
    net = network(head)
    if hybrid:
        net.hybridize()
    features = net.features(x())
    assert features.shape[:2] == (2, HEADS[head][2]) and features.size == 2 * HEADS[head][2]
    same(net.output(features), net(x()))
    same(net.features(x(3)), net.features(x(3)))


def test_the_features_are_all_parameters_but_the_outputs():
    net = network("danet")
    features, output = (set(block.collect_params()) for block in (net.features, net.output))
    assert features | output == set(net.collect_params()) and not features & output and len(output) == 2
    paths = net._collect_params_with_prefix()
    assert set(paths) - set(net.features._collect_params_with_prefix()) == {
        "head.classifier.fc.weight",
        "head.classifier.fc.bias",
    }


def test_frozen_features_as_in_gluoncvs_fine_tuning():
    net = network("classifier")
    net.features.collect_params().setattr("grad_req", "null")
    before = net.features(x())
    net.hybridize()
    trainer = Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    with mx.autograd.record():
        loss = (net(x()) ** 2).mean()
    loss.backward()
    trainer.step(1)
    assert net.output.weight.grad().abs().max().asscalar() > 0
    assert {p.grad_req for p in net.features.collect_params().values()} == {"null"}
    assert before.shape == net.features(x()).shape


@pytest.mark.parametrize("head", ONE_LAYER)
def test_another_output_gives_other_classes(head, tmp_path):
    """The idiom of GluonCV's tutorial, line by line; the file keeps its names."""
    net = network(head)
    names = set(net._collect_params_with_prefix())
    net.hybridize()
    net(x())  # a graph of the old layer that must not be used again
    before = net.features(x())
    with net.name_scope():
        net.output = nn.Dense(3)
    net.output.initialize(mx.init.Xavier())
    net.collect_params().reset_ctx(mx.cpu())
    net.hybridize()
    assert net(x()).shape == (2, 3)
    same(net.output(before), net(x()), 1e-4)
    assert set(net._collect_params_with_prefix()) == names
    net.save_parameters(str(tmp_path / "net.params"))
    again = network(head, classes=3)
    again.load_parameters(str(tmp_path / "net.params"))
    same(again(x()), net(x()), 1e-4)
    assert complexity.count_parameters(net) == complexity.count_parameters(again)


def test_it_trains_with_everything_else_that_the_head_gives():
    net = network("pyramid", outputs="all")
    net.output = nn.Dense(3)
    net.output.initialize()
    assert [value.shape[0] for value in net(x())] == [2] * 4
    train = losses.for_training(net)
    with mx.autograd.record():
        logits = train(x())[0]
        (logits**2).sum().backward()
    assert logits.shape == (2, 3) and net.output.weight.grad().abs().max().asscalar() > 0


def test_an_output_of_several_layers_and_one_without_bias(tmp_path):
    for layer in (nn.Dense(3, use_bias=False), nn.HybridSequential()):
        if isinstance(layer, nn.HybridSequential):
            layer.add(nn.Dense(5, activation="relu"), nn.Dropout(0.5), nn.Dense(3))
        net = network("classifier")
        net.output = layer
        net.output.initialize()
        net.hybridize()
        same(net.output(net.features(x())), net(x()))
        assert net(x()).shape == (2, 3)
        path = str(tmp_path / "net.params")
        net.save_parameters(path)
        before = net(x())
        randomise(net, 1)
        gluon_attn.load_weights(net, path)
        same(net(x()), before)


def test_weights_adapt_to_it(tmp_path):
    first, net = network("classifier"), network("classifier")
    first.save_parameters(str(tmp_path / "net.params"))
    net.output = nn.Dense(3)
    with pytest.raises(GluonAttnError, match=r"head.fc.weight \(10, 64\) for \(3, 64\)"):
        gluon_attn.load_weights(net, tmp_path / "net.params")
    net.output.initialize()
    gluon_attn.load_weights(net, tmp_path / "net.params", adapt=True)
    same(net.features(x()), first.features(x()))
    assert net(x()).shape == (2, 3)


def test_it_is_explained_and_exported(tmp_path):
    net = network("classifier")
    net.output = nn.Dense(3)
    net.output.initialize()
    randomise(net)
    expected = net(x()).asnumpy()
    assert explain.gradcam(net, x(), [2, 2]).shape[0] == 2
    net.hybridize()
    net(x())
    net.export(str(tmp_path / "net"))
    read = SymbolBlock.imports(str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params"))
    np.testing.assert_allclose(read(x()).asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_card_forgets_the_old_classes():
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits")
    before = net.card
    net.output = nn.Dense(3)
    assert net.card.classes == ("class 0", "class 1", "class 2")
    assert net.card.but(classes=before.classes) == before


@pytest.mark.parametrize("head", ["classifier", "pyramid"])
def test_features_of_another_network(head):
    """`net.features = pretrained.features`: as in Gluon's first tutorials, for another number of classes."""
    trained, net = network(head), network("classifier", seed=1, classes=3)
    net.hybridize()
    net(x())
    own = net.output
    net.features = trained.features
    assert net.output is own and trained(x()).shape == (2, 10)
    same(net.features(x()), trained.features(x()))
    same(net(x()), own(trained.features(x())))
    assert set(net._collect_params_with_prefix()) == set(trained._collect_params_with_prefix()) - (
        set() if head == "classifier" else {"head.classifier.fc.weight", "head.classifier.fc.bias"}
    ) | {path for path in net._collect_params_with_prefix() if path.endswith((".fc.weight", ".fc.bias"))}
    net.choose_outputs("all" if head == "pyramid" else "logits")


def test_features_of_a_branch_come_with_it():
    trained, net = network("abn"), network("classifier", seed=1)
    net.features = trained.features
    same(net.features(x()), trained.features(x()))
    assert set(net._collect_params_with_prefix()) == set(trained._collect_params_with_prefix())
    trained.features = network("classifier").features
    assert not [path for path in trained._collect_params_with_prefix() if path.startswith("branch.")]
    with pytest.raises(GluonAttnError, match="attention_logits.*10 classes.*classes=3"):
        network("classifier", classes=3).features = network("abn").features


def test_gazes_angles_are_an_output():
    net = build("fullface_gaze", widths=(4, 8, 8, 8, 8), hidden=16, image_size=96)
    x = mx.nd.array(images(2, 3, 96, 96))
    same(net.output(net.features(x)), net(x))
    net.output = nn.Dense(3)
    net.output.initialize()
    assert net(x).shape == (2, 3) and "head.5.weight" in net._collect_params_with_prefix()


def test_branches_know_the_classes_too():
    net = network("abn")
    with pytest.raises(GluonAttnError, match="attention_logits.*10 classes.*classes=3"):
        net.output = nn.Dense(3)
    assert net(x()).shape == (2, 10)
    net.output = nn.Dense(10)  # as many: the branch can stay
    net.output.initialize()
    assert net(x()).shape == (2, 10)


class Twice(nn.HybridBlock):
    """A head of one's own, of which nobody knows what makes its logits."""

    def __init__(self, channels, classes, **kwargs):
        super().__init__(**kwargs)
        self.fc = nn.Dense(classes, in_units=channels)

    def hybrid_forward(self, F, x):
        return 2 * self.fc(F.mean(x, axis=(2, 3)))


@pytest.mark.parametrize("arch", [dict(head="ltpa", combine="indep"), dict(head=Twice), dict(features=True)])
def test_heads_without_one_output_layer_say_classes(arch):
    net = build("cifar_resnet20", layers=(1, 1, 1), classes=10, **arch)
    for use in (lambda: net.output, lambda: net.features, lambda: setattr(net, "output", nn.Dense(3))):
        with pytest.raises(GluonAttnError, match="classes="):
            use()
    assert not hasattr(net, "output") and not hasattr(net, "features")


@pytest.mark.parametrize(
    "value, message",
    [
        (nn.Dense, "HybridBlock.*Dense"),
        (None, "HybridBlock.*None"),
        (nn.Dense(3, in_units=512), "512.*64"),
        (nn.Dense(3, flatten=False, in_units=63), "63.*64"),
    ],
)
def test_what_is_no_output_is_refused(value, message):
    net = network("classifier")
    with pytest.raises(GluonAttnError, match=message):
        net.output = value
    assert net(x()).shape == (2, 10)


def test_what_are_no_features_is_refused():
    net = network("classifier")
    with pytest.raises(GluonAttnError, match="classes="):
        net.features = nn.HybridSequential()
    with pytest.raises(GluonAttnError, match="64.*112"):
        net.features = network("ltpa").features
    assert net(x()).shape == (2, 10)
