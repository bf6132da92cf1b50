"""ONNX and symbol files give what Gluon gives, at every size that Gluon takes, and hold what a runtime wants."""

from __future__ import annotations

import json
import sys
import threading

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

import gluon_attn
from gluon_attn import GluonAttnError, cli, zoo
from gluon_attn.catalogue.names import SPECS
from gluon_attn.deploy import Predictor, export_onnx, export_symbol
from gluon_attn.deploy.export import check, onnx_graph
from gluon_attn.deploy.export.onnx_file import verified
from gluon_attn.deploy.run.onnxruntime_engine import session
from gluon_attn.deploy.run.symbol_file import load_symbol
from gluon_attn.weights.card import Card
from tests.helpers import build, images, shallow, smallest

onnx = pytest.importorskip("onnx")


SMALLEST = [smallest(attention) for attention in sorted({spec.attention for spec in SPECS.values()})]
# Depth repeats operators: of backbones that differ in it alone, the shallowest.
BACKBONES = ["resnet18d", "resnext50_32x4d", "cifar_preresnet32_w4"]
BACKBONES += ["cifar_mobilenet", "cifar_densenet40_k12", "cifar_vgg", "cifar_resnet164bn"]


@pytest.mark.parametrize("name", SMALLEST + BACKBONES)
def test_onnxruntime_gives_what_gluon_gives(name):
    # One block a stage has every operator; a network whose parameters know the map's size keeps its own.
    spec, arch, size = zoo.find(name), shallow(name), 32
    if spec.dataset == "imagenet1k":
        size = 64
        arch.update({"map_size": (16, 8, 4, 2)} if "map_size" in spec.arch else {})
    model, difference = verified(build(name, **arch), size)
    assert difference < check.TOLERANCE
    weights = {tensor.name for tensor in model.graph.initializer}
    assert [value.name for value in model.graph.input] == ["images"] and not weights & {"images"}
    assert model.opset_import[0].version == 13 and len(model.opset_import) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", gluon_attn.list_models())
def test_every_name_is_exported(name):
    assert verified(build(name), zoo.find(name).input_size)[1] < check.TOLERANCE


def test_batch_norm_is_folded_and_training_words_are_gone():
    kinds = [node.op_type for node in verified(build("cifar_iaff_resnext38_32x4d", layers=(1, 1, 1)), 32)[0].graph.node]
    assert not {"BatchNormalization", "Slice", "MatMul", "Identity", "Dropout", "Tile"} & set(kinds)


def test_narrow_groups_are_merged():
    model, difference = verified(build("cifar_resnext38_32x4d", layers=(1, 1, 1)), 32)
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    grouped = {a.i: shapes[node.input[1]][1] for node in convs for a in node.attribute if a.name == "group" and a.i > 1}
    assert grouped == {8: 16, 16: 16, 32: 16} and difference < check.TOLERANCE


def test_sizes_are_free_only_where_the_network_allows(capsys):
    def side(name):
        model = verified(build(name, layers=(1, 1, 1)), 32)[0]
        dims = model.graph.input[0].type.tensor_type.shape.dim
        return dims[0].dim_param, dims[1].dim_value, dims[2].dim_param or dims[2].dim_value

    assert side("cifar_se_resnet20") == ("batch", 3, "height")
    assert side("cifar_ge_resnet20") == ("batch", 3, 32)
    assert not capsys.readouterr().out, "what a command answers is there"


def test_all_outputs_keep_their_names():
    net = build("cifar_abn_resnet20", outputs="all", classes=5, layers=(1, 1, 1))
    model, _ = verified(net, 32)
    assert [value.name for value in model.graph.output] == ["attention_logits", "logits", "map"]
    features = build("cifar_resnet20", features=("stage1", "stage3"), layers=(1, 1, 1))
    assert [value.name for value in verified(features, 32)[0].graph.output] == ["stage1", "stage3"]


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        ("cifar_pyramid_resnet20", {"outputs": "all"}),  # with an L2 norm over all but the batch
        ("cifar_se_resnet20", {"norm_layer": nn.GroupNorm, "norm_kwargs": {"num_groups": 4, "epsilon": 0.1}}),
        ("cifar_se_resnet20", {"norm_layer": nn.GroupNorm}),
    ],
)
def test_normalisations_are_exported(name, arch):
    assert verified(build(name, layers=(1, 1, 1), **arch), 32)[1] < check.TOLERANCE


class NoForm(nn.HybridBlock):
    """A gate of an operator that ONNX has not."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)

    def hybrid_forward(self, F, x):
        return x * F.erfinv(F.tanh(x) / 2)


class NoSuchForm(NoForm):
    """A gate of an operator that mxnet.onnx has, in a form that it has not."""

    def hybrid_forward(self, F, x):
        return F.Pooling(x, kernel=(3, 3), pad=(1, 1), pool_type="sum")


@pytest.mark.parametrize(("gate", "said"), [(NoForm, "none is known of erfinv"), (NoSuchForm, ".*pool_type==.sum")])
def test_what_onnx_has_not_is_named_with_the_other_formats(gate, said, tmp_path):
    net = build("cifar_resnet20", layers=(1, 1, 1), gate=gate)
    with pytest.raises(GluonAttnError, match=rf"has no ONNX form \({said}.*--format torch.*--format symbol"):
        export_onnx(net, tmp_path / "net.onnx", 32)
    assert not list(tmp_path.iterdir())


def _card(classes=4):
    return Card("cifar_se_resnet20", tuple(f"c{i}" for i in range(classes)), (0.5,) * 3, (0.2, 0.25, 0.3), 32, 1.0)


@pytest.mark.parametrize("export", [export_onnx, export_symbol])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_network_that_was_cast_is_refused(export, dtype, tmp_path):
    net = build("cifar_se_resnet20", classes=4)
    net.cast(dtype)
    net.collect_params().setattr("grad_req", "null")
    with pytest.raises(GluonAttnError, match=f"is of {dtype}, and exports are of float32: call net.cast"):
        export(net, tmp_path / "net.onnx", 32)
    assert not list(tmp_path.iterdir())
    net.cast("float32")
    assert export(net, tmp_path / "net.onnx", 32) < check.TOLERANCE


def test_metadata_comes_back(tmp_path):
    path = tmp_path / "net.onnx"
    export_onnx(build("cifar_se_resnet20", classes=4), path, 32, card=_card())
    metadata = session(str(path)).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["c0", "c1", "c2", "c3"]
    assert Card.from_metadata(metadata, path) == _card()
    with pytest.raises(GluonAttnError, match="does not say its model, classes"):
        Card.from_metadata({}, path)


@pytest.mark.parametrize("export, name", [(export_onnx, "net.onnx"), (export_symbol, "net-symbol.json")])
def test_without_a_card_the_networks_own_goes_into_the_file(tmp_path, export, name):
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits")
    export(net, tmp_path / name.replace("-symbol.json", ""), 40)
    predictor = Predictor(tmp_path / name)
    assert predictor.card == net.card.but(input_size=40)
    export(net, tmp_path / name.replace("-symbol.json", ""), 32, card=_card())
    assert Predictor(tmp_path / name).card.classes == _card().classes


def test_the_own_card_stays_out_where_the_network_takes_other_channels(tmp_path):
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits", in_channels=1)
    export_onnx(net, tmp_path / "net.onnx", 32, in_channels=1)
    with pytest.raises(GluonAttnError, match="does not say its model, classes"):
        Predictor(tmp_path / "net.onnx")


def test_no_card_of_another_network_stays_beside_symbol_files(tmp_path):
    export_symbol(build("cifar_se_resnet20", classes=4), tmp_path / "net", 32, card=_card())
    export_symbol(build("cifar_resnet20", classes=4), tmp_path / "net", 32)
    with pytest.raises(GluonAttnError, match="does not say its model, classes"):
        Predictor(tmp_path / "net-symbol.json")


def test_a_wrong_graph_is_not_written(tmp_path, monkeypatch):
    trace = onnx_graph.trace
    monkeypatch.setattr(onnx_graph, "trace", lambda net, name: trace(net, name) * 1.001)
    with pytest.raises(GluonAttnError, match="differs from Gluon's by 0.001"):
        export_onnx(build("cifar_resnet20"), tmp_path / "net.onnx", 32)
    assert not list(tmp_path.iterdir())


def test_uninitialised_networks_are_refused(tmp_path):
    for export in (export_onnx, export_symbol):
        with pytest.raises(GluonAttnError, match="has no values"):
            export(gluon_attn.get_model("cifar_resnet20"), tmp_path / "net.onnx", 32)


@pytest.mark.parametrize("export", [export_onnx, export_symbol])
@pytest.mark.parametrize(
    "name, arch, size, channels",
    [("cifar_ge_resnet20", {}, 64, 3), ("cifar_resnet20", {"in_channels": 1}, 32, 3), ("cifar_resnet20", {}, 0, 3)],
)
def test_images_that_the_network_cannot_take_are_refused(tmp_path, capsys, export, name, arch, size, channels):
    net = build(name, layers=(1, 1, 1), **arch)
    with pytest.raises(GluonAttnError, match=f"cannot take images of {channels}x{size}x{size}.*in_channels="):
        export(net, tmp_path / "net", size)
    assert not capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("export", [export_onnx, export_symbol])
def test_a_network_is_exported_from_where_it_is(tmp_path, export):
    """The usual device of a machine with GPUs is not the one on which arrays are made."""
    net, places = build("cifar_resnet20", layers=(1, 1, 1)), [mx.cpu(1), mx.cpu(2)]
    for where in (places, places[:1]):
        net.collect_params().reset_ctx(where)
        assert export(net, tmp_path / "net", 32) < check.TOLERANCE


def test_symbol_files(tmp_path):
    net, x = build("cifar_aff_resnext38_32x4d", classes=4, layers=(1, 1, 1)), mx.nd.array(images(2, 3, 32, 32))
    assert export_symbol(net, tmp_path / "net", 32, card=_card()) < 1e-5
    block, metadata = load_symbol(tmp_path / "net-symbol.json")
    np.testing.assert_allclose(block(x).asnumpy(), net(x).asnumpy(), rtol=1e-5, atol=1e-6)
    assert Card.from_metadata(metadata, "net") == _card()
    assert "tile" not in (tmp_path / "net-symbol.json").read_text()
    with pytest.raises(GluonAttnError, match="no file"):
        load_symbol(tmp_path / "other-symbol.json")


def test_command(tmp_path, capsys):
    weights, output = tmp_path / "w.params", tmp_path / "net.onnx"
    build("cifar_se_resnet20", classes=10).save_parameters(str(weights))
    arguments = [
        "--model",
        "cifar_se_resnet20",
        "--pretrained",
        str(weights),
        "--dataset",
        "digits",
        "--devices",
        "cpu:0",
    ]
    assert cli.main(["export", *arguments, "-o", str(output)]) == 0
    assert "largest difference from Gluon" in capsys.readouterr().out
    card = Card.from_metadata(session(str(output)).get_modelmeta().custom_metadata_map, output)
    assert card.classes == tuple("0123456789") and card.input_size == 32
    assert cli.main(["export", *arguments, "--format", "onxx", "-o", str(output)]) == 2
    assert "'onnx'" in capsys.readouterr().err


def test_exports_in_threads_are_each_right_and_leave_the_terminal(tmp_path):
    """What converters print is caught by changing sys.stdout, which two at once would leave caught."""
    nets = [build("cifar_resnet20", seed, classes=4, layers=(1, 1, 1)) for seed in range(3)]
    terminal, found = sys.stdout, {}

    def work(number):
        for _ in range(2):
            found[number] = export_onnx(nets[number], tmp_path / f"{number}.onnx", 32)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sys.stdout is terminal
    assert sorted(found) == [0, 1, 2] and max(found.values()) < 1e-4
