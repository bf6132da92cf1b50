"""What a deployed network costs: images a second of engines on one file, in turns, as ratios to the first of them."""

from __future__ import annotations

import numpy as np

from gluon_attn.cost.timing import interleaved
from gluon_attn.deploy.run.predictor import Predictor


def measure(files, engines=(None,), batch=16, rounds=3, clock="wall", **options):
    """One dictionary a file and engine. options : of Predictor (precision, threads, cache).

    Images are random and prepared beforehand: what is timed is the engine.
    """
    predictors = {
        (file, engine): Predictor(file, engine=engine, batch_size=batch, **options)
        for file in files
        for engine in engines
    }
    jobs = {key: _job(predictor, batch) for key, predictor in predictors.items()}
    times = interleaved(jobs, rounds, clock=clock)
    first = times[next(iter(times))]
    return [
        {
            "file": str(key[0]),
            "network": predictors[key].card.model,
            "engine": predictors[key].describe(),
            "batch": batch,
            "size": predictors[key].card.input_size,
            "images_per_second": f"{batch / time.median:.1f}",
            "spread": f"{time.spread:.2f}",
            "ratio": f"{time.faster_than(first):.2f}",
        }
        for key, time in times.items()
    ]


def _job(predictor, batch):
    size = predictor.card.input_size
    images = np.random.RandomState(0).uniform(-1, 1, (batch, 3, size, size)).astype("float32")
    return lambda: predictor.run(images)
