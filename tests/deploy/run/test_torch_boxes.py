"""Operators of detectors against MXNet's: values, and gradients where MXNet has one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mxnet")

from gluon_attn.deploy.run.symbol_json import read_graph  # noqa: E402
from gluon_attn.deploy.run.torch_graph import build  # noqa: E402
from gluon_attn.deploy.run.torch_operators import boxes  # noqa: E402
from tests.deploy.run.beside_mxnet import check  # noqa: E402

C = mx.sym.contrib
x, y = mx.sym.Variable("x"), mx.sym.Variable("y")


def _rows(seed, *shape, classes=3, format="corner", places=8):
    """(class, score, four numbers of a box, one more), with few places, so that scores tie and boxes touch."""
    rng = np.random.RandomState(seed)
    corner = rng.randint(0, places, (*shape, 2)) / places
    sides = rng.randint(-1, places, (*shape, 2)) / places
    last = corner + sides if format == "corner" else sides
    ids = rng.randint(-1, classes, (*shape, 1))
    scores = rng.randint(-3, 9, (*shape, 1)) / 8
    return np.concatenate([ids, scores, corner, last, rng.rand(*shape, 1)], -1).astype("float32")


NMS = [
    {},
    {"id_index": 0},
    {"id_index": 0, "force_suppress": True, "overlap_thresh": 0.2},
    {"id_index": 0, "background_id": 1, "valid_thresh": 0.4},
    {"topk": 7, "overlap_thresh": 0.9},
    {"topk": 0},
    {"topk": 10**6, "valid_thresh": -1},
    {"valid_thresh": 2},  # nothing is left
    {"overlap_thresh": -1},  # of each class the best
    {"overlap_thresh": -1, "id_index": 0},
    {"overlap_thresh": 1},
    {"overlap_thresh": 0},
    {"score_index": 6, "coord_start": 1, "id_index": 0},
]


@pytest.mark.parametrize("options, shape", itertools.product(NMS, [(30,), (3, 20), (2, 2, 9), (1, 1)]))
def test_box_nms(options, shape):
    check(C.box_nms(x, **options), {"x": _rows(1, *shape)})


@pytest.mark.parametrize("given, wanted", itertools.product(["corner", "center"], repeat=2))
def test_box_nms_in_formats(given, wanted):
    """MXNet leaves the change of format out of the gradient."""
    symbol = C.box_nms(x, in_format=given, out_format=wanted, overlap_thresh=0.4)
    rows = _rows(2, 4, 25, format=given)
    rows[:2, :, 2:4] -= 0.3  # boxes whose first number is negative
    check(symbol, {"x": rows}, gradients=given == wanted)
    data = torch.tensor(rows[:1], dtype=torch.float64, requires_grad=True)
    module = build(read_graph(symbol.tojson()), {})
    moved = data.detach().clone().requires_grad_()
    (module(moved) * torch.arange(7)).sum().backward()
    step = torch.zeros_like(data).uniform_() * 1e-9 * (torch.arange(7) > 1)
    with torch.no_grad():
        rise = ((module(data + step) - module(data)) * torch.arange(7)).sum()
    assert torch.allclose(rise, (moved.grad * step).sum(), rtol=1e-4, atol=1e-14)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_box_nms_in_blocks(block, monkeypatch):
    monkeypatch.setattr(boxes, "_BLOCK", block)
    check(C.box_nms(x, id_index=0, overlap_thresh=0.3), {"x": _rows(3, 2, 40, places=20)})


@pytest.mark.parametrize("format", ["corner", "center"])
@pytest.mark.parametrize("left, right", [((5,), (7,)), ((2, 3), (4,)), ((2, 3), (2, 1, 2))])
def test_box_iou(format, left, right):
    arrays = {"x": _rows(4, *left, format=format)[..., 2:6], "y": _rows(5, *right, format=format)[..., 2:6]}
    module = check(C.box_iou(x, y, format=format), arrays)
    assert not module(*(torch.tensor(a, requires_grad=True) for a in arrays.values())).requires_grad


@pytest.mark.parametrize(
    "options",
    [{"threshold": 0.3}, {"threshold": 1e-12, "topk": 2}, {"threshold": 0.6, "is_ascend": True}, {"threshold": 2}],
)
@pytest.mark.parametrize("shape", [(4, 6), (3, 6, 4), (2, 2, 3, 3)])
def test_bipartite_matching(options, shape):
    scores = np.random.RandomState(6).randint(0, 12, shape).astype("float32") / 12
    check(mx.sym.Group(list(C.bipartite_matching(x, **options))), {"x": scores})


def test_box_encode():
    rng = np.random.RandomState(7)
    left, right = rng.rand(2, 9, 2), rng.rand(2, 5, 2)
    arrays = {
        "samples": rng.randint(-1, 2, (2, 9)),
        "matches": rng.randint(0, 5, (2, 9)),
        "anchors": np.concatenate([left, left + rng.uniform(0.1, 1, left.shape)], -1),
        "refs": np.concatenate([right, right + rng.uniform(0.1, 1, right.shape)], -1),
        "means": rng.rand(4),
        "stds": rng.uniform(0.1, 1, 4),
    }
    symbol = mx.sym.Group(list(C.box_encode(*(mx.sym.Variable(name) for name in arrays))))
    check(symbol, {name: array.astype("float32") for name, array in arrays.items()})


@pytest.mark.parametrize("format", ["corner", "center"])
@pytest.mark.parametrize("options", [{}, {"std0": 0.1, "std1": 0.2, "std2": 0.3, "std3": 0.4}, {"clip": 0.2}])
def test_box_decode(format, options):
    rng = np.random.RandomState(8)
    arrays = {"x": rng.uniform(-1, 1, (3, 6, 4)), "y": rng.rand(1, 6, 4)}
    symbol = C.box_decode(x, y, format=format, **options)
    check(symbol, {name: array.astype("float32") for name, array in arrays.items()})
