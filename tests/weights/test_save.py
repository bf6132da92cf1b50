"""`save_weights` is the inverse of `load_weights`: the published names, and the same values to the bit."""

from __future__ import annotations

import sys

import mxnet as mx
import numpy as np
import pytest
from safetensors.numpy import load_file

import gluon_attn
from gluon_attn import WeightsError, save_weights, weights
from gluon_attn._compat import MissingPackage
from gluon_attn.weights import layouts as maps
from gluon_attn.weights.files import read_arrays, read_file
from gluon_attn.weights.layouts.inverse import FORMATS, published_names
from tests.helpers import build
from tests.weights.published import layouts

STEMS = {"imagenet/AFF-ResNeXt-50": 10, "imagenet/iAFF-ResNeXt-50": 10, "cifar100/AFF-ResNet-32": 2}
STEMS.update({f"cifar100/AFF-ResNeXt-{depth}-32x4d": 3 for depth in (38, 47)})
EVERY = [(source, name) for source in FORMATS if source in maps.SOURCES for name in layouts(source)]


@pytest.mark.parametrize("source, layout", EVERY)
def test_the_names_are_those_that_were_published(source, layout):
    published = layouts(source)[layout]
    ours = [name for name in maps.key_map(source, published).values() if name]
    theirs = published_names(source, ours, STEMS.get(layout, 0 if source == "openaff" else 2))
    wanted = {name for name in published if not name.endswith("num_batches_tracked")}
    plain = {name[len("module.") :] if name.startswith("module.") else name for name in wanted}
    assert set(theirs.values()) == plain


NARROW = {"layers": (1, 1, 1, 1), "widths": (16, 32, 64, 128)}


@pytest.mark.parametrize(
    "name, format, suffix, arch",
    [
        ("se_resnet18", "timm", "safetensors", {**NARROW, "round_to": 8}),
        ("eca_resnet18", "timm", "safetensors", NARROW),
        ("resnet18", "torchvision", "safetensors", {"layers": (1, 1, 1, 1), "last_gamma": True, "gate": "identity"}),
        ("resnet18d", "timm", "safetensors", NARROW),
        ("resnet18", "timm", "safetensors", {**NARROW, "stem": "deep", "stem_widths": (6, 8, 16)}),
        ("cifar_se_resnet20", "imgclsmob", "params", {}),
        ("cifar_se_resnet20", "imgclsmob", "params", {"widths": [16, 32, 64], "reduction": 16, "stages": [1, 2, 3]}),
        ("cifar_se_resnet20", "imgclsmob", "params", {"reduction": (16, 16, 16), "fuse": "add", "last_gamma": True}),
        ("cifar_aff_preresnet32_w4", "openaff", "params", {}),
        ("cifar_aff_resnext38_32x4d", "openaff", "params", {}),
        ("cifar_abn_wrn28_10", "abn", "safetensors", {"layers": (1, 1, 1), "outputs": "all"}),
        ("cifar_aff_resnet20", "gluon", "params", {}),
        ("cifar_aff_resnet20", "gluon", "safetensors", {}),
    ],
)
def test_there_and_back_is_equal_to_the_bit(name, format, suffix, arch, tmp_path):
    net, path = build(name, **arch), tmp_path / f"net.{suffix}"
    save_weights(net, path, format=format)
    arrays = read_arrays(read_file(path), path)
    assert maps.recognise(arrays) == {"torchvision": "timm", "gluon": "gluon_attn"}.get(format, format)
    back = gluon_attn.get_model(name, **arch)
    weights.load_weights(back, path, source=format)
    for key, parameter in net._collect_params_with_prefix().items():
        assert (parameter.data() == back._collect_params_with_prefix()[key].data()).asnumpy().all()


@pytest.mark.parametrize(
    "name, format, arch",
    [
        ("inv_se_resnet18", "timm", {}),  # the names of SE, and another function
        ("se_resnet18", "torchvision", {}),
        ("aff_resnet18", "timm", {}),
        ("cifar_se_resnet20", "timm", {}),
        ("cifar_resnet20", "abn", {}),
        ("se_resnet18", "openaff", {}),
        ("resnet18", "timm", {"stem": "half"}),
        ("resnet18", "timm", {"stem": "cifar"}),
        ("resnet18", "timm", {"stem_widths": (32,)}),
        ("resnet18", "timm", {"stem": "deep", "stem_widths": (32, 64, 64)}),
        ("resnet18", "timm", {"shortcut": "biased"}),
        ("resnet18", "timm", {"shortcut": ("conv", "avg", "avg", "avg")}),
        ("resnet18", "torchvision", {"widths": (16, 32, 64, 128)}),
        ("resnet18", "torchvision", {"shortcut": "avg"}),
        ("cifar_se_resnet20", "imgclsmob", {"reduction": (16, 16, 8)}),
        ("cifar_densenet40_k12", "timm", {"layers": (1, 1, 1)}),
        ("cifar_mobilenet", "abn", {"widths": ((4,), (4,), (4,))}),
    ],
)
def test_what_a_format_cannot_express_is_a_sentence(name, format, arch, tmp_path):
    arch = arch if name.startswith("cifar_") else {**NARROW, **arch}
    with pytest.raises(WeightsError, match=f"'{format}' has no network with"):
        save_weights(build(name, **arch), tmp_path / "net.safetensors", format=format)
    assert not list(tmp_path.iterdir())


def test_an_se_that_timm_rounds_is_a_sentence(tmp_path):
    with pytest.raises(WeightsError, match="8 inner channels for 16, this network's 1: train it with round_to=8, or"):
        save_weights(build("se_resnet18", **NARROW), tmp_path / "net.safetensors", format="timm")


def test_mistakes_are_sentences(tmp_path):
    net = build("cifar_resnet20")
    with pytest.raises(WeightsError, match="Unknown format of weights 'tim'.*Did you mean 'timm'"):
        save_weights(net, tmp_path / "a.params", format="tim")
    with pytest.raises(WeightsError, match="suffix of a file of weights '.h5'"):
        save_weights(net, tmp_path / "a.h5")
    with pytest.raises(WeightsError, match="has no values"):
        save_weights(gluon_attn.get_model("cifar_resnet20"), tmp_path / "a.params")
    with pytest.raises(WeightsError, match="has no name there"):
        save_weights(net.stages, tmp_path / "a.params", format="timm")


def test_running_statistics_are_the_mean_over_devices(tmp_path):
    net = gluon_attn.get_model("cifar_resnet20", layers=(1, 1, 1))
    net.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    for number, copy in enumerate(net.stem[1].running_mean.list_data()):
        copy[:] = number
    save_weights(net, tmp_path / "a.params")
    net.save_parameters(str(tmp_path / "b.params"))
    saved, gluons = (read_arrays(read_file(tmp_path / name)) for name in ("a.params", "b.params"))
    assert (saved["stem.1.running_mean"] == 0.5).all()
    assert all((saved[name] == gluons[name]).all() for name in gluons)


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_weights(build("cifar_resnet20", layers=(1, 1, 1)), "~/net.params")
    assert [path.name for path in tmp_path.iterdir()] == ["net.params"]


def test_a_missing_torch_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    with pytest.raises(MissingPackage, match=r"needs torch.*pip install 'gluon_attn\[torch\]'"):
        save_weights(build("cifar_resnet20", layers=(1, 1, 1)), tmp_path / "net.pth")
    assert not list(tmp_path.iterdir())


def test_pytorch_counts_batches(tmp_path):
    save_weights(build("resnet18"), tmp_path / "a.safetensors", format="torchvision")
    arrays = load_file(str(tmp_path / "a.safetensors"))
    assert arrays["bn1.num_batches_tracked"].shape == () and arrays["bn1.num_batches_tracked"].dtype == np.int64
