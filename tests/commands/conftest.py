"""A file of weights, what it answers, and pictures."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import gluon_attn
from gluon_attn import data
from tests.commands.calling import MODEL


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A file of a network whose outputs differ from image to image."""
    mx.random.seed(0)
    net = gluon_attn.get_model(MODEL, classes=10)
    net.initialize(mx.init.MSRAPrelu())
    path = tmp_path_factory.mktemp("weights") / "w.params"
    net.save_parameters(str(path))
    return path


@pytest.fixture
def few_digits(monkeypatch):
    """Twenty, where a command asks for a data set."""
    whole = data.get_dataset
    monkeypatch.setattr(data, "get_dataset", lambda *args, **options: data.Subset(whole(*args, **options), range(20)))


@pytest.fixture(scope="session")
def expected(weights):
    """Logits and labels of the test digits, computed without the commands."""
    digits = data.get_dataset("digits", "test")
    net = gluon_attn.get_model(MODEL, pretrained=weights, classes=10)
    images = np.stack([digits[i][0] for i in range(len(digits))]).transpose(0, 3, 1, 2) / 255
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (digits.mean, digits.std))
    return net(mx.nd.array((images - mean) / std)).asnumpy(), digits.labels


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    digits = data.get_dataset("digits", "test")
    (folder / "more").mkdir()
    for index, name in enumerate(["2.png", "10.png", "more/1.png"]):
        Image.fromarray(digits[index][0]).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder
