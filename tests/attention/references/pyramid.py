"""Pyramid attention (arXiv 1808.01106), its losses among what it gives."""

from __future__ import annotations

import numpy as np

from tests.attention.references import reference, softmax
from tests.attention.references.plain import dense


def halve(x, reduce):
    """2x2 windows; the last ones of an odd map are smaller."""
    rows, columns = (range(0, x.shape[axis], 2) for axis in (2, 3))
    return np.stack([np.stack([reduce(x[:, :, i : i + 2, j : j + 2], (2, 3)) for j in columns], 2) for i in rows], 2)


def attended(maps, p, size, frames=1, fusion="mean", reduce=np.mean, path=""):
    """(map, columns, rows of unit norm, their softmax, the softmax of every scale); maps from large to small."""
    for number, x in enumerate(maps):
        for _ in range(len(maps) - 1 - number):
            x = halve(x, reduce)
        maps = [*maps[:number], x, *maps[number + 1 :]]
    b = len(maps[0]) // frames
    columns = []
    for x in maps:  # frame after frame, position after position
        clips = [
            np.concatenate([x[i * frames + k].reshape(x.shape[1], -1) for k in range(frames)], 1) for i in range(b)
        ]
        columns.append(np.stack(clips))
    y = [
        p[f"{path}scores.{j}.weight"][:, :, 0] @ x + p[f"{path}scores.{j}.bias"][:, None] for j, x in enumerate(columns)
    ]
    fused = {"mean": sum(y) / len(y), "sum": sum(y), "max": np.max(y, 0), "product": np.prod(y, 0)}[fusion]
    a = softmax(fused)
    unit = a / np.sqrt((a**2).sum(-1, keepdims=True))
    m = (unit @ columns[-1].transpose(0, 2, 1)).transpose(0, 2, 1).reshape(b, -1, size, size)
    return (m, columns[-1], unit, a, *(softmax(scores) for scores in y))


def interaction(rows, columns):
    """The paper's formula, of one image."""
    columns, eye = columns / np.linalg.norm(columns), np.eye(len(rows))
    inner, gram = rows @ columns.T @ columns @ rows.T, rows @ rows.T
    return -(inner * eye).sum() + ((gram * (1 - eye)) ** 2).sum()


CHANGES = (dict(levels=1), dict(levels=3), dict(frames=2), dict(fusion="sum"), dict(fusion="max"))
CHANGES += (dict(fusion="product"), dict(sampling="max"), dict(interaction=0.1, diversity=0.1), {})
FORMS = [dict(map_size=4, **change) for change in CHANGES]


@reference("pyramid", *FORMS, bare=False)
def pyramid(features, p, map_size=4, levels=2, frames=1, fusion="mean", sampling="mean", **weights):
    maps = [features[f"stage{number}"] for number in (1, 2, 3)[-levels:]]
    how = dict(frames=frames, fusion=fusion, reduce={"mean": np.mean, "max": np.max}[sampling])
    m, columns, unit, a, *scales = attended(maps, p, map_size, path="head.attention.", **how)
    return {
        "logits": dense(m.mean((2, 3)), p, "head.classifier.fc"),
        "attention": unit,
        "interaction": np.array([interaction(*pair) for pair in zip(unit, columns)]),
        "diversity": np.sqrt(sum((1 - np.abs(a - s) ** 2).sum((1, 2)) for s in scales)),
    }
