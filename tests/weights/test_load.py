"""Loading: what fits, what must be refused, what is kept where classes or channels differ."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from safetensors.numpy import load_file, save_file

import gluon_attn
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.errors import GluonAttnError, WeightsError
from gluon_attn.weights import layouts as maps
from gluon_attn.weights import load_arrays, load_weights, save_weights, table, translate
from tests.helpers import build
from tests.weights.published import entry_for, layouts, random_arrays, save

MODEL, LAYOUT = "cifar_se_resnet20", ("imgclsmob", "seresnet20_cifar10")
PREACT, PREACT_LAYOUT = "cifar_aff_preresnet32_w4", ("openaff", "cifar100/AFF-ResNet-32")
X = mx.nd.array(np.random.RandomState(1).standard_normal((2, 3, 32, 32)))


@pytest.fixture
def arrays():
    return random_arrays(*LAYOUT)


def net(**kwargs):
    return gluon_attn.get_model(MODEL, **{"classes": 10, **kwargs})


def same(a, b):
    np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_missing_and_extra_tensors_are_listed_on_both_sides(arrays):
    arrays["features.9.0.body.conv1.conv.weight"] = arrays.pop("features.1.0.se.conv2.bias")
    with pytest.raises(WeightsError) as error:
        load_arrays(net(), arrays, "w.params")
    assert "w.params does not fit this network" in str(error.value)
    assert "Missing in the file: stages.0.0.gate.mlp.2.bias." in str(error.value)
    assert "Without a place in the network: stages.8.0.body.0.weight." in str(error.value)


def test_a_tensor_of_no_known_name_is_an_error(arrays):
    arrays["features.1.0.attention"] = np.zeros(1, "float32")
    with pytest.raises(WeightsError, match="no place is known for features.1.0.attention .*'imgclsmob'"):
        load_arrays(net(), arrays)


@pytest.mark.parametrize("shape", [(16, 16, 3, 1), (16, 16, 5, 5), (16, 144)])
def test_a_wrong_shape_is_an_error(shape, arrays):
    arrays["features.1.0.body.conv1.conv.weight"] = np.zeros(shape, "float32")
    with pytest.raises(WeightsError, match=r"other shapes than the network: stages.0.0.body.0.weight \(16, "):
        load_arrays(net(), arrays)


def test_nothing_is_set_before_everything_fits(arrays):
    own = net()
    own.initialize()
    before = own(X)
    arrays["output.1.bias"] = np.full(10, np.nan, "float32")
    with pytest.raises(WeightsError, match="head.fc.bias"):
        load_arrays(own, arrays)
    same(own(X), before)


def test_a_layout_that_nobody_publishes_is_named_and_so_is_one_of_two(monkeypatch):
    with pytest.raises(
        WeightsError, match=r"none of the known layouts \(gluon_attn, openaff, imgclsmob, timm.*2 tensors, a, b"
    ):
        translate({"a": 1, "b": 2})
    with pytest.raises(WeightsError, match="Unknown source of weights 'tim'. Did you mean 'timm'?"):
        translate({"a": 1}, "tim")
    monkeypatch.setitem(maps.SOURCES, "everything", SimpleNamespace(recognises=lambda names: True))
    with pytest.raises(WeightsError, match="has the layout of timm and of everything: it holds 2 tensors.*source="):
        translate({"conv1.weight": 1, "layer1.0.bn1.weight": 2})


def test_two_tensors_for_one_place_are_an_error(arrays):
    arrays["features.0.conv.conv.weight"] = arrays["features.0.conv.weight"]
    with pytest.raises(WeightsError, match="are both 'stem.0.weight'"):
        translate(arrays)


@pytest.mark.parametrize("source", [source for source in maps.SOURCES if source != "gluon_attn"])
def test_key_maps_see_nothing_but_names_and_change_nothing(source):
    for layout, names in layouts(source).items():
        names = list(names)
        before = list(names)
        first = maps.key_map(source, names)
        assert maps.recognise(names) == source
        assert names == before and first == maps.key_map(source, names[::-1])
        assert set(first) == set(names), layout
        used = [name for name in first.values() if name is not None]
        assert len(used) == len(set(used))
        unused = [name for name, ours in first.items() if ours is None]
        assert all(name.endswith("num_batches_tracked") for name in unused)


def test_half_precision_becomes_the_networks_precision(tmp_path):
    arrays = random_arrays(*LAYOUT, dtype="float16")
    own = net()
    gluon_attn.load_weights(own, save(tmp_path / "a.params", arrays))
    parameter = own.head.fc.weight
    assert np.dtype(parameter.dtype) == np.float32
    np.testing.assert_array_equal(parameter.data().asnumpy(), arrays["output.1.weight"].astype("float32"))


def test_our_own_files_load(tmp_path):
    first, second = net(), net()
    first.initialize(mx.init.Xavier())
    expected = first(X)
    first.save_parameters(str(tmp_path / "a.params"))
    gluon_attn.load_weights(second, tmp_path / "a.params")
    same(second(X), expected)


def test_an_initialised_network_on_two_devices_keeps_them(arrays):
    own = net()
    own.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    load_arrays(own, arrays)
    one, two = (own(X.as_in_context(ctx)) for ctx in (mx.cpu(0), mx.cpu(1)))
    same(one, two)
    assert own.head.fc.weight.list_ctx() == [mx.cpu(0), mx.cpu(1)]


def test_a_network_that_moves_takes_its_new_head_along(arrays):
    own = net(classes=7)
    own.initialize(ctx=mx.cpu(0))
    load_arrays(own, arrays, ctx=mx.cpu(1), adapt=True)
    assert {str(parameter.list_ctx()) for parameter in own.collect_params().values()} == {"[cpu(1)]"}
    assert own(X.as_in_context(mx.cpu(1))).shape == (2, 7)


# --- other classes, other channels ------------------------------------------------------------------------------------


@pytest.fixture
def published_file(tmp_path, arrays):
    return save(tmp_path / "w.params", arrays)


def test_another_number_of_classes_is_an_error_unless_asked_for(published_file):
    assert gluon_attn.get_model(MODEL, pretrained=published_file)(X).shape[1] == 10  # the file says it
    with pytest.raises(WeightsError, match=r"head.fc.weight \(10, 64\) for \(100, 64\)"):
        gluon_attn.load_weights(net(classes=100), published_file)
    with pytest.raises(WeightsError, match=r"head.fc.weight \(10, 64\) for \(7, 64\)"):
        gluon_attn.load_weights(net(classes=7), published_file)


def test_a_new_head_leaves_the_rest_and_is_said(published_file, caplog):
    original = gluon_attn.get_model(MODEL, pretrained=published_file, classes=10)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="gluon_attn.weights"):
        changed = gluon_attn.get_model(MODEL, pretrained=published_file, classes=7)
    assert "new, untrained: head.fc.bias, head.fc.weight" in caplog.text
    assert changed(X).shape == (2, 7)
    for name, features in original.features_at(X).items():
        same(changed.features_at(X)[name], features)


@pytest.mark.parametrize(
    "name", ["cifar_abn_resnet20", "cifar_danet_resnet20", "cifar_pyramid_resnet20", "cifar_ltpa_vgg"]
)
def test_other_heads_adapt_where_they_know_the_classes(name, tmp_path):
    """What has an axis of classes is new, the attention branch of ABN included; the rest is the file's."""
    first = gluon_attn.get_model(name, classes=10)
    first.initialize(mx.init.Xavier())
    first.save_parameters(str(tmp_path / "w.params"))
    changed = gluon_attn.get_model(name, pretrained=tmp_path / "w.params", classes=7)
    logits = changed(X)
    assert (logits[0] if isinstance(logits, (list, tuple)) else logits).shape == (2, 7)
    ours, theirs = changed._collect_params_with_prefix(), first._collect_params_with_prefix()
    kept = [key for key in ours if ours[key].shape == theirs[key].shape]
    assert len(kept) > len(ours) * 0.8
    for key in kept:
        same(ours[key].data(), theirs[key].data())


class ClassesFirst(nn.HybridBlock):
    """A head of one's own, whose last parameters are not the classes'."""

    def __init__(self, channels, classes, **kwargs):
        super().__init__(**kwargs)
        self.fc = nn.Dense(classes, in_units=channels)
        self.map = nn.Conv2D(channels, 1, in_channels=channels)

    def hybrid_forward(self, F, x):
        return self.fc(F.mean(self.map(x), axis=(2, 3)))


class Kernel(nn.HybridBlock):
    """A head of one's own without a weight and a bias."""

    def __init__(self, channels, classes, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.params.get("kernel", shape=(classes, channels))

    def hybrid_forward(self, F, x, kernel):
        return F.dot(F.mean(x, axis=(2, 3)), kernel, transpose_b=True)


@pytest.mark.parametrize("head", [ClassesFirst, Kernel])
def test_a_head_of_ones_own_loads_and_adapts(head, tmp_path):
    first = gluon_attn.get_model("cifar_resnet20", head=head, classes=5)
    first.initialize(mx.init.Xavier())
    first.save_parameters(str(tmp_path / "w.params"))
    same(gluon_attn.get_model("cifar_resnet20", head=head, pretrained=tmp_path / "w.params")(X), first(X))
    changed = gluon_attn.get_model("cifar_resnet20", head=head, pretrained=tmp_path / "w.params", classes=7)
    assert changed(X).shape == (2, 7)
    same(changed.features_at(X)["stage3"], first.features_at(X)["stage3"])


def test_published_weights_are_for_networks(published_file):
    entry = entry_for(MODEL, published_file.read_bytes())
    with pytest.raises(WeightsError, match="does not fit this network. Missing in the file: weight, bias"):
        load_arrays(nn.Dense(3, in_units=4), random_arrays(*LAYOUT), entry=entry)
    with pytest.raises(WeightsError, match="Without a place in the network: .*head.fc.weight"):
        load_arrays(gluon_attn.get_model(MODEL, features=True), random_arrays(*LAYOUT), adapt=True, entry=entry)


@pytest.mark.parametrize("name", gluon_attn.list_models("cifar_*resnet20") + gluon_attn.list_models("resnet??"))
def test_files_of_our_own_are_recognised(name):
    assert maps.recognise(gluon_attn.get_model(name)._collect_params_with_prefix()) == "gluon_attn"


def test_one_input_channel_answers_as_three_equal_ones(published_file):
    grey = mx.nd.array(np.random.RandomState(2).standard_normal((2, 1, 32, 32)))
    colour = gluon_attn.get_model(MODEL, pretrained=published_file, classes=10)
    single = gluon_attn.get_model(MODEL, pretrained=published_file, classes=10, in_channels=1)
    expected = colour(mx.nd.concat(grey, grey, grey, dim=1)).asnumpy()
    np.testing.assert_allclose(single(grey).asnumpy(), expected, rtol=1e-4, atol=1e-3)


def test_six_channels_that_repeat_the_three_answer_like_them(published_file):
    three = gluon_attn.get_model(MODEL, pretrained=published_file, classes=10)
    six = gluon_attn.get_model(MODEL, pretrained=published_file, classes=10, in_channels=6)
    np.testing.assert_allclose(six(mx.nd.concat(X, X, dim=1)).asnumpy(), three(X).asnumpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "model, layout, names",
    [(MODEL, LAYOUT, "stem.0.weight"), (PREACT, PREACT_LAYOUT, "stem.0.beta, .*stem.0.running_var, stem.1.weight")],
)
def test_other_input_channels_are_said_once(model, layout, names, tmp_path, caplog):
    path = save(tmp_path / "w.params", random_arrays(*layout))
    classes = {MODEL: 10, PREACT: 100}[model]
    for channels, how in ((1, "they are summed"), (6, r"they are repeated, times 0\.5"), (3, None)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="gluon_attn.weights"):
            gluon_attn.get_model(model, pretrained=path, classes=classes, in_channels=channels)
        if how is None:
            assert not caplog.text
        else:
            (record,) = caplog.records
            said = rf"adapted to {channels} input channels?: {names} \(.*w\.params has 3: {how}\)"
            assert re.fullmatch(said, record.getMessage()), record.getMessage()


def test_a_normalised_input_adapts_too(tmp_path):
    arrays = random_arrays(*PREACT_LAYOUT)
    path = save(tmp_path / "w.params", arrays)
    single = gluon_attn.get_model(PREACT, pretrained=path, in_channels=1)
    summed = arrays["features.1.weight"].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(single.stem[1].weight.data().asnumpy(), summed, rtol=1e-6)
    mean = single.stem[0].running_mean.data().asnumpy()
    np.testing.assert_allclose(mean, arrays["features.0.running_mean"].mean(keepdims=True), rtol=1e-6)
    assert gluon_attn.get_model(PREACT, pretrained=path, in_channels=5)(mx.nd.ones((1, 5, 32, 32))).shape == (1, 100)


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Replaces the table by rows for random files that lie in the weights folder."""

    def use(*rows):
        monkeypatch.setattr(table, "_published", lambda: tuple(rows))
        monkeypatch.setattr(table, "stored_folders", lambda: [])
        return tmp_path

    return use


def row(folder, model, layout, tag, seed=0, **changes):
    path = save(folder / f"{tag}-{seed}.params", random_arrays(*layout, seed=seed))
    entry = entry_for(model, path.read_bytes(), tag=tag, source=layout[0], **changes)
    path.rename(folder / entry.file_name)
    return entry


def test_a_tag_builds_and_loads_what_its_row_says(published, tmp_path):
    rows = [row(tmp_path, MODEL, LAYOUT, tag, seed) for seed, tag in enumerate(["cifar10", "second"])]
    root = published(*rows)
    default, first, second = (
        gluon_attn.get_model(MODEL, pretrained=tag, root=root)(X) for tag in (True, "cifar10", "second")
    )
    assert first.shape == (2, 10)
    same(default, first)
    assert np.abs((first - second).asnumpy()).max() > 1e-3
    with pytest.raises(
        WeightsError, match="Unknown weights tag for 'cifar_se_resnet20' 'third'. Choices: cifar10, second"
    ):
        gluon_attn.get_model(MODEL, pretrained="third", root=root)
    with pytest.raises(WeightsError, match="'imgclsmob' is not one file for .*: choose among cifar10, second"):
        gluon_attn.get_model(MODEL, pretrained="imgclsmob", root=root)


def test_a_folder_does_not_hide_a_tag(published, tmp_path, monkeypatch):
    root = published(row(tmp_path, MODEL, LAYOUT, "digits"))
    (tmp_path / "elsewhere" / "digits").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert gluon_attn.get_model(MODEL, pretrained="digits", root=root)(X).shape == (2, 10)


def test_the_row_carries_the_architecture(published, tmp_path):
    layout = ("imgclsmob", "seresnet50")
    entry = row(tmp_path, "se_resnet50", layout, "imgclsmob", classes=1000, arch={"stride_in": "1x1"})
    root = published(entry)
    x = mx.nd.array(np.random.RandomState(1).standard_normal((1, 3, 64, 64)))
    built = gluon_attn.get_model("se_resnet50", pretrained="imgclsmob", root=root)
    followed = gluon_attn.get_model("se_resnet50", variant="imgclsmob")
    gluon_attn.load_weights(followed, root / entry.file_name)
    same(built(x), followed(x))
    with pytest.raises(WeightsError, match=r"trained with {'stride_in': '1x1'}.*variant='imgclsmob'"):
        gluon_attn.load_weights(gluon_attn.get_model("se_resnet50"), root / entry.file_name)
    with pytest.raises(GluonAttnError, match="Unknown variant of se_resnet50 'imgclsmop'"):
        gluon_attn.get_model("se_resnet50", variant="imgclsmop")


def test_super_classes_never_come_out_as_hundred_classes(published, tmp_path):
    coarse = dict(dataset="cifar100-coarse", mean=(0.5,) * 3, std=(0.25,) * 3, input_size=32, crop_pct=1.0)
    entry = row(tmp_path, PREACT, PREACT_LAYOUT, "cifar100-coarse", classes=20, file_classes=100, preprocessing=coarse)
    root = published(entry)
    for tag in (True, "openaff", "cifar100"):
        with pytest.raises(WeightsError, match="cifar100-coarse"):
            gluon_attn.get_model(PREACT, pretrained=tag, root=root)
    logits = gluon_attn.get_model(PREACT, pretrained="cifar100-coarse", root=root)(X)
    assert logits.shape == (2, 20)
    path = root / entry.file_name
    with pytest.raises(WeightsError, match="trained on the 20 classes of cifar100-coarse, the network has 100"):
        gluon_attn.load_weights(gluon_attn.get_model(PREACT), path)
    same(gluon_attn.get_model(PREACT, pretrained=path)(X), logits)  # known by its hash
    same(gluon_attn.get_model(PREACT, pretrained=path, classes=20)(X), logits)


def test_the_published_table_is_whole():
    entries = table.all_published()
    assert len({entry.published_name for entry in entries if entry.hash}) == sum(bool(entry.hash) for entry in entries)
    assert len({(entry.model, entry.tag) for entry in entries}) == len(entries)
    coarse = [entry for entry in entries if entry.dataset == "cifar100-coarse"]
    assert {(entry.tag, entry.classes, entry.file_classes) for entry in coarse} == {("cifar100-coarse", 20, 100)}
    assert len([entry for entry in entries if entry.source == "openaff"]) == 9
    assert len([entry for entry in entries if entry.source == "imgclsmob"]) == 12
    assert all(entry.license and entry.classes in (10, 20, 100, 1000) for entry in entries)
    stride_first = {entry.model for entry in entries if entry.arch.get("stride_in") == "1x1"}
    assert stride_first == {"se_resnet50", "se_resnet101"}


def test_defaults_of_the_published_table():
    default = {
        name: table.choose(name).tag for name in ("iaff_resnext50_32x4d", "se_resnet50", "cifar_se_resnet20", PREACT)
    }
    assert default == {
        "iaff_resnext50_32x4d": "openaff",
        "se_resnet50": "imgclsmob",
        "cifar_se_resnet20": "cifar10",
        PREACT: "cifar100",
    }
    with pytest.raises(WeightsError, match="only weights for other labels: ask for 'cifar100-coarse'"):
        table.choose("cifar_aff_resnext38_32x4d")
    with pytest.raises(WeightsError, match="No weights are known for 'cbam_resnet34'"):
        gluon_attn.get_model("cbam_resnet34", pretrained=True)


def test_a_network_of_imagenet_is_not_given_a_part_of_its_classes_unasked(published, tmp_path):
    tiny = dict(DATASETS["tiny-imagenet"].preparation, dataset="tiny-imagenet")
    published(row(tmp_path, "se_resnet34", LAYOUT, "tiny-imagenet", classes=200, preprocessing=tiny))
    with pytest.raises(WeightsError, match="only weights for other labels: ask for 'tiny-imagenet' by name"):
        table.choose("se_resnet34")
    assert table.choose("se_resnet34", "tiny-imagenet") is table.choose("se_resnet34", True, DATASETS["tiny-imagenet"])


def test_the_zoo_shows_its_weights():
    info = gluon_attn.model_info("cbam_resnet50")
    (entry,) = info.weights
    assert (entry.tag, entry.source, entry.top1_error) == ("imgclsmob", "imgclsmob", 19.94)
    assert entry.hash.startswith("ebd4af23") and "MIT" in entry.license
    names = gluon_attn.list_models(pretrained=True)
    assert "iaff_resnext50_32x4d" in names and "cbam_resnet34" not in names


def test_a_value_that_float32_cannot_hold(tmp_path):
    net = build("cifar_resnet20", classes=10)
    save_weights(net, tmp_path / "a.safetensors")
    arrays = {name: array.astype("float64") for name, array in load_file(str(tmp_path / "a.safetensors")).items()}
    name = next(iter(arrays))
    arrays[name].flat[0] = 1e300
    save_file(arrays, str(tmp_path / "b.safetensors"))
    with pytest.raises(WeightsError, match="NaN, infinite or impossible values"):
        load_weights(net, tmp_path / "b.safetensors")
