"""DANet (arXiv 1809.02983): position and channel attention, and both as a head."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, relu, softmax
from tests.attention.references.non_local import project
from tests.attention.references.plain import dense
from tests.helpers import batch_norm, conv2d


@reference("position", dict(reduction=2), channels=16)
def position(x, p, reduction=8):
    flat = x.reshape(*x.shape[:2], -1)
    query, key, value = (project(flat, p, name) for name in ("query", "key", "value"))
    assert query.shape[1] == max(x.shape[1] // reduction, 1)
    a = softmax(np.einsum("nci,ncj->nij", query, key))
    return p["scale"] * np.einsum("ncj,nij->nci", value, a).reshape(x.shape) + x


@reference("channel", dict(channel_form="paper"), channels=8)
def channel(x, p, channel_form="max_minus"):
    flat = x.reshape(*x.shape[:2], -1)
    e = np.einsum("nip,njp->nij", flat, flat)
    a = softmax(e.max(-1, keepdims=True) - e if channel_form == "max_minus" else e)
    return p["scale"] * np.einsum("nij,njp->nip", a, flat).reshape(x.shape) + x


@reference("danet", dict(channel_form="paper"))
def danet(features, p, **how):
    def branch(name, attend, **how):
        def part(path):
            return f"head.attention.{name}.{path}"

        x = conv2d(features["stage3"], p[part("0.weight")], padding=1)
        inside = {key[len(part("3.")) :]: value for key, value in p.items() if key.startswith(part("3."))}
        x = attend(relu(batch_norm(x, p, part("1"))), inside, **how)
        return relu(batch_norm(conv2d(x, p[part("4.weight")], padding=1), p, part("5")))

    y = branch("position", position) + branch("channel", channel, **how)
    return {"logits": dense(y.mean((2, 3)), p, "head.classifier.fc")}
