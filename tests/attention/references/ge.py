"""Gather-Excite (arXiv 1810.12348)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import gate_weight, mean, reference, relu
from tests.helpers import batch_norm, conv1x1

LEARNED = (dict(form="theta", map_size=5), dict(form="theta_plus", map_size=5, reduction=2))


@reference("ge", *LEARNED, dict(map_size=5, reduction=4), space=(5, 5))
def gather_excite(x, p, form=None, map_size=None, reduction=16, **how):
    form = form or ("theta_plus" if map_size else "theta_minus")
    if form == "theta_minus":
        assert not p
        return x * gate_weight(mean(x), **how)
    z = np.einsum("nchw,chw->nc", x, p["gather.0.weight"][:, 0])[..., None, None]
    z = batch_norm(z, p, "gather.1")
    if form == "theta_plus":
        assert p["excite.0.weight"].shape[0] == 32 // reduction
        z = conv1x1(relu(conv1x1(relu(z), p, "excite.0")), p, "excite.2")
    return x * gate_weight(z, **how)


@reference("ge_minus", *LEARNED, space=(5, 5))
def ge_minus(x, p, form="theta_minus", **how):
    return gather_excite(x, p, form=form, **how)
