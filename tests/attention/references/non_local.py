"""Non-local blocks (arXiv 1711.07971)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, relu, softmax
from tests.helpers import batch_norm


def project(x, p, path):
    """A pointwise convolution of positions as columns, (N, C, P)."""
    weight = p[path + ".weight"]
    y = np.einsum("oc,ncp->nop", weight.reshape(weight.shape[:2]), x)
    return y + p[path + ".bias"][:, None] if path + ".bias" in p else y


def max_pool(x):
    *_, h, w = x.shape
    x = x[..., : h // 2 * 2, : w // 2 * 2]
    return np.maximum.reduce([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)])


FORMS = [dict(form=form) for form in ("gaussian", "dot", "concat")]
FORMS += [dict(inner=6), dict(sub_sample=False), dict(scale=False), dict(form="gaussian", scale=False), dict(dims=3)]


@reference("nonlocal", *FORMS, channels=8, space=(4, 6))
def non_local(x, p, form="embedded", inner=4, sub_sample=True, scale=True, dims=2):
    flat = x.reshape(*x.shape[:2], -1)
    pooled = max_pool(x).reshape(*x.shape[:2], -1) if sub_sample else flat
    theta, phi = (flat, pooled) if form == "gaussian" else (project(flat, p, "theta"), project(pooled, p, "phi"))
    if form == "concat":
        w = np.concatenate([p["query.weight"].ravel(), p["key.weight"].ravel()])
        pairs = np.stack([np.repeat(theta[..., i : i + 1], phi.shape[2], 2) for i in range(theta.shape[2])], 2)
        both = np.concatenate([pairs, np.broadcast_to(phi[:, :, None], pairs.shape)], 1)  # [theta_i, phi_j]
        f = relu(np.einsum("c,ncij->nij", w, both)) / phi.shape[2]
    else:
        f = np.einsum("nci,ncj->nij", theta, phi)
        f = f / phi.shape[2] if form == "dot" else softmax(f * (theta.shape[1] ** -0.5 if scale else 1))
    g = project(pooled, p, "g")
    assert g.shape[1] == inner
    y = project(np.einsum("nij,ncj->nci", f, g), p, "out")
    return x + batch_norm(y[..., None], p, "norm")[..., 0].reshape(x.shape)
