"""Every operator of the PyTorch engine against MXNet's: values, and gradients where there are any."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
mx = pytest.importorskip("mxnet")

from gluon_attn import GluonAttnError  # noqa: E402
from gluon_attn.deploy.run.symbol_json import read_graph  # noqa: E402
from gluon_attn.deploy.run.torch_graph import build  # noqa: E402
from gluon_attn.deploy.run.torch_operators import OPERATORS, boxes, regions, sequences  # noqa: E402
from tests.deploy.run.beside_mxnet import check  # noqa: E402

S, C = mx.sym, mx.sym.contrib
x, y, z, w, i = (S.Variable(name) for name in "xyzwi")  # z: of both signs; w: weights; i: whole numbers
IMAGE, ROWS = (2, 4, 5, 6), (3, 4)
NO_GRADIENT = "sign ceil floor trunc fix rint round equal greater lesser argm arg topk one_hot shape_array size_array"
NO_GRADIENT += " batch_take contrib_SparseEmbedding"  # in MXNet, or a sparse one alone


def _case(symbol, **shapes):
    graph = read_graph(symbol.tojson())
    return pytest.param(
        symbol, shapes or dict.fromkeys(symbol.list_arguments(), ROWS), id=f"{graph.nodes[-1].operator}-{len(CASES)}"
    )


CASES = []


def case(symbol, **shapes):
    CASES.append(_case(symbol, **shapes))


# --- arithmetic ---
for _name in [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "power",
    "mod",
    "hypot",
    "equal",
    "not_equal",
    "greater",
    "lesser",
    "greater_equal",
]:
    case(getattr(S, f"broadcast_{_name}")(x, y), x=(3, 4), y=(3, 1))
for _name in ["lesser_equal", "logical_and", "logical_or", "logical_xor"]:
    case(getattr(S, f"broadcast_{_name}")(x, y), x=(3, 4), y=(1, 4))
for _symbol in (
    x + y,
    x - y,
    x * y,
    x / y,
    x**y,
    x % y,
    S.maximum(x, y),
    S.minimum(x, y),
    x == y,
    x != y,
    x > y,
    x <= y,
):
    case(_symbol, x=ROWS, y=ROWS)
for _symbol in (x + 2, x - 2, 2 - x, x * 3, x / 3, 3 / x, x**2, 2**x, x % 0.7, S.maximum(x, 1), S.minimum(x, 1)):
    case(_symbol)
for _symbol in (x > 1, x >= 1, x < 1, x <= 1, x == 1, x != 1, -x, S.add_n(x, x, x), S.identity(x), S.make_loss(x)):
    case(_symbol)
for _name in [
    "abs",
    "sign",
    "ceil",
    "floor",
    "trunc",
    "fix",
    "rint",
    "round",
    "exp",
    "log",
    "log2",
    "log10",
    "log1p",
    "expm1",
    "sqrt",
    "rsqrt",
    "cbrt",
    "rcbrt",
    "square",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "erf",
    "relu",
    "sigmoid",
    "softsign",
    "degrees",
    "radians",
    "gamma",
    "gammaln",
    "logical_not",
    "ones_like",
    "zeros_like",
    "softmin",
]:
    case(getattr(S, _name)(x))
for _name in ["arcsin", "arccos", "arctanh", "erfinv"]:
    case(getattr(S, _name)(x * 0.5))
case(S.arccosh(x + 1.5))
for _kind in ["relu", "sigmoid", "tanh", "softrelu", "softsign"]:
    case(S.Activation(z, act_type=_kind))
case(S.clip(x, 0.7, 1.2))
case(S.smooth_l1(x - 1, scalar=2.0))
case(S.hard_sigmoid(x * 4 - 4, alpha=0.3, beta=0.4))
case(S.LeakyReLU(z))
case(S.LeakyReLU(z, act_type="elu", slope=0.3))
case(S.BlockGrad(S.LeakyReLU(z, act_type="selu")))
case(S.LeakyReLU(z, act_type="gelu"))
case(S.LeakyReLU(z, w, act_type="prelu"), z=IMAGE, w=(4,))
case(C.div_sqrt_dim(x))

# --- shapes ---
for _shape in (
    (0, -1),
    (-1, 0, 0),
    (0, -2),
    (-3, 0, 0),
    (0, -4, 2, -1, 0, 0),
    (0, -4, -1, 2, -2),
    (-3, -3),
    (2, 0, -3),
):
    case(S.Reshape(x, shape=_shape), x=IMAGE)
case(S.Reshape(x, shape=(-1, 0), reverse=True), x=IMAGE)
case(S.Reshape(x, shape=(-3, 0, 0), reverse=True), x=IMAGE)
case(S.Reshape(x, shape=(-2, 0), reverse=True), x=IMAGE)
case(S.Reshape(x, shape=(0, 2, -1, -4, 0, 0), reverse=True), x=IMAGE)
case(S.Reshape(x, shape=(-2, 3, 2, -4), reverse=True), x=IMAGE)
case(S.reshape_like(x, y), x=(6, 4), y=(2, 3, 4))
case(S.reshape_like(x, y, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=3), x=(5, 6), y=(9, 2, 3))
case(S.Flatten(x), x=IMAGE)
case(S.SwapAxis(x, dim1=1, dim2=3), x=IMAGE)
case(S.transpose(x), x=IMAGE)
case(S.transpose(x, axes=(2, 0, 3, 1)), x=IMAGE)
case(S.expand_dims(x, axis=-1))
case(S.squeeze(x, axis=(1, 3)), x=(2, 1, 3, 1))
case(S.squeeze(x), x=(2, 1, 3, 1))
case(S.broadcast_to(x, shape=(0, 4)), x=(3, 1))
case(S.broadcast_axis(x, axis=1, size=4), x=(3, 1))
case(S.broadcast_like(x, y), x=(3, 1), y=(3, 4))
case(S.broadcast_like(x, y, lhs_axes=(1,), rhs_axes=(-1,)), x=(3, 1), y=(2, 7))
case(S.depth_to_space(x, 2), x=(2, 8, 2, 3))
case(S.space_to_depth(x, 2), x=(2, 3, 4, 6))
case(S.shape_array(x), x=IMAGE)
case(S.size_array(x), x=IMAGE)
case(S.slice_axis(x, axis=1, begin=1, end=-1), x=IMAGE)
case(S.slice_axis(x, axis=-1, begin=-3, end=None), x=IMAGE)
case(S.slice(x, begin=(0, None, 1), end=(1, None, -1)), x=IMAGE)
case(S.slice(x, begin=(None, 3), end=(None, 0), step=(1, -2)), x=IMAGE)
case(S.slice_like(x, y), x=IMAGE, y=(2, 3, 4, 5))
case(S.slice_like(x, y, axes=(2, -1)), x=IMAGE, y=(9, 9, 4, 5))
case(S.Group(list(S.SliceChannel(x, num_outputs=2))), x=IMAGE)
case(S.Group(list(S.SliceChannel(x, num_outputs=5, axis=2, squeeze_axis=True))), x=IMAGE)
case(S.SliceChannel(x, num_outputs=2, axis=3), x=IMAGE)
case(S.split_v2(x, 3, axis=3), x=IMAGE)
case(S.split_v2(x, (1, 4), axis=3), x=IMAGE)
case(S.Crop(x, y, num_args=2, offset=(1, 2)), x=IMAGE, y=(2, 4, 3, 3))
case(S.Crop(x, h_w=(3, 2), num_args=1, center_crop=True), x=IMAGE)
case(S.reverse(x, axis=(1, 2)), x=IMAGE)
case(S.concat(x, y, dim=-1), x=(3, 4), y=(3, 2))
case(S.stack(x, y, axis=1), x=ROWS, y=ROWS)
case(S.tile(x, reps=(2, 1, 3)))
case(S.repeat(x, repeats=2, axis=1))
case(S.repeat(x, repeats=2))
case(S.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 0, 3), constant_value=0.5), x=IMAGE)
case(S.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 0, 3)), x=IMAGE)
case(S.Pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 0, 3)), x=IMAGE)
case(S.where(x > 1, x, y), x=ROWS, y=ROWS)
case(S.where(i, x, y), i=(3,), x=ROWS, y=ROWS)
case(S.take(x, i), x=(5, 4), i=(2, 3))
case(S.take(x, i, axis=1, mode="wrap"), x=IMAGE, i=(3,))
case(S.Embedding(i, w, input_dim=5, output_dim=4), i=(2, 3), w=(5, 4))
case(S.pick(x, i), x=(3, 4), i=(3,))
case(S.pick(x, i, axis=0, keepdims=True), x=(3, 4), i=(4,))
case(S.gather_nd(x, i), x=(5, 6), i=(2, 7))
case(S.one_hot(i, depth=5, on_value=2.0), i=(2, 3))
case(S.broadcast_add(x, S.arange(4)))
case(S.broadcast_add(x, S.arange(2, 10, 2)))
case(S.broadcast_add(x, S.zeros((1, 4))))
case(S.broadcast_add(x, S.ones((1, 4))))
case(S.broadcast_add(x, S.full((1, 4), 3.0)))
case(S.dot(x, S.eye(4, 5, 1)))
case(x + S.zeros((0, 4)))  # a side of 0 is inferred: the batch
case(C.arange_like(x, axis=1))
case(C.arange_like(x, start=1, step=2))

# --- sums, products, orders ---
for _name in ["sum", "mean", "max", "min", "prod", "nansum"]:
    for _options in ({}, {"axis": 1}, {"axis": (2, 3), "keepdims": True}, {"axis": 1, "exclude": True}):
        case(getattr(S, _name)(x, **_options), x=IMAGE)
case(S.norm(x, axis=1), x=IMAGE)
case(S.norm(x, ord=1, axis=(2, 3), keepdims=True), x=IMAGE)
case(S.norm(x))
case(S.cumsum(x, axis=1))
for _name in ["max", "min"]:  # of equals each has the whole gradient
    case(getattr(S, _name)(S.concat(x, x, dim=2), axis=2, keepdims=True), x=IMAGE)
case(S.linalg.gemm(x, y, z, transpose_b=True, alpha=0.5, beta=2.0), x=(2, 3, 4), y=(2, 5, 4), z=(2, 3, 5))
case(S.linalg.syrk(x, alpha=0.5), x=(2, 3, 4))
case(S.linalg.syrk(x, transpose=True), x=(2, 3, 4))
for _a, _b in ((False, False), (True, False), (False, True), (True, True)):
    _x, _y = (2, 4, 3) if _a else (2, 3, 4), (2, 5, 4) if _b else (2, 4, 5)
    case(S.batch_dot(x, y, transpose_a=_a, transpose_b=_b), x=_x, y=_y)
    case(S.dot(x, y, transpose_a=_a, transpose_b=_b), x=_x[1:], y=_y[1:])
    case(S.linalg.gemm2(x, y, transpose_a=_a, transpose_b=_b, alpha=0.5), x=_x, y=_y)
case(S.dot(x, y), x=(2, 3, 4), y=(4, 5))
case(S.softmax(x, axis=1), x=IMAGE)
case(S.softmax(x, temperature=2.5))
case(S.softmax(x, S.Cast(i + 1, dtype="int32"), axis=1, use_length=True), x=(3, 4), i=(3,))
case(S.log_softmax(x, axis=1), x=IMAGE)
case(S.SoftmaxActivation(x, mode="channel"), x=IMAGE)
case(S.SoftmaxActivation(x))
case(S.argmax(x, axis=1), x=IMAGE)
case(S.argmin(x, axis=1, keepdims=True), x=IMAGE)
case(S.argmax_channel(x))
case(S.sort(x, axis=1, is_ascend=False))
case(S.argsort(x, axis=0))
case(S.topk(x, k=2, ret_typ="both"))
case(S.topk(x, k=2, is_ascend=True))
case(S.topk(x, k=2, axis=1, ret_typ="mask"), x=IMAGE)
case(S.Cast(x * 3, dtype="int32"))

# --- layers ---
case(S.FullyConnected(x, w, y, num_hidden=3), x=IMAGE, w=(3, 120), y=(3,))
case(S.FullyConnected(x, w, num_hidden=3, no_bias=True, flatten=False), x=IMAGE, w=(3, 6))
case(S.Convolution(x, w, y, kernel=(3, 2), num_filter=6, stride=(2, 1), pad=(1, 2)), x=IMAGE, w=(6, 4, 3, 2), y=(6,))
case(
    S.Convolution(x, w, kernel=(3, 3), num_filter=6, dilate=(2, 1), num_group=2, no_bias=True), x=IMAGE, w=(6, 2, 3, 3)
)
case(S.Convolution(x, w, kernel=(3,), num_filter=2, no_bias=True, pad=(1,)), x=(2, 4, 5), w=(2, 4, 3))
case(
    S.Convolution(x, w, kernel=(2, 2, 2), num_filter=2, no_bias=True, stride=(1, 2, 1)),
    x=(2, 4, 3, 4, 5),
    w=(2, 4, 2, 2, 2),
)
case(
    S.Deconvolution(x, w, kernel=(3, 3), num_filter=6, stride=(2, 2), pad=(1, 1), adj=(1, 0), num_group=2),
    x=IMAGE,
    w=(4, 3, 3, 3),
)
for _kind in ("max", "avg", "sum"):
    for _convention in ("valid", "full"):
        case(
            S.Pooling(x, kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type=_kind, pooling_convention=_convention),
            x=(2, 3, 6, 7),
        )
    case(S.Pooling(x, kernel=(2, 2), pool_type=_kind, global_pool=True), x=IMAGE)
    case(S.Pooling(x, kernel=(2,), stride=(2,), pool_type=_kind), x=(2, 4, 7))
case(
    S.Pooling(
        x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False, pooling_convention="full"
    ),
    x=(2, 3, 6, 7),
)
case(S.Pooling(x, kernel=(2, 2, 2), stride=(1, 2, 1), pool_type="avg"), x=(2, 4, 3, 4, 5))
case(S.Pooling(x, kernel=(3, 3), pad=(2, 2), pool_type="max"), x=IMAGE)
for _power in (1, 2, 3):
    case(S.Pooling(x, kernel=(2, 3), stride=(2, 2), pool_type="lp", p_value=_power), x=IMAGE)
case(S.Pooling(S.round(x * 2) + x * 0, kernel=(1, 1), global_pool=True, pool_type="max"), x=IMAGE)  # equals
for _size in (1, 3, (2, 5)):
    case(C.AdaptiveAvgPooling2D(x, output_size=_size), x=IMAGE)
case(C.BilinearResize2D(x, height=9, width=4), x=IMAGE)
case(C.BilinearResize2D(x, height=9, width=4, align_corners=False), x=IMAGE)
case(C.BilinearResize2D(x, y, mode="like"), x=IMAGE, y=(2, 1, 8, 8))
case(C.BilinearResize2D(x, scale_height=2.0, scale_width=2.0), x=IMAGE)
for _mode in ("odd_scale", "to_even_down", "to_even_up", "to_odd_down", "to_odd_up"):
    case(C.BilinearResize2D(x, scale_height=2.0, scale_width=2.0, mode=_mode), x=IMAGE)
case(S.UpSampling(x, scale=2, sample_type="nearest"), x=IMAGE)
for _mode in ("concat", "sum"):
    case(S.UpSampling(x, y, scale=2, sample_type="nearest", num_args=2, multi_input_mode=_mode), x=IMAGE, y=IMAGE)
case(S.UpSampling(x, y, scale=2, sample_type="nearest", num_args=2), x=(2, 4, 6, 8), y=(2, 3, 3, 4))
case(S.UpSampling(x, w, scale=2, sample_type="bilinear", num_filter=4), x=IMAGE, w=(4, 1, 4, 4))
case(S.InstanceNorm(x, w, y), x=IMAGE, w=(4,), y=(4,))
case(S.LayerNorm(x, w, y), x=IMAGE, w=(6,), y=(6,))
case(S.LayerNorm(x, w, y, axis=1), x=IMAGE, w=(4,), y=(4,))
case(S.GroupNorm(x, w, y, num_groups=2), x=IMAGE, w=(2,), y=(2,))
for _mode in ("instance", "channel", "spatial"):
    case(S.L2Normalization(x, mode=_mode, eps=1e-3), x=IMAGE)
case(S.LRN(x, nsize=3, alpha=0.1), x=IMAGE)
case(S.Dropout(x, p=0.5))


# --- grids, pictures, attention ---
case(S.BilinearSampler(x, w * 2 - 2), x=IMAGE, w=(2, 2, 4, 3))
case(S.GridGenerator(x, transform_type="affine", target_shape=(3, 4)), x=(2, 6))
case(S.GridGenerator(z, transform_type="warp"), z=(2, 2, 4, 5))
_options = dict(target_shape=(3, 7), transform_type="affine", sampler_type="bilinear")
case(S.SpatialTransformer(x, z, **_options), x=IMAGE, z=(2, 6))
case(S.image.normalize(x, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)), x=(2, 3, 4, 5))
case(S.image.normalize(x, mean=0.1, std=0.4), x=(3, 4, 5))
case(S.image.to_tensor(S.Cast(x * 100, dtype="uint8")), x=(2, 4, 5, 3))
case(C.interleaved_matmul_selfatt_qk(x, heads=2), x=(5, 3, 2 * 3 * 4))
case(C.interleaved_matmul_selfatt_valatt(x, y, heads=2), x=(5, 3, 2 * 3 * 4), y=(6, 5, 5))
case(C.interleaved_matmul_encdec_qk(x, y, heads=2), x=(4, 3, 2 * 4), y=(5, 3, 2 * 2 * 4))
case(C.interleaved_matmul_encdec_valatt(x, y, heads=2), x=(5, 3, 2 * 2 * 4), y=(6, 4, 5))

# --- what few networks use ---
case(C.gradientmultiplier(x, scalar=-0.3))
case(C.quadratic(x, a=2.0, b=-3.0, c=0.5))
case(C.round_ste(z * 5), z=ROWS)
case(C.sign_ste(z), z=ROWS)
case(S.nanprod(x, axis=1))
case(S.Group(list(S.moments(x, axes=(0, 2)))), x=IMAGE)
case(S.Group(list(S.moments(x, axes=(1,), keepdims=True))), x=IMAGE)
case(S.batch_take(x, S.Cast(i, dtype="int32")), x=(3, 4), i=(3,))
case(S.diag(x, k=1), x=(4, 5))
case(S.diag(x, k=-1), x=(3,))
case(S.diag(x, axis1=1, axis2=3), x=IMAGE)
case(S.scatter_nd(x, S.concat(i, S.arange(3).reshape((1, 3)), dim=0), shape=(5, 6)), x=(3,), i=(1, 3))
case(C.SparseEmbedding(i, w, input_dim=5, output_dim=4), i=(2, 3), w=(5, 4))


def _arrays(symbol, shapes):
    """Positive numbers away from kinks, and whole ones for indices."""
    rng = np.random.RandomState(sum(map(ord, symbol.tojson())) % 2**31)
    arrays = {}
    for name, shape in shapes.items():
        values = rng.permutation(int(np.prod(shape))) / np.prod(shape) + 0.513
        arrays[name] = rng.randint(0, 4, shape) if name == "i" else (values - (name == "z")).reshape(shape)
    return {name: array.astype("float32") for name, array in arrays.items()}


@pytest.mark.parametrize("symbol, shapes", CASES)
def test_values_and_gradients(symbol, shapes):
    arrays = _arrays(symbol, shapes)
    weights = [name for name in arrays if name in "wy" and "w" in arrays]
    check(symbol, arrays, not _steps(read_graph(symbol.tojson())), untrained="i", weights=weights)


def _steps(graph):
    """Whether the operator is a staircase, a loss, or random in training."""
    operator = graph.nodes[-1].operator.strip("_").replace("broadcast_", "")
    return operator.startswith(tuple(NO_GRADIENT.split())) or operator in ("make_loss", "Dropout", "sort", "Cast")


def test_every_operator_has_a_case():
    tested = {node.operator for param in CASES for node in read_graph(param.values[0].tojson()).nodes}
    elsewhere = {
        "BatchNorm",
        "_contrib_SyncBatchNorm",
        "BlockGrad",
        "MakeLoss",
        "amp_cast",
        "SoftmaxOutput",
        "LinearRegressionOutput",
        "LogisticRegressionOutput",
        "MAERegressionOutput",
        "amp_multicast",
        "negative",
        "_contrib_BatchNormWithReLU",
        *boxes.OPERATORS,  # each in a file of its own
        *regions.OPERATORS,
        *sequences.OPERATORS,
    }
    same = {name for name in OPERATORS if name.startswith(("elemwise_", "_")) and not name.startswith("_contrib")}
    assert set(OPERATORS) - tested - elsewhere - same == set()


def _normalised(shape, train, **options):
    bn = mx.gluon.nn.BatchNorm(in_channels=shape[options.get("axis", 1)], **options)
    bn.initialize()
    rng = np.random.RandomState(3)
    for parameter in bn.collect_params().values():
        parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
    module = build(
        read_graph(bn(mx.sym.Variable("x")).tojson()), {n: p.data().asnumpy() for n, p in bn.collect_params().items()}
    ).train(train)
    return bn, module, rng.uniform(-2, 3, shape).astype("float32")


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (4, 3), (1, 3, 1, 1)])
@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.7, "epsilon": 1e-3}, {"scale": False}, {"use_global_stats": True}, {"axis": -1}]
)
def test_batch_norm(options, shape, train):
    bn, module, images = _normalised(shape, train, **options)
    given = mx.nd.array(images)
    given.attach_grad()
    with mx.autograd.record(train_mode=train):
        result = bn(given)
        loss = (result * result).sum()
    loss.backward(train_mode=train)
    data = torch.tensor(images, requires_grad=True)
    found = module(data)
    found.square().sum().backward()
    np.testing.assert_allclose(found.detach().numpy(), result.asnumpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(data.grad.numpy(), given.grad.asnumpy(), rtol=1e-4, atol=1e-4)
    state = module.state_dict()
    for name, parameter in bn.collect_params().items():
        if name.endswith("gamma") and options.get("scale") is False:
            continue  # MXNet writes a 1 into it when it runs
        np.testing.assert_allclose(state[name].numpy(), parameter.data().asnumpy(), rtol=1e-5, atol=1e-6)
        if parameter.grad_req != "null":
            slope = module.get_parameter(name).grad.numpy()
            np.testing.assert_allclose(slope, parameter.grad().asnumpy(), rtol=1e-4, atol=1e-4)
        else:
            assert name not in dict(module.named_parameters()) or not module.get_parameter(name).requires_grad


@pytest.mark.parametrize("mean, mxnet_is_off_by, torch_at_most", [(0, 1e-5, 1e-6), (10, 3e-5, 3e-6)])
def test_batch_norm_in_float32_is_nearer_to_float64_than_mxnets(mean, mxnet_is_off_by, torch_at_most):
    images = (np.random.RandomState(0).normal(mean, 1, (16, 4, 56, 56))).astype("float32")
    exact, axes = images.astype("float64"), (0, 2, 3)
    exact = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    bn = mx.gluon.nn.BatchNorm(in_channels=4)
    bn.initialize()
    values = {name: p.data().asnumpy() for name, p in bn.collect_params().items()}
    module = build(read_graph(bn(mx.sym.Variable("x")).tojson()), values).train()
    with mx.autograd.record():
        theirs = bn(mx.nd.array(images)).asnumpy()
    assert abs(theirs - exact).max() > mxnet_is_off_by
    assert abs(module(torch.from_numpy(images)).detach().numpy() - exact).max() < torch_at_most


@pytest.mark.parametrize("train", [False, True])
def test_batch_norm_with_relu(train):
    arrays = {name: np.random.RandomState(1).rand(3).astype("float32") for name in ("g", "b", "mean", "var")}
    made = {}
    for kind in (C.BatchNormWithReLU, S.BatchNorm):
        symbol = kind(x, *(S.Variable(name) for name in arrays), fix_gamma=False)
        made[kind] = build(read_graph(symbol.tojson()), arrays).train(train)
    with_relu, without = made.values()
    data = torch.randn(4, 3, 2, 5)
    found = with_relu(data)
    assert torch.equal(found, without(data).relu()) and (found == 0).any()
    assert all(torch.equal(a, b) for a, b in zip(with_relu.state_dict().values(), without.state_dict().values()))


@pytest.mark.parametrize("like", [False, True])
def test_random_numbers_are_drawn_anew(like):
    data = torch.zeros(200, 50)
    for kind, spread in (("normal", 0.5), ("uniform", 0.5 / 12**0.5)):
        options = {"loc": 2, "scale": 0.5} if kind == "normal" else {"low": 1.75, "high": 2.25}
        draw = getattr(S.random, f"{kind}_like") if like else getattr(S, f"random_{kind}")
        symbol = draw(x, **options) if like else draw(shape=(200, 50), **options)
        module = build(read_graph((symbol + x).tojson()), {})
        first = module(data)
        assert first.shape == (200, 50) and not torch.equal(first, module(data))
        assert abs(first.mean() - 2) < 0.02 and abs(first.std() - spread) < 0.02 and not list(module.state_dict())


def test_dropout_drops_in_training_alone():
    module = build(read_graph(S.Dropout(x, p=0.25, axes=(2,)).tojson()), {})
    ones = torch.ones(40, 50, 3)
    assert torch.equal(module(ones), ones)
    kept = module.train()(ones)
    assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs((kept == 0).float().mean() - 0.25) < 0.05 and torch.equal(kept[..., 0], kept[..., 2])
    always = build(read_graph(S.Dropout(x, p=0.25, mode="always").tojson()), {})
    assert (always(ones) == 0).any()


@pytest.mark.parametrize(
    "old, new", [("_Plus", "elemwise_add"), ("_Minus", "elemwise_sub"), ("_PlusScalar", "_plus_scalar")]
)
def test_names_of_old_files(old, new):
    text = (x + y if new.startswith("elemwise_a") else x - y if new.startswith("elemwise") else x + 3).tojson()
    assert f'"{new}"' in text
    given = [torch.ones(2), torch.full((2,), 5.0)][: 1 if "Scalar" in old else 2]
    assert torch.equal(build(read_graph(text.replace(new, old)), {})(*given), build(read_graph(text), {})(*given))


def test_floats_keep_the_precision_of_the_module():
    half = S.FullyConnected(S.Cast(x, dtype="float16"), S.Variable("w"), no_bias=True, num_hidden=2)
    module = build(read_graph(S.Cast(half, dtype="float32").tojson()), {"w": np.ones((2, 3), "float16")})
    assert module(torch.ones(1, 3)).dtype == torch.float32
    assert module.double()(torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64
    several = S.amp_multicast(x, y, num_outputs=2)
    assert torch.equal(
        build(read_graph((several[0] + several[1]).tojson()), {})(torch.ones(1), torch.ones(1)), torch.full((1,), 2.0)
    )


@pytest.mark.parametrize("kernel, target", [(4, (14, 18)), (4, (13, 17)), (3, (14, 17))])
def test_deconvolution_to_a_shape(kernel, target):
    """MXNet infers it and, with oneDNN, cannot run it; here it is the window of the whole that its formula says."""
    options = dict(kernel=(kernel,) * 2, stride=(2, 2), num_filter=5, no_bias=True)
    data, weight = torch.randn(2, 3, 7, 9), np.random.RandomState(0).randn(3, 5, kernel, kernel).astype("float32")
    aimed, whole = (
        build(read_graph(S.Deconvolution(x, w, **options, **given).tojson()), {"w": weight})(data)
        for given in ({"target_shape": target}, {})
    )
    first = [(side - t + 1) // 2 for side, t in zip(whole.shape[2:], target)]
    expected = whole[:, :, first[0] : first[0] + target[0], first[1] : first[1] + target[1]]
    assert torch.allclose(aimed, expected, atol=1e-5)


def test_block_grad_and_losses():
    data = torch.ones(3, 4, requires_grad=True)
    assert not build(read_graph(S.BlockGrad(x).tojson()), {})(data).requires_grad
    for name, value in (
        ("Softmax", 0.25),
        ("LinearRegression", 1),
        ("MAERegression", 1),
        ("LogisticRegression", 0.731059),
    ):
        output = build(read_graph(getattr(S, f"{name}Output")(x, name="loss").tojson()), {})(data)
        np.testing.assert_allclose(output.detach().numpy(), value, rtol=1e-5)


@pytest.mark.parametrize(
    "symbol, said",
    [
        (S.khatri_rao(x, name="here"), "'here' in the graph.*'khatri_rao'"),
        (S.Pooling(x, kernel=(2, 2), pooling_convention="same", name="here"), "at 'here' .*'same'.*'valid', 'full'"),
        (S.Convolution(x, kernel=(1, 1), num_filter=3, layout="NHWC", name="here"), "at 'here' .*'NHWC'.*'NCHW'"),
        (S.Reshape(x, shape=(-4, 1, 1, -2), reverse=True, name="here"), "Reshape at 'here': The code -4"),
        (
            S.Pooling(x, kernel=(2, 2), stride=(3, 3), pad=(1, 1), pooling_convention="full", name="here"),
            "Pooling at 'here': Kernel .* nothing but padding",
        ),
        (S.BatchNorm(x, output_mean_var=True, name="here")[0], "output_mean_var=True"),
    ],
)
def test_what_is_not_there_is_said(symbol, said):
    arrays = {name: np.ones(3, "float32") for name in symbol.list_inputs() if name != "x"}
    with pytest.raises(GluonAttnError, match=said):
        build(read_graph(symbol.tojson()), arrays)(torch.ones(1, 3, 4, 4))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_errors_of_pytorch_itself_say_where(copied):
    symbol = S.FullyConnected(S.LeakyReLU(x, name="a"), w, num_hidden=2, no_bias=True, name="deep.er")
    module = copied(build(read_graph(symbol.tojson()), {"w": np.ones((2, 3), "float32")}))
    assert module(torch.ones(1, 3)).shape == (1, 2)
    with pytest.raises(RuntimeError, match="^FullyConnected at 'deep.er': .*shapes cannot be multiplied"):
        module(torch.ones(1, 4))


def test_errors_of_conversion_say_where():
    text = (x + S.zeros((1,), dtype="float16", name="here")).tojson().replace("float16", "float8")
    with pytest.raises(GluonAttnError, match="^_zeros at 'here': Unknown type 'float8'"):
        build(read_graph(text), {})


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "%", "**", ">", "<=", "=="])
@pytest.mark.parametrize("other", [2, 2.5, -3, "y"])
def test_whole_numbers_stay_whole(operator, other):
    """Shapes are such numbers, and are reckoned with."""
    symbol = eval(f"x {operator} other", {"x": x, "other": y if other == "y" else other})
    arrays = [np.array([7, -7, 5, 1], "int64"), np.array([2, 2, -3, 4], "int64")]
    inputs = symbol.list_arguments()
    wanted = symbol.bind(mx.cpu(), {n: mx.nd.array(a, dtype=a.dtype) for n, a in zip(inputs, arrays)}).forward()[0]
    if operator == "**" and other in (-3, "y"):
        return  # powers below 1 are 0 or infinite
    found = build(read_graph(symbol.tojson()), {})(*map(torch.from_numpy, arrays[: len(inputs)]))
    assert found.dtype == torch.int64 and found.tolist() == wanted.asnumpy().tolist()


def test_mean_of_whole_numbers():
    data = np.array([7, -7, 5], "int64")
    wanted = S.mean(x).bind(mx.cpu(), {"x": mx.nd.array(data, dtype="int64")}).forward()[0].asnumpy()
    found = build(read_graph(S.mean(x).tojson()), {})(torch.from_numpy(data))
    assert found.dtype == torch.int64 and found.tolist() == wanted.tolist()
