"""The kinds of files that are attacked: how a whole one is made, and what our reader does with a mutated one."""

from __future__ import annotations

import os
import zipfile

import mxnet as mx
import numpy as np
from PIL import Image

from gluon_attn import data
from gluon_attn.data.digits import digits
from gluon_attn.data.imagenet import RecordDataset
from gluon_attn.data.images import read_picture
from gluon_attn.deploy import Predictor, export_onnx, export_symbol
from gluon_attn.recipe.check import check
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.train import fit
from gluon_attn.train.checkpoint import Checkpoints
from gluon_attn.weights import load_weights
from gluon_attn.weights.card import Card
from gluon_attn.zoo import get_model
from tests.attack.attack import Target
from tests.attack.mutations import png_chunks, zip_members
from tests.helpers import randomise
from tests.train.tiny import TINY, tiny
from tests.weights.torch_files import torch_file

CARD = Card("cifar_se_resnet20", [str(i) for i in range(10)], (0.5,) * 3, (0.25,) * 3, input_size=32)


def network():
    return get_model("cifar_se_resnet20", classes=10, **TINY)


def demand_finite(arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise AssertionError("loaded, and not finite")


def read_weights(name):
    def read(folder):
        net = network()
        load_weights(net, folder / name)
        demand_finite(parameter.data().asnumpy() for parameter in net._collect_params_with_prefix().values())

    return read


def arrays():
    return {name: p.data().asnumpy() for name, p in randomise(network())._collect_params_with_prefix().items()}


def make_params(folder):
    randomise(network()).save_parameters(str(folder / "w.params"))


def make_zip(folder):
    make_params(folder)
    with zipfile.ZipFile(folder / "w.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "w.params", "w.params")


def make_safetensors(folder):
    from safetensors.numpy import save_file

    save_file(arrays(), str(folder / "w.safetensors"))


def make_torch(form):
    return lambda folder: (folder / "w.pth").write_bytes(torch_file(arrays(), form))


def make_onnx(folder):
    export_onnx(randomise(network()), folder / "net.onnx", 32, card=CARD)


def make_symbol(folder):
    export_symbol(randomise(network()), folder / "net", 32, card=CARD)


def predict(name, **options):
    def read(folder):
        pictures = [np.asarray(digits("test")[i][0]) for i in range(2)]
        demand_finite([Predictor(folder / name, **options).logits(pictures)])

    return read


def make_checkpoint(folder):
    fit(tiny(folder / "run", epochs=2), progress=False)
    _, first = Checkpoints(folder / "run").paths()
    os.replace(first, folder / "checkpoint.npz")


def resume(folder):
    """The second epoch, into a folder of its own."""
    metrics = fit(tiny(folder / f"more-{os.getpid()}", epochs=2, resume=str(folder / "checkpoint.npz")), progress=False)
    demand_finite([np.asarray(metrics["last_accuracy"], "float64")])


def make_recipe(folder):
    text = tiny("out", epochs=3, schedule="step", milestones=[1, 2], mixup=0.2).to_yaml()
    (folder / "r.yaml").write_text(f"base: digits\n{text}")


def make_record(folder):
    writer = mx.recordio.MXIndexedRecordIO(str(folder / "a.idx"), str(folder / "a.rec"), "w")
    for number in range(6):
        image, label = digits("test")[number]
        head = mx.recordio.IRHeader(0, float(label), number, 0)
        writer.write_idx(number, mx.recordio.pack_img(head, np.asarray(image), quality=90))
    writer.close()


def read_record(folder):
    dataset = RecordDataset(folder / "a.rec", folder / "a.idx", 32)
    transform = data.eval_transform(32, dataset.mean, dataset.std)
    demand_finite([transform(dataset.sample(number)[0], None) for number in range(len(dataset))])


def make_picture(name, **options):
    def make(folder):
        rng = np.random.RandomState(0)
        coarse = rng.randint(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((80, 60), Image.BICUBIC).save(folder / name, **options)

    return make


def read_image(name):
    def read(folder):
        transform = data.eval_transform(224, (0.5,) * 3, (0.25,) * 3)
        demand_finite([transform(read_picture(folder / name), None)])

    return read


def read_card(folder):
    card = Card.read(folder / "card.json")
    demand_finite([card.transform()(np.zeros((40, 50, 3), np.uint8))])


TARGETS = {
    "weights: .params": Target("w.params", make_params, read_weights("w.params")),
    "weights: .params in a zip": Target("w.zip", make_zip, read_weights("w.zip"), zip_members),
    "weights: .safetensors": Target("w.safetensors", make_safetensors, read_weights("w.safetensors")),
    "weights: .pth": Target("w.pth", make_torch("archive"), read_weights("w.pth"), zip_members),
    "weights: .pth before torch 1.6": Target("w.pth", make_torch("legacy"), read_weights("w.pth")),
    "ONNX": Target("net.onnx", make_onnx, predict("net.onnx", engine="onnxruntime", threads=1), share=0.5),
    "symbol: graph": Target("net-symbol.json", make_symbol, predict("net-symbol.json"), share=0.5),
    "symbol: weights": Target("net-0000.params", make_symbol, predict("net-symbol.json"), share=0.5),
    "checkpoint": Target("checkpoint.npz", make_checkpoint, resume, zip_members, share=0.25),
    "recipe": Target("r.yaml", make_recipe, lambda folder: check(Recipe.load(folder / "r.yaml"))),
    "RecordIO": Target("a.rec", make_record, read_record),
    "RecordIO index": Target("a.idx", make_record, read_record),
    "JPEG": Target("a.jpg", make_picture("a.jpg", quality=90), read_image("a.jpg")),
    "JPEG, progressive": Target("a.jpg", make_picture("a.jpg", progressive=True), read_image("a.jpg")),
    "PNG": Target("a.png", make_picture("a.png"), read_image("a.png"), png_chunks),
    "card": Target("card.json", lambda folder: CARD.write(folder / "card.json"), read_card),
}
