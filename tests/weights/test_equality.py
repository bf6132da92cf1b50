"""Every published layout: a random file loads, and the network computes what the publishers' network computes."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

import gluon_attn
from gluon_attn.weights import load_arrays, translate
from gluon_attn.weights.layouts import SOURCES, key_map
from gluon_attn.weights.table import variants
from tests.weights.published import layouts, random_arrays, save
from tests.weights.reference import FORWARD

# source, layout, model, dtype of the published file
CASES = [
    ("openaff", "imagenet/AFF-ResNet-50", "aff_resnet50", "float16"),
    ("openaff", "imagenet/iAFF-ResNet-50", "iaff_resnet50", "float16"),
    ("openaff", "imagenet/AFF-ResNeXt-50", "aff_resnext50_32x4d", "float16"),
    ("openaff", "imagenet/iAFF-ResNeXt-50", "iaff_resnext50_32x4d", "float16"),
    ("openaff", "cifar100/AFF-ResNet-32", "cifar_aff_preresnet32_w4", "float32"),
    ("openaff", "cifar100/AFF-ResNeXt-38-32x4d", "cifar_aff_resnext38_32x4d", "float32"),
    ("openaff", "cifar100/AFF-ResNeXt-47-32x4d", "cifar_aff_resnext47_32x4d", "float32"),
    ("imgclsmob", "seresnet50", "se_resnet50", "float32"),
    ("imgclsmob", "seresnet101", "se_resnet101", "float32"),
    ("imgclsmob", "seresnext50_32x4d", "se_resnext50_32x4d", "float32"),
    ("imgclsmob", "seresnext101_32x4d", "se_resnext101_32x4d", "float32"),
    ("imgclsmob", "bam_resnet50", "bam_resnet50", "float32"),
    ("imgclsmob", "cbam_resnet50", "cbam_resnet50", "float32"),
    ("imgclsmob", "seresnet20_cifar10", "cifar_se_resnet20", "float32"),
    ("imgclsmob", "seresnet56_cifar100", "cifar_se_resnet56", "float32"),
    ("imgclsmob", "seresnet110_cifar100", "cifar_se_resnet110", "float32"),
    ("timm", "resnet50", "resnet50", "float32"),
    ("timm", "resnet50d", "resnet50d", "float32"),
    ("timm", "resnext50_32x4d", "resnext50_32x4d", "float32"),
    ("timm", "seresnet50", "se_resnet50", "float32"),
    ("timm", "seresnext50_32x4d", "se_resnext50_32x4d", "float32"),
    ("timm", "ecaresnet50d", "eca_resnet50d", "float32"),
    ("timm", "ecaresnet101d", "eca_resnet101d", "float32"),
]
TOLERANCE = 1e-7
# Of layouts that differ in depth alone the forward pass of the shallowest is compared, and of those whose names are a
# product (fusion and backbone, gate and backbone) each factor once; of all of them if one asks.
DEEPER = ("seresnet101", "seresnext101_32x4d", "seresnet56_cifar100", "seresnet110_cifar100", "ecaresnet101d")
DEEPER += ("cifar100/AFF-ResNeXt-47-32x4d",)
PRODUCTS = ("imagenet/iAFF-ResNet-50", "imagenet/AFF-ResNet-50", "imagenet/AFF-ResNeXt-50")
PRODUCTS += ("resnet50", "resnet50d", "resnext50_32x4d", "seresnext50_32x4d")


def relative(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def build(source, layout, model):
    shapes = layouts(source)[layout]
    (rows,) = next(shapes[name] for name, ours in key_map(source, shapes).items() if ours == "head.fc.bias")
    return gluon_attn.get_model(model, variant=source if source in variants(model) else None, classes=rows)


def images(model):
    size = 32
    return mx.nd.array(np.random.RandomState(1).standard_normal((2, 3, size, size)), dtype="float64")


COMPARED = [pytest.param(*case, marks=pytest.mark.slow) if case[1] in DEEPER + PRODUCTS else case for case in CASES]


@pytest.mark.parametrize("source,layout,model,dtype", COMPARED, ids=lambda value: str(value).split("/")[-1])
def test_equals_the_published_network(source, layout, model, dtype, tmp_path):
    arrays = random_arrays(source, layout, dtype=dtype)
    path = save(tmp_path / f"w{SOURCES[source].SUFFIX}", arrays)
    net, x = build(source, layout, model), images(model)
    gluon_attn.load_weights(net, path)
    net.cast("float64")  # so that rounding cannot be taken for agreement, nor for its absence
    ours = net(x).asnumpy()

    published = {name: mx.nd.array(array, dtype="float64") for name, array in arrays.items()}
    stride_first = {"stride_first": True} if layout in ("seresnet50", "seresnet101") and source == "imgclsmob" else {}
    reference = FORWARD[source](published, x, **stride_first).asnumpy()
    assert np.isfinite(reference).all()
    assert relative(ours, reference) < TOLERANCE

    for one, other in swaps(arrays):
        swapped = dict(arrays)
        swapped[one], swapped[other] = arrays[other], arrays[one]
        load_arrays(net, swapped, "swapped")
        assert relative(net(x).asnumpy(), ours) > 10 * TOLERANCE, f"{one} <-> {other} was not noticed"


@pytest.mark.parametrize("source,layout,model,dtype", [case for case in CASES if case[1] in DEEPER])
def test_every_name_has_its_place_and_shape(source, layout, model, dtype):
    """Without computing: all parameters of the network, and none besides."""
    named = {name: np.broadcast_to(np.float32(0), shape) for name, shape in layouts(source)[layout].items()}
    found = {name: array.shape for name, array in translate(named, source).items()}
    parameters = build(source, layout, model)._collect_params_with_prefix()
    assert found == {name: parameter.shape for name, parameter in parameters.items()}


def swaps(arrays):
    """Two disjoint exchanges of equal-shaped tensors: one of convolutions, one within the last attention or block."""
    names = [name for name in arrays if not name.endswith("num_batches_tracked")]
    by_shape = {}
    for name in names:
        by_shape.setdefault((arrays[name].shape, name.rsplit(".", 1)[-1]), []).append(name)
    pairs = [(same[0], same[-1]) for (shape, leaf), same in by_shape.items() if len(same) > 1 and len(shape) > 1]
    attention = [pair for pair in pairs if "att" in pair[0] or "se." in pair[0] or "bam" in pair[0]]
    return [pairs[0], *attention[-1:]]


def test_equal_shapes_can_need_another_network():
    """imgclsmob's SE-ResNet-50 has its stride on the first 1x1: the plain se_resnet50 takes the file and is wrong."""
    arrays, x = random_arrays("imgclsmob", "seresnet50"), images("se_resnet50").astype("float32")
    outputs = []
    for variant in ("imgclsmob", None):
        net = gluon_attn.get_model("se_resnet50", variant=variant)
        load_arrays(net, arrays)
        outputs.append(net(x).asnumpy())
    assert relative(*outputs) > 0.1


# What is not in CASES: our own files have our names, and ABN's layouts are in test_abn.py.
ELSEWHERE = ("gluon_attn", "abn")


def test_every_source_of_weights_has_a_reference():
    assert sorted([*FORWARD, *ELSEWHERE]) == sorted(SOURCES), "write its forward pass in tests/weights/reference.py"


def test_every_published_layout_is_tested():
    tested = {(source, layout) for source, layout, _, _ in CASES}
    assert tested == {(s, layout) for s in SOURCES if s not in ELSEWHERE for layout in layouts(s)}
