"""ABN (arXiv 1812.10025), with the branch's copy of the last stage as it is: that is the backbone's."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, relu
from tests.attention.references.plain import dense
from tests.helpers import batch_norm, conv1x1, conv2d, sigmoid


@reference("abn", dict(attention_map="log_sum"), dict(branch_norm=False))
def abn(features, p, attention_map="conv", branch_norm=True):
    a = features["branch"]
    a = batch_norm(a, p, "branch.norm") if branch_norm else a
    a = relu(batch_norm(conv1x1(a, p, "branch.evidence.0"), p, "branch.evidence.1"))
    if attention_map == "conv":
        weight = sigmoid(batch_norm(conv2d(a, p["branch.map.0.weight"], padding=1), p, "branch.map.1"))
    else:
        weight = np.log(a + 1).sum(1, keepdims=True)
    last = features["last"](features["stage2"] * (1 + weight))
    return {
        "attention_logits": conv1x1(a, p, "branch.score.1").mean((2, 3)),
        "logits": dense(last.mean((2, 3)), p, "head.fc"),
        "map": weight,
    }
