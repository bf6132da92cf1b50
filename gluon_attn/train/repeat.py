"""One recipe with several seeds, and the mean and standard deviation of what comes out."""

from __future__ import annotations

import json
import statistics

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import write_text
from gluon_attn.recipe.check import check_repeated
from gluon_attn.train.loop import fit


def repeat(recipe, runs, progress=True):
    """Train `runs` times, with seeds recipe.seed, recipe.seed + 1, ...; returns what summary.json holds.

    Each run has its folder seed-N in the recipe's; with `resume='auto'` those that are finished are not done again.
    Errors are in percent, of the test set with the weights that the validation images chose where some are held out.
    """
    check_repeated(recipe, runs)
    folder = recipe.folder
    _refuse_other_seeds(folder, range(recipe.seed, recipe.seed + runs))
    results = []
    for seed in range(recipe.seed, recipe.seed + runs):
        results.append(fit(recipe.replace(seed=seed, output=str(folder / f"seed-{seed}")), progress))
    summary = summarise(results)
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _refuse_other_seeds(folder, seeds):
    """GluonAttnError where the summary that lies there is of runs which the new one would leave out."""
    try:
        before = set(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not before <= set(seeds):
        raise GluonAttnError(
            f"{folder / 'summary.json'} is of the seeds {', '.join(map(str, sorted(before)))}, and this one would not "
            f"be: take another --output, or all of them together (--seed {min(before)}, as many --runs, --resume auto)."
        )


def summarise(results):
    """From the metrics of runs: {'model', 'runs', 'seeds', 'measured_on', 'top1_error': {...}, 'top5_error': {...}}."""
    tested = "test_accuracy_of_best" in results[0]
    keys = ("test_accuracy_of_best", "test_top5_of_best") if tested else ("best_accuracy", "best_top5")
    kinds = zip(("top1_error", "top5_error"), keys)
    errors = {kind: [100 * (1 - r[key]) for r in results] for kind, key in kinds if key in results[0]}
    return dict(
        model=results[0]["model"],
        dataset=results[0]["dataset"],
        runs=len(results),
        seeds=[result["seed"] for result in results],
        measured_on="test" if tested else results[0]["best_chosen_on"],
        **{kind: _spread(values) for kind, values in errors.items()},
    )


def _spread(values):
    """Mean, standard deviation of a sample (0 for one run), and the values."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return dict(mean=round(statistics.mean(values), 4), std=round(deviation, 4), values=[round(v, 4) for v in values])


def in_words(summary):
    """The summary as one line."""
    errors = (
        f"{name} {summary[key]['mean']:.2f} ± {summary[key]['std']:.2f} %"
        for name, key in _NAMES.items()
        if key in summary
    )
    return f"{summary['model']}, {summary['measured_on']} error over {summary['runs']} runs: {', '.join(errors)}"


_NAMES = {"top-1": "top1_error", "top-5": "top5_error"}
