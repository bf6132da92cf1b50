"""The public API: every function has an example that is true, and type hints."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import data, deploy, explain, weights
from gluon_attn.data import random_state
from tools.zoo_site.reference import with_every_mechanism

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "docs" / "digits"
# Those that say what they hand out, those that the site shows, and what all parts stand on.
PACKAGES = ("", "attention", "data", "deploy", "explain", "register", "train", "weights", "zoo")
API = with_every_mechanism((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
SHOWN = re.findall(r"automodule:: gluon_attn\.(.+)", API)
BASES = ("accuracy", "cpu", "devices", "errors", "figures", "files", "layers", "parser", "plugins", "predict", "scoped")
BASES += ("matrix_units", "mixed_precision", "hybridization", "threads", "recipe.files", "attention.slots")
BASES += ("catalogue.arguments", "catalogue.datasets", "catalogue.names")
# Examples that a test cannot run: what they need is not here.
ELSEWHERE = {
    "NativeLoader": "ImageNet",
    "announce": "the inside of a block",
    "create_model": "another library",
    "switch_on": "cannot be undone",
    "draw": "slow",
    "export_onnx": "slow; tests/deploy/test_export.py",
    "verified": "slow; tests/deploy/test_export.py",
    "quantize": "slow; tests/deploy/test_export.py",
    "fit": "a training",
    "identify": "a published file",
    "load_run": "a run of the reader's",
    "load_torch": "torch, beside MXNet",
    "export_torch": "torch, beside MXNet",
    "to_torch": "torch, beside MXNet",
    "of_run": "a run of the reader's",
    "register_attention": "a class of the reader's",
    "forget_attention": "a class of the reader's",
    "add": "a module of the reader's",
    "remove": "a module of the reader's",
    "want": "a module of the reader's",
    "not_written": "a full disk",
    "save_weights": "published weights",
    "listening": "a network that is traced",
    "write_bytes": "a model",
    "Predictor": "a file of the reader's",
}


def members(part):
    """(name, what it is) of a module; without those that need torch, where that is not installed."""
    try:
        module = importlib.import_module(f"gluon_attn.{part}".rstrip("."))
    except ModuleNotFoundError:
        return
    for name in module.__all__ if part in PACKAGES else vars(module):
        with contextlib.suppress(ImportError):
            yield name, inspect.unwrap(getattr(module, name)), module


def public():
    """{dotted name: function or class}."""
    found = {}
    for part in (*PACKAGES, *SHOWN, *BASES):
        for name, value, module in members(part):
            if name.startswith("_") or not getattr(value, "__module__", "").startswith("gluon_attn"):
                continue
            handed_out = part in PACKAGES and inspect.isclass(value)
            if handed_out or (inspect.isfunction(value) and (part in PACKAGES or value.__module__ == module.__name__)):
                found[f"{value.__module__}.{name}"] = value
    return found


PUBLIC = public()


@pytest.mark.parametrize("part", PACKAGES)
def test_everything_public_has_its_place_on_the_page(part):
    page = set(re.findall(r"auto(?:function|class):: (\S+)", API))
    for module, shown in re.findall(r"automodule:: (\S+)\n   :members:(.*)", API):
        page.update(f"{module}.{name.strip() or '*'}" for name in shown.split(","))
    lost = []
    for name, value, _ in members(part):
        homes = (f"gluon_attn.{part}".rstrip("."), getattr(value, "__module__", ""))  # handed out from, and written in
        places = {f"{home}.{shown}" for home in homes for shown in (name, "*")}
        if (inspect.isfunction(value) or inspect.isclass(value)) and not page & places:
            lost.append(name)
    assert not lost, f"docs/api.md lacks {', '.join(lost)} of {part}: `.. autofunction::` or `.. autoclass::` shows one"


def is_error(value):
    return inspect.isclass(value) and issubclass(value, Exception)


def test_the_walk_sees_all_rooms():
    assert len(PUBLIC) > 120
    assert {"gluon_attn.zoo.get_model", "gluon_attn.data.loader.Loader", "gluon_attn.explain.cam.gradcam"} <= set(
        PUBLIC
    )


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if not is_error(value)])
def test_everything_public_has_an_example_and_type_hints(name):
    value = PUBLIC[name]
    assert doctest.DocTestParser().get_examples(inspect.getdoc(value) or ""), f"{name}: write two lines of an example"
    made = value.__init__ if inspect.isclass(value) and "__init__" in vars(value) else value
    parameters = inspect.signature(made).parameters if inspect.isfunction(made) else {}
    bare = [p.name for p in parameters.values() if p.annotation is p.empty and p.name != "self"]
    assert not bare, f"{name}: no type is said of {', '.join(bare)}"
    if inspect.isfunction(value):
        assert inspect.signature(value).return_annotation is not inspect.Signature.empty, (
            f"{name}: what does it return?"
        )


class OnlyWhatIsSaid(doctest.OutputChecker):
    """An example that shows no output is run for its errors alone."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def scope():
    """What the examples speak of: a trained network, images as it is fed them, and pictures."""
    net = gluon_attn.get_model("cifar_aff_resnet20", pretrained="digits")
    test = data.get_dataset("digits", "test")
    pictures = [test[index][0] for index in range(2)]
    x = mx.nd.array(np.stack([net.card.transform()(picture) for picture in pictures]))
    names = dict(net=net, pictures=pictures, x=x, DIGITS=DIGITS, gluon_attn=gluon_attn, np=np, mx=mx)
    return {
        **names,
        "data": data,
        "deploy": deploy,
        "explain": explain,
        "weights": weights,
        "random_state": random_state,
    }


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.rpartition(".")[2] not in ELSEWHERE])
def test_examples_are_true(name, scope, tmp_path, monkeypatch):
    value = PUBLIC[name]
    monkeypatch.chdir(tmp_path)
    names = {**vars(inspect.getmodule(value)), **scope}
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(value) or "", names, name, None, 0)
    said = []
    doctest.DocTestRunner(OnlyWhatIsSaid(), optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)
