"""A name of the zoo as what an engine reads: its weights found, its graph exported in memory. Needs MXNet."""

from __future__ import annotations

from gluon_attn._compat import mxnet_explained


@mxnet_explained()
def from_zoo(name, pretrained, options, suffix, card=None):
    """(what engines read that take files ending in `suffix`, Card) of a name with its weights."""
    from gluon_attn import zoo

    net = zoo.get_model(name, pretrained=True if pretrained is None else pretrained, **options)
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
