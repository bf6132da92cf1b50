"""`to_torch`: a Gluon network as a PyTorch module, by way of its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import mxnet as mx

from gluon_attn.deploy.export.named_graph import named_graph
from gluon_attn.deploy.run.torch_graph import build

if TYPE_CHECKING:
    import torch


def to_torch(net: mx.gluon.HybridBlock, inputs: Optional[int] = None) -> torch.nn.Module:
    """A torch.nn.Module that computes, and trains, what the hybridizable Gluon network `net` does; in eval mode.

    Parameters and running statistics are copies, as float32 on the CPU, under the names of `net.save_parameters`
    ('stages.0.0.body.0.weight'); those with grad_req 'null' or lr_mult 0 do not require a gradient. The result has the
    structure of Gluon's: a tensor, or tuples and lists of them.

    inputs : how many arrays the network takes; by default those that `hybrid_forward` demands

    >>> module = to_torch(gluon_attn.get_model("aff_resnet50", pretrained=True))
    >>> logits = module(torch.zeros(1, 3, 224, 224))
    """
    graph, arrays, structure = named_graph(net, inputs)
    # Gluon saves parameters that the graph does not use, so that they are kept here, too.
    return build(graph, arrays, "the network", structure, unused=True)
