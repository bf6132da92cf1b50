"""The scores of several networks and methods as a table: means and standard deviations over images."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from gluon_attn import files
from gluon_attn.catalogue.kinds import refuse_no_count
from gluon_attn.data.dataset import without_a_choice
from gluon_attn.errors import GluonAttnError
from gluon_attn.explain import score
from gluon_attn.explain.methods import NoPlane, method_named
from gluon_attn.explain.subjects import from_dataset
from gluon_attn.models.network import logits_of

MEASURES = ("pointing", "energy", "deletion", "insertion", "similarity")


def measure(candidate, dataset, indices, methods, batch_size=64, stage=None):
    """One row (dict) a method: the network's error on all images of the data set, the measures on those at `indices`.

    The maps explain the true class. A method that this network does not have gives a row without measures. An image
    whose object the centre crop cuts off is not measured; `images` says how many are.
    """
    refuse_no_count(batch_size=batch_size)
    subjects, boxes = _with_boxes(from_dataset(dataset, indices), candidate.card)
    error = _error(candidate, dataset, batch_size)
    transform = candidate.card.transform()
    x = mx.nd.array(np.stack([transform(subject.image, None) for subject in subjects]), ctx=candidate.device)
    labels = np.array([subject.label for subject in subjects])
    by_chance = score.chance(boxes, x.shape[2:]).mean()
    rows = []
    for name in methods:
        row = dict(model=candidate.label, method=name, images=len(subjects), test_error=error, chance=by_chance)
        values = _values(candidate.net, x, labels, boxes, method_named(name, stage), batch_size)
        for key in MEASURES:
            row[key] = values[key].mean() if values else None
            row[f"{key}_std"] = values[key].std() if values else None
        rows.append(row)
    return rows


def _with_boxes(subjects, card):
    """The subjects of whose object the network sees something, and the boxes of that."""
    seen = [(subject, subject.box_seen(card)) for subject in subjects]
    seen = [(subject, box) for subject, box in seen if box]
    if not seen:
        raise GluonAttnError(
            f"{card.model} sees nothing of the objects: each lies outside the centre that it is shown "
            f"({card.preparation}). Choose other images."
        )
    subjects, boxes = zip(*seen)
    return subjects, np.array(boxes)


def _values(net, x, labels, boxes, method, batch_size):
    parts = []
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        try:
            parts.append(score.score(net, x[part], labels[part], boxes[part], method))
        except NoPlane:
            return None
    return {key: np.concatenate([part[key] for part in parts]) for key in MEASURES}


def _error(candidate, dataset, batch_size):
    wrong, transform = 0, candidate.card.transform()
    for start in range(0, len(dataset), batch_size):
        with without_a_choice():
            samples = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        x = mx.nd.array(np.stack([transform(image, None) for image, _ in samples]), ctx=candidate.device)
        predicted = logits_of(candidate.net, candidate.net(x)).argmax(axis=1).asnumpy()
        wrong += (predicted != np.array([label for _, label in samples])).sum()
    return wrong / len(dataset)


def markdown(rows):
    """The table as text: percentages for shares, mean and standard deviation over images."""
    head = ["model", "method", "test error %", "pointing %", "energy %", "deletion", "insertion", "sanity"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        lines.append(
            [
                row["model"],
                row["method"],
                f"{100 * row['test_error']:.1f}",
                _cell(row, "pointing", 100),
                _cell(row, "energy", 100),
                _cell(row, "deletion"),
                _cell(row, "insertion"),
                _cell(row, "similarity"),
            ]
        )
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    images = _range(f"{row['images']}" for row in rows)
    chance = _range(f"{100 * row['chance']:.1f}" for row in rows)
    return (
        f"{text}\n\n{images} images; by chance pointing and energy are {chance} %. "
        "Deletion, and sanity (rank correlation with the map of shuffled weights), are good when low."
    )


def _range(values):
    """The smallest and the largest of these numbers; one where they are the same, as for networks of one input size."""
    values = sorted(set(values), key=float)
    return " to ".join(dict.fromkeys((values[0], values[-1])))


def _cell(row, key, factor=1):
    if row[key] is None:
        return "-"
    digits = 1 if factor == 100 else 2
    return f"{factor * row[key]:.{digits}f} ± {factor * row[f'{key}_std']:.{digits}f}"


def write_csv(rows, path):
    files.write_csv(path, [{key: _shown(value) for key, value in row.items()} for row in rows])


def _shown(value):
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else value
