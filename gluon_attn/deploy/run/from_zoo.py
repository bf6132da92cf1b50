"""A name of the zoo as what an engine reads: its weights found, its graph exported in memory. Needs MXNet."""

from __future__ import annotations

from gluon_attn._compat import mxnet_explained
from gluon_attn.errors import GluonAttnError


@mxnet_explained()
def from_zoo(name, pretrained, options, suffix, card=None):
    """(what engines read that take files ending in `suffix`, Card) of a name with its weights."""
    from gluon_attn import zoo

    if options.get("features"):
        raise GluonAttnError("features= gives no logits, and so no classes: leave it out of a Predictor.")
    if options.get("in_channels", 3) != 3:
        raise GluonAttnError(f"in_channels={options['in_channels']!r}: a Predictor's pictures have 3 channels.")
    others = {key: value for key, value in options.items() if key != "classes"}  # a head for those would be random
    net = zoo.get_model(name, True if pretrained is None else pretrained, **others)
    if not hasattr(net, "card"):
        raise GluonAttnError(f"pretrained={pretrained!r}: a Predictor needs weights. Give True, a tag or a file.")
    known, asked = len(net.card.classes), options.get("classes")
    if asked not in (None, known):
        raise GluonAttnError(
            f"These weights know {known} classes, not {asked}: leave `classes` out, or train a new head "
            "(`gluon-attn train --pretrained`)."
        )
    return _exported(net, suffix, (card or net.card).input_size), net.card


def _exported(net, suffix, size):
    """The network in the form of files that end in `suffix`: ONNX bytes, or (block or module, names of its outputs)."""
    if suffix == ".onnx":
        from gluon_attn.deploy.export.onnx_file import verified

        return verified(net, size)[0].SerializeToString()
    from gluon_attn.deploy.export.trace import as_block, names_of, trace

    if suffix == ".safetensors":
        from gluon_attn.deploy.export.torch_module import to_torch as as_block
    return as_block(net), names_of(net, len(trace(net).list_outputs()))
