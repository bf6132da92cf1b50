"""A name of the zoo as what an engine reads: its weights found, its graph exported in memory. Needs MXNet."""

from __future__ import annotations

from gluon_attn._compat import mxnet_explained
from gluon_attn.weights.card import Card


@mxnet_explained()
def from_zoo(name, pretrained, options, suffix, card=None):
    """(what engines read that take files ending in `suffix`, Card) of a name with its weights."""
    net, found = _network(name, pretrained, options)
    return _exported(net, suffix, (card or found).input_size), found


def _network(name, pretrained, options):
    from gluon_attn import weights, zoo
    from gluon_attn.predict import class_names, named_by
    from gluon_attn.weights.origin import is_path

    pretrained = True if pretrained is None else pretrained
    of_file = pretrained is not True and is_path(pretrained)
    entry = weights.identify(pretrained) if of_file else weights.choose(zoo.find(name).name, pretrained)
    if entry is not None:
        options = {"classes": entry.classes, "variant": entry.tag, **options}
    net = zoo.get_model(name, pretrained=pretrained, **options)
    classes = options.get("classes") or zoo.find(name).classes
    facts = {**zoo.find(name).preprocessing, **(entry.preprocessing if entry else {})}
    return net, Card.of(name, facts, class_names(classes, named_by(entry)), source=entry.tag if entry else "")


def _exported(net, suffix, size):
    """The network in the form of files that end in `suffix`: ONNX bytes, or (block or module, names of its outputs)."""
    if suffix == ".onnx":
        from gluon_attn.deploy.export.onnx_file import verified

        return verified(net, size)[0].SerializeToString()
    from gluon_attn.deploy.export.trace import as_block, names_of, trace

    if suffix == ".safetensors":
        from gluon_attn.deploy.export.torch_module import to_torch as as_block
    return as_block(net), names_of(net, len(trace(net).list_outputs()))
