"""OpenVINO gives what onnxruntime gives, at every batch size, in every thread, from the same files."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from gluon_attn import data
from gluon_attn.deploy import Predictor, export_onnx, quantize
from gluon_attn.deploy.run import engines
from gluon_attn.weights.card import Card
from tests.helpers import build, needs_bfloat16

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
DIGITS = data.get_dataset("digits", "test")
CARD = Card("cifar_aff_resnet20", DIGITS.classes, DIGITS.mean, DIGITS.std, 32, 1.0)
PICTURES = [DIGITS[i][0] for i in range(0, 200, 10)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "net.onnx"
    export_onnx(build("cifar_aff_resnet20", classes=10, layers=(1, 1, 1)), path, 32, card=CARD)
    return path


@pytest.fixture(scope="module")
def expected(file):
    return Predictor(file, engine="onnxruntime").logits(PICTURES)


def test_it_is_taken_where_it_is_installed(file, expected):
    predictor = Predictor(file, threads=1)
    assert predictor.name == "openvino" and predictor.card == CARD
    assert predictor.describe() == "openvino float32, 1 threads"
    np.testing.assert_allclose(predictor.logits(PICTURES), expected, rtol=1e-4, atol=1e-5)


def test_threads_are_honoured(file):
    compiled = Predictor(file, threads=1).engine.compiled
    assert all(graph.get_property("INFERENCE_NUM_THREADS") == 1 for graph in compiled.values()) and compiled


def test_three_graphs_serve_every_batch(file, expected):
    predictor = Predictor(file, engine="openvino", batch_size=8, threads=1)
    for count in (8, 1, 3, 5, 2, 7, 20):
        found = np.concatenate([predictor.run(batch) for batch in _batches(predictor, count)])
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-5)
    assert sorted(predictor.engine.compiled) == [-1, 1, 8]


def test_a_predictor_keeps_the_network_that_it_opened(file, expected, tmp_path, monkeypatch):
    """Another batch size is compiled when it comes: by then the file may be another, or the folder."""
    (tmp_path / "net.onnx").write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    predictor = Predictor("net.onnx", engine="openvino", batch_size=8, threads=1)
    export_onnx(build("cifar_resnet20", classes=10, layers=(1, 1, 1)), tmp_path / "net.onnx", 32, card=CARD)
    np.testing.assert_allclose(predictor.logits(PICTURES[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    monkeypatch.chdir(file.parent.parent)
    np.testing.assert_allclose(predictor.logits(PICTURES[:3]), expected[:3], rtol=1e-4, atol=1e-5)


def _batches(predictor, count):
    prepared = predictor._prepare(PICTURES[:count])
    return [prepared[i : i + predictor.batch_size] for i in range(0, count, predictor.batch_size)]


def test_answers_are_not_overwritten_by_the_next(file):
    predictor = Predictor(file, engine="openvino", threads=1)
    first = predictor.logits(PICTURES[:1])
    kept = first.copy()
    predictor.logits(PICTURES[1:2])
    np.testing.assert_array_equal(first, kept)


def test_safe_in_threads(file, expected):
    predictor, wrong = Predictor(file, engine="openvino", threads=1), []

    def work(seed):
        order = np.random.RandomState(seed).permutation(len(PICTURES))
        for count in (1, 4, 16):
            chosen = order[:count]
            found = predictor.logits([PICTURES[i] for i in chosen])
            if not np.allclose(found, expected[chosen], rtol=1e-4, atol=1e-5):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_our_int8_file(file, expected, tmp_path):
    prepared = Predictor(file, engine="onnxruntime")._prepare(PICTURES)
    onnx.save(quantize(file, [prepared]), str(tmp_path / "int8.onnx"))
    for precision in ("float32", "int8"):
        predictor = Predictor(tmp_path / "int8.onnx", engine="openvino", precision=precision, threads=1)
        assert predictor.precision == "int8"
        found = predictor.logits(PICTURES)
        assert 0 < abs(found - expected).max() < 0.1 * abs(expected).max()
    # It stays so, whatever is said beside it.
    again = Predictor(
        tmp_path / "int8.onnx", engine="openvino", precision="int8", calibration=PICTURES[:2], card=CARD, threads=1
    )
    np.testing.assert_array_equal(again.logits(PICTURES), found)
    assert Predictor(tmp_path / "int8.onnx", engine="onnxruntime", card=CARD).precision == "int8"


def test_bfloat16_is_said_where_it_is_computed(file, expected):
    predictor = Predictor(file, precision="bfloat16", threads=1)
    has_it = "BF16" in predictor.engine.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert predictor.precision == ("bfloat16" if has_it else "float32")
    assert abs(predictor.logits(PICTURES) - expected).max() < 0.02 * abs(expected).max()


def test_without_it_onnxruntime_is_taken(monkeypatch):
    monkeypatch.setattr(engines.util, "find_spec", lambda name: None)
    assert engines.default("net.onnx", "float32") == "onnxruntime"
    assert engines.default("net-symbol.json", "float32") == "mxnet"
    assert engines.default("net.onnx", "bfloat16") == "openvino"


SIGNALLED = """
import faulthandler, signal, sys
faulthandler.enable()  # gives this thread's signals a stack, which Python's handlers then use, too
from gluon_attn.deploy import Predictor
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
first, second = (Predictor(sys.argv[1], engine="openvino", threads=1, precision=sys.argv[2]) for _ in range(2))
del first
del second
signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_signal_is_heard_after_models_have_gone_in_any_order(file, precision):
    """OpenVINO leaves the thread a stack for signals that is gone: the process ended by a segmentation fault."""
    command = [sys.executable, "-c", SIGNALLED, str(file), precision]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "heard\n"


@pytest.fixture
def int8(file, tmp_path):
    prepared = Predictor(file, engine="onnxruntime")._prepare(PICTURES)
    onnx.save(quantize(file, [prepared]), str(tmp_path / "int8.onnx"))
    return tmp_path / "int8.onnx"


def _hint(predictor):
    compiled = next(iter(predictor.engine.compiled.values()))
    return compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()


def test_what_int8_files_keep_in_float_is_float32(int8, monkeypatch):
    """OpenVINO takes bfloat16 for it, unless it is told otherwise."""
    monkeypatch.setattr("gluon_attn.matrix_units.present", lambda: False)
    given = [Predictor(int8, threads=1, precision=precision) for precision in ("float32", "int8")]
    for predictor in given:
        assert predictor.describe() == "openvino int8, 1 threads" and _hint(predictor) == "f32"
        assert predictor.engine.precision == "int8"  # also of files of other origin, which say nothing
        np.testing.assert_array_equal(predictor.logits(PICTURES), given[0].logits(PICTURES))


@needs_bfloat16
@pytest.mark.parametrize("asked", [True, False])
def test_and_bfloat16_where_it_is_asked_for_or_the_cpu_has_matrix_units(asked, int8, monkeypatch):
    monkeypatch.setattr("gluon_attn.matrix_units.present", lambda: not asked)
    predictor = Predictor(int8, threads=1, precision="bfloat16" if asked else "int8")
    assert predictor.precision == "int8" and predictor.describe() == "openvino int8 and bfloat16, 1 threads"
    assert _hint(predictor) == "bf16"


def test_threads_that_there_are_not_are_not_said(file):
    said = Predictor(file, engine="openvino", threads=1000)
    compiled = next(iter(said.engine.compiled.values()))
    assert said.threads == compiled.get_property("INFERENCE_NUM_THREADS") and f"{said.threads} threads" in repr(said)
