"""What bfloat16 and int8 cost in accuracy: stored weights on their own test images, from one exported file.

    python -m benchmarks.int8_accuracy --model cifar_aff_resnet20 --pretrained runs/demo/best.params --dataset digits

Without --model: every network of the zoo with stored weights for digits or clutter, and with --data-root $TINY for
tiny-imagenet; with --model, the others' rows stay.
int8 is our file, in onnxruntime and in OpenVINO; beside it the images that only float32 has right (lost) and that only
int8 has right (gained): with n of them in all, sqrt(n) images of a difference are chance. bfloat16 is OpenVINO's where
the CPU has it; elsewhere every weight and every output of an operator is rounded to it, with sums in float32, as the
CPUs that have it do.
"""

from __future__ import annotations

from benchmarks.common import options, show, write

DATASETS = ("digits", "clutter")
PHOTOGRAPHS = "tiny-imagenet"
BATCH = 64


def main(argv=None):
    args = options(__doc__, argv, model="", pretrained="", dataset="digits", images=200, data_root="")
    datasets = (*DATASETS, PHOTOGRAPHS) if args.data_root else DATASETS
    jobs = [(args.model, args.pretrained, args.dataset)] if args.model else list(_stored(datasets))
    rows = [show(measure(*job, args.images, args.data_root)) for job in jobs]
    if rows:
        write("int8_accuracy", rows, args, unique=("network", "pretrained", "dataset"))


def _stored(datasets):
    """(name, tag, data set) of all weights stored for these."""
    from gluon_attn import weights, zoo

    for name in zoo.list_models():
        for entry in weights.entries(name):
            if entry.path and entry.dataset in datasets:
                yield name, entry.tag, entry.dataset


def measure(name, pretrained, dataset, images, root=""):
    """One row; calibrated on `images` training images."""
    import tempfile
    from pathlib import Path

    import numpy as np

    import gluon_attn
    from gluon_attn import data, deploy

    options = {"root": root} if dataset == PHOTOGRAPHS else {}
    test, train = (data.get_dataset(dataset, split, **options) for split in ("test", "train"))
    net = gluon_attn.get_model(name, pretrained=pretrained, classes=len(test.classes))
    card = net.card or deploy.Card(name, tuple(test.classes), test.mean, test.std, test.image_size, 1.0)
    calibration = np.unique(np.linspace(0, len(train) - 1, images).astype(int))
    with tempfile.TemporaryDirectory() as folder:
        predictors, by = _predictors(net, card, _prepared(train, calibration, card), Path(folder))
        found = {key: [] for key in predictors}
        for first in range(0, len(test), BATCH):
            batch = _prepared(test, range(first, min(first + BATCH, len(test))), card)
            for key, predictor in predictors.items():
                found[key] += predictor.run(batch).argmax(1).tolist()
    labels = test.labels
    found = {key: np.array(value) for key, value in found.items()}
    correct = {key: value == labels for key, value in found.items()}
    right = {key: f"{100 * float(value.mean()):.2f}" for key, value in correct.items()}
    return {
        "network": name,
        "pretrained": pretrained,
        "dataset": dataset,
        "images": len(labels),
        "float32_top1": right["float32"],
        "bfloat16_top1": right["bfloat16"],
        "bfloat16_by": by,
        "int8_top1": right["int8"],
        "openvino_int8_top1": right["openvino"],
        "int8_lost": int((correct["float32"] & ~correct["int8"]).sum()),
        "int8_gained": int((correct["int8"] & ~correct["float32"]).sum()),
        "agreement": f"{100 * float((found['float32'] == found['int8']).mean()):.2f}",
    }


def _prepared(dataset, indices, card):
    import numpy as np

    transform = card.transform()
    return np.stack([transform(dataset.sample(int(index))[0]) for index in indices])


def _predictors(net, card, calibration, folder):
    """({column: Predictor}, what computes in bfloat16)."""
    import numpy as np
    import onnx

    from gluon_attn import deploy

    def predictor(key, engine="onnxruntime", **options):
        return deploy.Predictor(str(folder / f"{key}.onnx"), engine=engine, batch_size=BATCH, **options)

    plain = str(folder / "plain.onnx")
    deploy.export_onnx(net, plain, card.input_size, card=card)
    onnx.save(deploy.quantize(plain, np.array_split(calibration, 8)), str(folder / "int8.onnx"))
    found = {"float32": predictor("plain"), "bfloat16": predictor("plain", "openvino", precision="bfloat16")}
    found.update({"int8": predictor("int8"), "openvino": predictor("int8", "openvino")})
    if found["bfloat16"].precision == "bfloat16":
        return found, "OpenVINO"
    onnx.save(rounded_to_bfloat16(onnx.load(plain)), str(folder / "rounded.onnx"))
    return {**found, "bfloat16": predictor("rounded")}, "rounding"


def rounded_to_bfloat16(model):
    """The model with every weight and every float output rounded to bfloat16 and back; products are summed in float32.

    Rounding is arithmetic, not a pair of casts, which onnxruntime would take out: with c = x * (2 ** 16 + 1), the
    nearest number with 8 significant bits is c - (c - x) (Dekker, 1971).
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    inferred = onnx.shape_inference.infer_shapes(model).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            scaled = values * np.float32(2**16 + 1)
            tensor.CopyFrom(numpy_helper.from_array(scaled - (scaled - values), tensor.name))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2**16 + 1), "dekker"))
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if kinds.get(name) == onnx.TensorProto.FLOAT:
                node.output[place] = exact = f"{name}/exact"
                nodes.append(helper.make_node("Mul", [exact, "dekker"], [f"{name}/c"]))
                nodes.append(helper.make_node("Sub", [f"{name}/c", exact], [f"{name}/d"]))
                nodes.append(helper.make_node("Sub", [f"{name}/c", f"{name}/d"], [name]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


if __name__ == "__main__":
    main()
