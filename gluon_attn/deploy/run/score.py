"""Accuracy of a deployed network on a data set, without MXNet."""

from __future__ import annotations

import time
from typing import Callable, Optional

import numpy as np

from gluon_attn.accuracy import shares
from gluon_attn.data.dataset import without_a_choice
from gluon_attn.errors import DataError
from gluon_attn.weights.labels import check_classes


def score(predictor, dataset, progress: Optional[Callable] = None) -> dict:
    """As `gluon_attn.evaluate.evaluate`: top1, top1_interval, top5, images, images_per_second (reading included).

    Images are read as published pipelines read them: no turn by their EXIF tag, no ground below alpha.
    """
    if not len(dataset):
        raise DataError("nothing to evaluate: the data set has no images; check its folder and split")
    check_classes(predictor.card, dataset)
    places, start = [], time.perf_counter()
    for first in range(0, len(dataset), predictor.batch_size):
        indices = range(first, min(first + predictor.batch_size, len(dataset)))
        with without_a_choice():
            samples = [dataset.sample(index) for index in indices]
            batch = np.stack([predictor.transform(image) for image, _ in samples])
        logits = predictor.run(batch)
        places.append(ranks(logits, np.array([label for _, label in samples])))
        if progress is not None:
            progress(len(samples))
    seconds, places = time.perf_counter() - start, np.concatenate(places)
    return {
        **shares(int((places < 1).sum()), int((places < 5).sum()), len(places), len(predictor.card.classes)),
        "images": len(places),
        "images_per_second": len(places) / seconds,
    }


def ranks(logits, labels):
    """Place of the true class in each row, 0 for the best; equal logits go by class number, a NaN ranks last."""
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    ahead = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return np.where(np.isnan(logits).any(axis=1), logits.shape[1], ahead)
