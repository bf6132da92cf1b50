"""Learn To Pay Attention (arXiv 1804.02391)."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, softmax
from tests.attention.references.plain import dense
from tests.helpers import conv1x1

FORMS = (dict(levels=2), dict(compatibility="dp"), dict(combine="indep"), dict(project="local"))


def attend(x, g, p):
    """(attended features, map) of local features x and a global one g (N, D)."""
    g = g[:, :, None, None]
    x = conv1x1(x, p, "local_map") if "local_map.weight" in p else x
    g = conv1x1(g, p, "global_map") if "global_map.weight" in p else g
    c = conv1x1(x + g, p, "score") if "score.weight" in p else (x * g).sum(1, keepdims=True)
    a = softmax(c.reshape(len(c), -1), 1).reshape(c.shape)
    return (x * a).sum((2, 3)), a


@reference("ltpa", *FORMS)
def ltpa(features, p, levels=3, compatibility="pc", combine="concat", project="global"):
    stages = ["stage1", "stage2", "stage3"][-levels:]
    g, attended, maps = features["stage3"].mean((2, 3)), [], {}
    for i, stage in enumerate(stages):
        prefix = f"head.levels.{i}."
        part = {key[len(prefix) :]: value for key, value in p.items() if key.startswith(prefix)}
        narrow = features[stage].shape[1] != g.shape[1]
        wanted = ({f"{project}_map"} if narrow else set()) | ({"score"} if compatibility == "pc" else set())
        assert {key.split(".")[0] for key in part} == wanted
        y, maps[f"map{stage[-1]}"] = attend(features[stage], g, part)
        attended.append(y)
    if combine == "concat":
        logits = dense(np.concatenate(attended, 1), p, "head.fc")
    else:
        logits = np.log(np.mean([softmax(dense(y, p, f"head.fc.{i}")) for i, y in enumerate(attended)], 0))
    return {"logits": logits, **maps}
