"""A Predictor that is copied, pickled or sent to another process opens anew what it was made of."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from gluon_attn import GluonAttnError
from gluon_attn.deploy import Predictor, export_onnx, export_symbol
from gluon_attn.deploy.run import engines
from tests.deploy.test_predictor import CARD, PICTURES, every_engine
from tests.helpers import build

ONE_BLOCK = {"layers": (1, 1, 1)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, net = tmp_path_factory.mktemp("files"), build("cifar_aff_resnet20", classes=10, **ONE_BLOCK)
    export_onnx(net, folder / "net.onnx", 32, card=CARD)
    export_symbol(net, folder / "net", 32, card=CARD)
    net.save_parameters(str(folder / "net.params"))
    return folder


@pytest.mark.parametrize("engine", every_engine(lambda engine: engine.suffix != ".safetensors"))
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_open_the_file_anew(files, copied, engine, monkeypatch):
    """With all that was said beside it, and from another folder."""
    monkeypatch.chdir(files)
    predictor = Predictor(f"net{engines.find(engine).suffix}", engine=engine, batch_size=3, card=CARD.but(model="mine"))
    monkeypatch.chdir(files.parent)
    other = copied(predictor)
    assert repr(other) == repr(predictor) and other.engine is not predictor.engine
    np.testing.assert_array_equal(other.logits(PICTURES[:4]), predictor.logits(PICTURES[:4]))


def test_copies_of_names_make_the_network_anew(files, monkeypatch):
    monkeypatch.chdir(files)
    predictor = Predictor(CARD.model, "net.params", "onnxruntime", classes=10, **ONE_BLOCK)
    monkeypatch.chdir(files.parent)
    other = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(other.logits(PICTURES[:2]), predictor.logits(PICTURES[:2]))


def test_what_was_calibrated_is_written_as_a_file(files):
    """A copy would calibrate once more, on images that would have to go with it."""
    predictor = Predictor(files / "net.onnx", precision="int8", calibration=PICTURES[:4], threads=1)
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(GluonAttnError, match="calibrated cannot be copied .*deploy.quantize"):
            copied(predictor)


@pytest.mark.ci  # imports everything anew
def test_another_process_is_sent_a_predictor(files):
    predictor = Predictor(files / "net.onnx", threads=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        found = workers.submit(predictor.logits, PICTURES[:2]).result(60)
    np.testing.assert_array_equal(found, predictor.logits(PICTURES[:2]))
