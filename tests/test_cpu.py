"""The CPU's words for slow operators: the same outputs, gradients and running statistics, and no reference kernel."""

from __future__ import annotations

import contextlib
import json
import os
import threading

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn import cpu, matrix_units
from gluon_attn.attention.aa import AugmentedConv
from gluon_attn.attention.bam import BAM
from gluon_attn.attention.lip import InstanceNorm
from gluon_attn.attention.sk import SelectiveKernel
from gluon_attn.deploy.export.named_graph import named_graph
from gluon_attn.deploy.export.trace import trace
from gluon_attn.layers import GlobalAvgPool, GroupedConv2D, PlaneConv2D, batch_norm, conv, relu6, sequence
from tests.helpers import build, images, kernels_of, needs_bfloat16, randomise

needs_matrix_units = pytest.mark.skipif(matrix_units.missing() != "", reason=f"matrix units: {matrix_units.missing()}")


def _training_step(block, *inputs):
    """Output, gradients by the inputs and parameters, and all parameters after one recorded pass."""
    arrays = [mx.nd.array(x) for x in inputs]
    for array in arrays:
        array.attach_grad()
    block.hybridize(static_alloc=True, static_shape=True)
    with mx.autograd.record():
        y = block(*arrays)
        loss = (y * mx.nd.array(images(*y.shape, seed=9))).sum()
    loss.backward()
    found = {"output": y, **{f"input{i}": a.grad for i, a in enumerate(arrays)}}
    for path, p in block._collect_params_with_prefix().items():
        found[f"{path} value"] = p.data()
        if p.grad_req != "null":
            found[f"{path} gradient"] = p.grad()
    return {name: value.asnumpy() for name, value in found.items()}


def _check_same(make, *inputs, tolerance=2e-4):
    with cpu.inference_graphs():
        expected = _training_step(make(), *inputs)
    found = _training_step(make(), *inputs)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        # Not below 1: the gradient of a bias before a BatchNorm is exactly zero but for rounding.
        scale = max(abs(expected[name]).max(), 1)
        np.testing.assert_allclose(value / scale, expected[name] / scale, rtol=0, atol=tolerance, err_msg=name)


SHAPES = [(2, 32, 7, 9), (1, 32, 5, 5), (3, 32, 1, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gate", ["se", "eca", "cbam", "ms_cam", "inv_cbam"])
def test_gates_keep_values_gradients_and_statistics(gate, shape):
    options = {"reduction": 4} if gate != "eca" else {}
    _check_same(lambda: randomise(gluon_attn.create_gate(gate, 32, **options)), images(*shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fuse", ["aff", "iaff"])
def test_fusions_keep_values_gradients_and_statistics(fuse, shape):
    make = lambda: randomise(gluon_attn.create_fuse(fuse, 32, reduction=4))  # noqa: E731
    _check_same(make, images(*shape), images(*shape, seed=1), tolerance=1e-3)  # BN over two values amplifies


@pytest.mark.parametrize("name", ["coordatt", "gc", "simam", "triplet", "ge_minus"])
def test_gates_of_every_kind(name):
    _check_same(lambda: randomise(gluon_attn.create_gate(name, 16)), images(2, 16, 6, 5))


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_selective_kernels(branches):
    _check_same(lambda: randomise(SelectiveKernel(16, branches=branches, minimum=4)), images(2, 16, 6, 5))


def test_bam():
    _check_same(lambda: randomise(BAM(16, reduction=4)), images(2, 16, 9, 7))


@pytest.mark.parametrize("reduce", [1, 2])
def test_attention_augmented_convolutions(reduce):
    options = dict(map_size=6, heads=2, kappa=0.5, upsilon=0.5, reduce=reduce)
    _check_same(lambda: randomise(AugmentedConv(16, **options)), images(2, 16, 6, 6))


def test_a_relu_with_an_end():
    x = np.array([[-np.inf, -2, -1e-6, 1e-6, 3, 5.9999, 6.0001, 1e6, np.inf]], "float32")
    net = build("cifar_mobilenet", classes=3)
    block = mx.gluon.nn.HybridLambda(lambda F, z: relu6(F, net, z))
    _check_same(lambda: block, x, tolerance=0)
    assert block(mx.nd.array(x)).asnumpy().tolist() == np.clip(x, 0, 6).tolist()
    nothing = mx.nd.full((2, 32, 4, 4), float("nan"))
    assert np.isnan(block(nothing).asnumpy()).all()  # as `clip` has it, and not as oneDNN's ReLU
    words = {node["op"] for node in json.loads(block(mx.sym.Variable("x")).tojson())["nodes"]}
    with cpu.inference_graphs():
        plain = {node["op"] for node in json.loads(block(mx.sym.Variable("x")).tojson())["nodes"]}
    assert "clip" in plain and "clip" not in words


@pytest.mark.parametrize("groups", [8, 4, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_grouped_convolutions_keep_values_and_gradients(shape, stride, groups):
    _check_same(lambda: randomise(conv(32, 64, 3, stride, groups=groups, bias=True)), images(*shape))


@pytest.mark.parametrize("groups, channels, wide", [(8, 32, 2), (4, 32, 2), (8, 64, 4), (6, 24, 6), (32, 384, 8)])
def test_narrow_groups_are_merged_until_they_fill_a_block(groups, channels, wide):
    weight = mx.nd.array(images(channels, channels // groups, 1, 1))
    merged, found = cpu.in_wide_groups(mx.nd, weight, weight.shape, groups)
    assert (found, merged.shape) == (wide, (channels, channels // wide, 1, 1))
    x = mx.nd.array(images(1, channels, 2, 3))
    options = dict(kernel=(1, 1), num_filter=channels, no_bias=True)
    expected = mx.nd.Convolution(x, weight, num_group=groups, **options).asnumpy()
    np.testing.assert_allclose(
        mx.nd.Convolution(x, merged, num_group=found, **options).asnumpy(), expected, rtol=1e-5, atol=1e-5
    )


def test_narrow_groups_train_after_an_inference_in_plain_words():
    block, x = randomise(conv(32, 32, 3, groups=8)), mx.nd.array(images(2, 32, 9, 9))
    with cpu.inference_graphs():
        expected = block(x).asnumpy()
    with mx.autograd.record():
        y = block(x)
    y.backward()
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("planes, kernel", [(1, 3), (2, 1), (2, 7), (3, 5), (2, 17), (2, 19)])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 23])
def test_planes_are_convolved_in_rows(planes, kernel, width):
    _check_same(lambda: randomise(PlaneConv2D(planes, kernel)), images(2, planes, 5, width), tolerance=2e-6)


@pytest.mark.parametrize("kernel", [6, 0, -3])
def test_a_kernel_that_changes_the_size_of_a_plane_is_refused(kernel):
    with pytest.raises(gluon_attn.GluonAttnError, match=f"kernel={kernel} is no odd number"):
        PlaneConv2D(2, kernel)


def test_planes_in_the_words_of_inference_and_after_those_of_an_export():
    block, x = randomise(PlaneConv2D(2, 7)), mx.nd.array(images(2, 2, 9, 20))
    with cpu.inference_graphs():
        expected = block(x).asnumpy()
    with cpu.inference_graphs("forward"):
        assert "slice_like" in _operators(block)
        np.testing.assert_allclose(block(x).asnumpy(), expected, rtol=1e-5, atol=1e-5)
    with mx.autograd.record():
        y = block(x)
    y.backward()
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-5, atol=1e-5)


OVER = {"positions": (2, 5, 1, 1), "channels": (2, 1, 6, 7), "height": (2, 5, 1, 7), "width": (2, 5, 6, 1)}


@pytest.mark.parametrize("operation", ["mul", "add", "sub"])
@pytest.mark.parametrize("over", OVER)
def test_a_weight_is_repeated_over_what_it_has_one_value_for(over, operation):
    x, weight = images(2, 5, 6, 7), images(*OVER[over], seed=1)
    block = mx.gluon.nn.HybridLambda(lambda F, x, weight: cpu.broadcast(F, net, operation, x, weight, over))
    net = build("cifar_mobilenet", classes=3)
    expected = {"mul": np.multiply, "add": np.add, "sub": np.subtract}[operation](x, weight)
    found = set()
    for words in (None, "plain", "forward"):
        with cpu.inference_graphs(words) if words else contextlib.nullcontext():
            found.add(frozenset(_operators(block, 2)))
            y = block(mx.nd.array(x), mx.nd.array(weight)).asnumpy()
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    assert len(found) == 3, "each in words of its own"


def test_global_mean_and_its_gradient():
    x = mx.nd.array(images(3, 5, 7, 4))
    x.attach_grad()
    with mx.autograd.record():
        y = GlobalAvgPool()(x)
    y.backward(mx.nd.array(images(3, 5, 1, 1, seed=1)))
    np.testing.assert_allclose(y.asnumpy(), x.asnumpy().mean((2, 3), keepdims=True), rtol=1e-5, atol=1e-6)
    expected = np.broadcast_to(images(3, 5, 1, 1, seed=1) / 28, (3, 5, 7, 4))
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-5, atol=1e-7)


def _operators(net, inputs=1):
    symbols = [mx.sym.Variable(f"data{i}") for i in range(inputs)]
    return {node["op"] for node in json.loads(net(*symbols).tojson())["nodes"]}


def test_only_networks_that_train_on_a_cpu_get_the_other_words():
    net = gluon_attn.get_model("cifar_se_resnext38_32x4d")
    assert any(isinstance(block, GroupedConv2D) for block in net.stages[0][0].body)
    assert not {"tile", "batch_dot"} & _operators(net), "no parameters yet: only shapes are asked for"
    net.initialize()
    assert {"tile", "batch_dot"} <= _operators(net)
    with cpu.inference_graphs():
        assert not {"tile", "batch_dot"} & _operators(net)


def test_wide_and_plain_convolutions_stay_what_they_were():
    assert not isinstance(conv(64, 64, 3), GroupedConv2D)
    assert not isinstance(conv(3, 64, 3), GroupedConv2D)
    assert not isinstance(conv(512, 512, 3, groups=32), GroupedConv2D)
    assert not isinstance(conv(64, 64, 3, groups=64), GroupedConv2D)


STEP = """
from gluon_attn import matrix_units
matrix_units.take("{dtype}", "{amx}")
assert matrix_units.taken() == ("{amx}" == "auto"), matrix_units.words()
import mxnet as mx
import gluon_attn
from gluon_attn.catalogue.names import SPECS
from gluon_attn.cost.jobs import training_step
from gluon_attn.devices import prepare_arithmetic
from tests.helpers import shallow, smallest
prepare_arithmetic("{dtype}", [mx.cpu()])
names = sorted({{smallest(spec.attention) for spec in SPECS.values()}})
more = ["cifar_aff_resnext38_32x4d", "cifar_densenet40_k12", "resnet18", "abn_resnet18"]
for name in {names} or [*more, *names]:
    arch, side = shallow(name), 32 if name.startswith("cifar") else 64
    if side == 64 and "map_size" in SPECS[name].arch:
        arch["map_size"] = (16, 8, 4, 2)
    # 24 channels fill a block of 8, and none of 16: a convolution to so many classes has another layout than the rest.
    training_step(gluon_attn.get_model(name, **{{"classes": 24, **arch}}), 8, side)()
"""


@pytest.mark.skipif(os.environ.get("MXNET_MKLDNN_ENABLED") == "0", reason="oneDNN is switched off")
@pytest.mark.skipif(not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet is built without oneDNN")
@pytest.mark.parametrize(
    ("dtype", "amx"),
    [
        pytest.param("float32", "off", marks=pytest.mark.ci),  # imports everything anew, as all do
        pytest.param("bfloat16", "off", marks=[pytest.mark.ci, needs_bfloat16]),
        pytest.param("bfloat16", "auto", marks=[pytest.mark.slow, needs_matrix_units]),  # seen in an emulator alone
    ],
)
def test_no_reference_kernel_in_a_training_step(dtype, amx):
    kernels = kernels_of(STEP.format(dtype=dtype, amx=amx, names=[]))
    kinds = ("batch_normalization", "convolution", "pooling_v2")
    assert not [(kind, kernel) for kind, kernel in kernels if kind in kinds and "ref" in kernel]
    amx_convolutions = [
        kernel for kind, kernel in kernels if kind == "convolution" and "avx512_core_amx_bf16" in kernel
    ]
    assert bool(amx_convolutions) == (amx == "auto")


@pytest.mark.slow  # seen in an emulator alone
@needs_matrix_units
@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d", "aff_resnet50", "iaff_resnext50_32x4d"])
def test_no_reference_kernel_in_a_training_step_on_matrix_units(name):
    kernels = kernels_of(STEP.format(dtype="bfloat16", amx="auto", names=[name]))
    assert any(kind == "convolution" and "avx512_core_amx_bf16" in kernel for kind, kernel in kernels)
    assert not [(kind, kernel) for kind, kernel in kernels if kernel.startswith(("bnorm_ref", "ref:any"))]


@pytest.mark.parametrize("sizes", [(16, 16, 3), (16, 32, 1), (32, 16, 3), (8, 16, 1), (32, 48, 1)])
def test_a_convolution_between_plain_layouts_is_the_same(sizes, monkeypatch):
    """Where matrix units have no kernel its neighbours' BatchNorm gets the plain layout; nowhere else is it touched."""
    before, after, kernel = sizes
    x = images(4, before, 1 if kernel == 1 else 6, 1 if kernel == 1 else 5)

    def block():
        return randomise(
            sequence(conv(before, after, kernel, of="pixel" if kernel == 1 else "maps"), batch_norm(after))
        )

    plain = block()
    assert "slice_axis" not in _operators(plain)
    monkeypatch.setattr(matrix_units, "taken", lambda: True)
    fenced = block()
    with cpu.inference_graphs():
        assert "slice_axis" not in _operators(fenced)
    assert "slice_axis" in _operators(fenced)
    assert type(conv(64, 64, 3)) is mx.gluon.nn.Conv2D and type(conv(3, 16, 3, of="picture")) is mx.gluon.nn.Conv2D
    expected, found = _training_step(plain, x), _training_step(fenced, x)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5 * abs(value).max(), err_msg=name)


def test_a_network_trains_alike_with_and_without():
    _check_same(
        lambda: build("cifar_iaff_resnet20", layers=(1, 1, 1), classes=5), images(16, 3, 19, 17), tolerance=5e-4
    )


@pytest.mark.parametrize("gate", ["ge_minus", "simam"])
def test_gates_without_parameters_are_told_by_their_network_where_they_run(gate):
    net = build(f"cifar_{gate}_resnet20", layers=(1, 1, 1), classes=5)
    assert "batch_dot" in _operators(net) and "broadcast_sub" not in _operators(net)
    assert "batch_dot" not in _operators(gluon_attn.create_gate(gate.split("_")[0], 8)), "alone nobody knows"
    with cpu.inference_graphs():
        assert "batch_dot" not in _operators(net)
    _check_same(
        lambda: build(f"cifar_{gate}_resnet20", layers=(1, 1, 1), classes=5), images(4, 3, 19, 17), tolerance=5e-4
    )


def _gate_on_each_device(x, contexts, flags):
    gate = randomise(gluon_attn.create_gate("cbam", 16, reduction=4))
    gate.collect_params().reset_ctx(contexts)
    if flags is not None:
        gate.hybridize(**flags)
    for ctx in contexts:
        array = mx.nd.array(x, ctx=ctx)
        array.attach_grad()
        with mx.autograd.record():
            y = gate(array)
        y.backward(mx.nd.array(images(*y.shape, seed=9), ctx=ctx))
        yield {"output": y.asnumpy(), "input0": array.grad.asnumpy()}


@pytest.mark.parametrize("ties", [False, True])
def test_several_devices_and_both_ways_of_running_give_the_plain_gradients(ties):
    contexts = [mx.cpu(0), mx.cpu(1)]
    x = images(2, 16, 6, 5)
    if ties:  # of equal maxima the plain words take all, so there the first way is what the others are compared with
        x = np.round(x * 2) / 2
        expected = next(_gate_on_each_device(x, contexts, None))
    else:
        with cpu.inference_graphs():
            expected = _training_step(randomise(gluon_attn.create_gate("cbam", 16, reduction=4)), x)
    for flags in (None, {}, {"static_alloc": True}):
        for found in _gate_on_each_device(x, contexts, flags):
            for name, value in found.items():
                scale = max(abs(expected[name]).max(), 1)
                np.testing.assert_allclose(value / scale, expected[name] / scale, rtol=0, atol=2e-6)


@pytest.mark.parametrize("over, axes", [("positions", (2, 3)), ("channels", (1,)), ("height", (2,)), ("width", (3,))])
@pytest.mark.parametrize("operation", ["mul", "add"])
def test_broadcasts_along_every_axis(over, axes, operation):
    class Broadcast(mx.gluon.nn.HybridBlock):
        def __init__(self):
            super().__init__()
            self.scale = self.params.get("scale", shape=(1,), init="ones")

        def hybrid_forward(self, F, x, weight, scale):
            return cpu.broadcast(F, self, operation, F.broadcast_mul(x, scale.reshape((1, 1, 1, 1))), weight, over)

    x = images(2, 3, 4, 5)
    weight = images(*(1 if axis in axes else side for axis, side in enumerate(x.shape)), seed=1)
    _check_same(lambda: randomise(Broadcast()), x, weight)


def test_words_of_inference_are_one_threads():
    seen = []
    with cpu.inference_graphs():
        thread = threading.Thread(target=lambda: seen.append(cpu.for_inference()))
        thread.start()
        thread.join()
        assert cpu.for_inference() and seen == [False]


class Reduced(mx.gluon.nn.HybridBlock):
    """scale * x, reduced: the scale says that it runs on a CPU."""

    def __init__(self, operation, axis):
        super().__init__()
        self.operation, self.axis = operation, axis
        self.scale = self.params.get("scale", shape=(1,), init="ones")

    def hybrid_forward(self, F, x, scale):
        x = F.broadcast_mul(x, scale.reshape((1, 1, 1, 1)))
        return cpu.reduced(F, self, self.operation, x, self.axis)


@pytest.mark.parametrize("axis", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("operation", ["max", "mean"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 32, 7, 1), (3, 1, 1, 6)])
def test_maxima_and_means_over_every_axis(shape, operation, axis):
    _check_same(lambda: randomise(Reduced(operation, axis)), images(*shape), tolerance=1e-6)


@pytest.mark.parametrize("axis", [1, 2, 3, (2, 3)])
def test_the_first_of_equal_maxima_has_the_whole_gradient(axis):
    """As in PyTorch; the place by numpy's argmax, which is the first, too."""
    x = np.round(images(2, 4, 5, 6) * 2)  # few values, so many ties
    assert (x == x.max(axis, keepdims=True)).sum(axis).max() > 1
    block = Reduced("max", axis)
    block.initialize()
    block.hybridize(static_alloc=True, static_shape=True)
    array = mx.nd.array(x)
    array.attach_grad()
    with mx.autograd.record():
        y = block(array)
    gradient = images(*y.shape, seed=1)
    y.backward(mx.nd.array(gradient))
    np.testing.assert_array_equal(y.asnumpy(), x.max(axis, keepdims=True))
    axes = (axis,) if isinstance(axis, int) else axis
    rows = np.moveaxis(x, axes, range(-len(axes), 0))
    flat = rows.reshape(*rows.shape[: -len(axes)], -1)
    first = np.arange(flat.shape[-1]) == flat.argmax(-1)[..., None]
    expected = np.moveaxis(first.reshape(rows.shape), range(-len(axes), 0), axes) * gradient
    np.testing.assert_array_equal(array.grad.asnumpy(), expected)


@pytest.mark.parametrize("axis", [1, 2, 3, (2, 3)])
def test_a_maximum_beside_its_mean(axis):
    class Both(Reduced):
        def hybrid_forward(self, F, x, scale):
            x = F.broadcast_mul(x, scale.reshape((1, 1, 1, 1)))
            return F.concat(*cpu.max_and_mean(F, self, x, axis), dim=0)

    _check_same(lambda: randomise(Both("both", axis)), images(3, 4, 5, 6), tolerance=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 7, 5), (1, 16, 4, 4), (3, 2, 1, 2)])
def test_instance_norm_far_from_zero(shape):
    x = images(*shape) + 30
    _check_same(lambda: randomise(InstanceNorm(shape[1])), x, tolerance=2e-5)


@pytest.mark.parametrize(
    "name", ["cifar_cbam_resnet20", "cifar_triplet_resnet20", "cifar_simam_resnet20", "lip_resnet50"]
)
def test_what_is_exported_stands_in_plain_words(name):
    net = gluon_attn.get_model(name, layers=(1, 1, 1, 1)[: 3 + (name == "lip_resnet50")])
    unknown_place = _operators(net)
    net.initialize()
    assert _operators(net) != unknown_place
    assert {node["op"] for node in json.loads(trace(net).tojson())["nodes"]} == unknown_place
    assert {node.operator for node in named_graph(net)[0].nodes if not node.is_variable} == unknown_place - {"null"}


@pytest.mark.parametrize("axis", [1, 2, 3, (2, 3)])
@pytest.mark.parametrize("operation", ["max", "mean"])
def test_a_reduction_never_hides_a_number_that_is_none_in_training(operation, axis):
    class Reduced(mx.gluon.nn.HybridBlock):
        def __init__(self):
            super().__init__()
            self.scale = self.params.get("scale", shape=(1,), init="ones")

        def hybrid_forward(self, F, x, scale):
            return cpu.reduced(F, self, operation, F.broadcast_mul(x, scale.reshape((1, 1, 1, 1))), axis)

    x = images(2, 3, 4, 5)
    x[1, 2, 3, 4] = np.nan
    found = _training_step(randomise(Reduced()), x)["output"]
    assert np.isnan(found).sum() == np.isnan(x.max(axis=axis)).sum() > 0
