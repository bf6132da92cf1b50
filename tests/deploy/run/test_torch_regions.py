"""Pooling over regions and deformable convolutions against MXNet's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mxnet")

from gluon_attn.deploy.run.torch_operators import regions  # noqa: E402
from tests.deploy.run.beside_mxnet import check  # noqa: E402

S, C = mx.sym, mx.sym.contrib
x, rois, offset, mask, w, b = (S.Variable(name) for name in ("x", "rois", "offset", "mask", "w", "b"))


def _regions(seed, images, valid=True):
    """Inside, over the edges, outside, turned round and of one point, of a map of 9x12 at half the scale."""
    rng = np.random.RandomState(seed)
    rows = [
        [0, 2, 3, 17, 13],
        [1, -6, -4, 9, 30],
        [0, 40, 2, 60, 9],
        [1, 8, 8, 3, 3],
        [0, 5, 5, 5, 5],
        [0, 0, 0, 23, 17],
    ]
    drawn = [[rng.randint(images), *np.sort(rng.uniform(-3, 25, (2, 2)), 0).reshape(-1)] for _ in range(6)]
    return np.array(rows + drawn, "float32")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_ratio": 2},
        {"sample_ratio": 3, "spatial_scale": 1.0},
        {"position_sensitive": True},
        {"aligned": True, "sample_ratio": 2},
        {"aligned": True, "position_sensitive": True},
    ],
)
def test_roi_align(options):
    where = _regions(0, 2)
    if options.get("aligned"):
        where = where[[row for row in range(len(where)) if row not in (3, 4)]]  # MXNet refuses an area of 0
    arrays = {"x": np.random.RandomState(1).rand(2, 12, 9, 12).astype("float32"), "rois": where}
    check(C.ROIAlign(x, rois, **{"pooled_size": (2, 3), "spatial_scale": 0.5, **options}), arrays)


def test_roi_align_of_no_image_is_0_and_of_many_regions_is_the_same(monkeypatch):
    """MXNet leaves in memory what was there."""
    data, where = torch.rand(2, 3, 9, 12), torch.tensor(_regions(0, 2))
    wanted = regions.roi_align(data, where, (2, 3), 0.5)
    monkeypatch.setattr(regions, "_TOGETHER", 2)
    assert torch.allclose(regions.roi_align(data, where, (2, 3), 0.5), wanted, atol=1e-6)
    where[1, 0] = -1
    wanted[1] = 0
    assert torch.allclose(regions.roi_align(data, where, (2, 3), 0.5), wanted, atol=1e-6)
    assert regions.roi_align(data, where[:0], (2, 3), 0.5).shape == (0, 3, 2, 3)
    assert regions.roi_pooling(data, where[:0], (2, 3), 0.5).shape == (0, 3, 2, 3)


@pytest.mark.parametrize("size, scale, values", [((2, 3), 0.5, 1000), ((4, 4), 0.47, 1000), ((7, 5), 1.0, 5)])
def test_roi_pooling(size, scale, values):
    """Also of an image that is not there, and of many equals."""
    where = np.concatenate([_regions(2, 2), [[-1, 2, 2, 9, 9], [2, 2, 2, 9, 9]]]).astype("float32")
    data = np.random.RandomState(3).randint(-values, values, (2, 3, 9, 12)).astype("float32") / values
    check(S.ROIPooling(x, rois, pooled_size=size, spatial_scale=scale), {"x": data, "rois": where})


DEFORMABLE = [
    {"kernel": (3, 3), "pad": (1, 1)},
    {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2)},
    {"kernel": (3, 3), "pad": (2, 1), "num_group": 2, "num_deformable_group": 2},
    {"kernel": (1, 1), "num_deformable_group": 4, "no_bias": True},
]


def _deformable(options, moved, factors):
    """Arrays of a convolution of 4 channels to 8 over maps of 6x7 in a batch of 3."""
    rng, kernel = np.random.RandomState(4), options["kernel"]
    stride, dilate, pad = (
        options.get(name, (default,) * 2) for name, default in (("stride", 1), ("dilate", 1), ("pad", 0))
    )
    sides = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((6, 7), pad, dilate, kernel, stride)]
    count = options.get("num_deformable_group", 1) * kernel[0] * kernel[1]
    arrays = {
        "x": rng.uniform(-1, 1, (3, 4, 6, 7)),
        "offset": moved * rng.uniform(-1, 1, (3, 2 * count, *sides)),
        "mask": rng.rand(3, count, *sides),
        "w": rng.uniform(-1, 1, (8, 4 // options.get("num_group", 1), *kernel)),
        "b": rng.rand(8),
    }
    unused = ["b"] * bool(options.get("no_bias")) + ["mask"] * (not factors)
    return {name: array.astype("float32") for name, array in arrays.items() if name not in unused}


@pytest.mark.parametrize("moved", [0, 0.8, 4])
@pytest.mark.parametrize("options", DEFORMABLE)
def test_deformable_convolution(options, moved):
    arrays = _deformable(options, moved, False)
    inputs = [S.Variable(name) for name in arrays]
    check(C.DeformableConvolution(*inputs, num_filter=8, **options), arrays, rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("moved", [0, 0.8, 4])
@pytest.mark.parametrize("options", DEFORMABLE)
def test_modulated_deformable_convolution(options, moved):
    """MXNet has its gradient on GPUs alone."""
    arrays = _deformable(options, moved, True)
    inputs = [S.Variable(name) for name in arrays]
    symbol = C.ModulatedDeformableConvolution(*inputs, num_filter=8, **options)
    check(symbol, arrays, gradients=False, untrained=arrays, rtol=1e-4, atol=5e-6)


@pytest.mark.parametrize("options", DEFORMABLE)
def test_gradient_of_modulated_deformable_convolution(options):
    arrays = _deformable(options, 0.8, True)
    inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays.values()]
    assert torch.autograd.gradcheck(
        lambda *given: regions.modulated_deformable_convolution(*given, **options), inputs, fast_mode=True
    )
