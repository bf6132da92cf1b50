"""Hyper-parameter search over recipes, through autogluon.core's spaces, searchers and scheduler (extra `tune`).

Every trial is a normal run in a folder of its own. Trials are compared on images held out of the training set, never
on the test set, and a trial that falls behind is ended early: at an evaluation from the third on, when its best
accuracy so far is below the median of what the earlier trials had reached by then (Golovin et al., Vizier, 2017).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import fields

from gluon_attn import plugins
from gluon_attn.catalogue.arguments import refuse_wrong
from gluon_attn.catalogue.mechanisms import MECHANISMS
from gluon_attn.catalogue.names import SPECS, with_attention
from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.figures import new_figure, save_figure
from gluon_attn.files import write_csv, write_text
from gluon_attn.recipe.check import check_numbers
from gluon_attn.recipe.recipe import Recipe
from gluon_attn.zoo import find

PATIENCE = 3  # evaluations before a trial can be ended, and trials before there is a median
SEARCHED = ("gate", "fuse")  # the slots whose mechanisms `attention` is one of

# name: (low, high) of a logarithmic range, or the choices
SPACES = {
    "lr": (0.005, 0.5),
    "wd": (1e-5, 1e-2),
    "mixup": [0.0, 0.2, 0.5, 1.0],
    "label_smoothing": [0.0, 0.05, 0.1],
    "batch_size": [16, 32, 64, 128],
    "warmup_epochs": [0, 1],
    "no_wd": [False, True],
    "optimizer": ["sgd", "nag"],
    "reduction": [4, 8, 16],
    "attention": None,  # those that the zoo has on the recipe's backbone
}


def parse_search(text, model):
    """'lr,mixup=0|0.2,wd=1e-4..1e-3' -> {name: (low, high) or [choices]}."""
    found = {}
    for word in filter(None, text.split(",")):
        name, _, values = word.partition("=")
        name = name.strip().replace("-", "_")
        if name not in SPACES:
            raise unknown("--search", name, SPACES)
        found[name] = _values(name, values, model) if values else SPACES[name] or attentions(model)
    if not found:
        raise GluonAttnError(f"Nothing to search: give --search, some of {', '.join(SPACES)}.")
    return found


def _values(name, text, model):
    """Every one is a value that the recipe or the network takes: no trial fails for it later."""
    if ".." not in text:
        return [_value(name, word.strip(), model) for word in text.split("|")]
    try:
        low, high = map(float, text.split(".."))
    except ValueError:
        low = high = math.nan
    ranged = [spec.name for spec in fields(Recipe) if spec.name in SPACES and spec.metadata["kind"] is float]
    if name not in ranged or not 0 < low < high < math.inf:
        raise GluonAttnError(
            f"--search {name}={text} is no range: {', '.join(ranged)} take one, from a number above 0, as in "
            "0.01..0.1; all take choices, as in 0|0.2|1."
        )
    return _value(name, low, model), _value(name, high, model)


def _value(name, word, model):
    if name == "attention":
        if word not in attentions(model):
            raise unknown(f"attention of {find(model).backbone}", word, attentions(model))
        return word
    if name == "reduction":
        value = int(word) if word.isdecimal() else word
        refuse_wrong("--search", {name: value})
        return value
    recipe = Recipe.of({name: word})
    check_numbers(recipe)
    return getattr(recipe, name)


def attentions(model):
    """Gates and fusions that the zoo has on the backbone of `model`, and none.

    >>> attentions("cifar_vgg")
    ['']
    """
    plugins.load()
    backbone = find(model).backbone
    searched = [name for name, record in MECHANISMS.items() if record.slot in SEARCHED]
    return ["", *(name for name in searched if with_attention(backbone, name) in SPECS)]


def takes_reduction(attention):
    """Whether a mechanism has a `reduction`; `None` is that of the recipe, which says so itself."""
    from gluon_attn.attention import accepted

    record = MECHANISMS.get(attention)
    return attention is None or (record is not None and "reduction" in accepted(record.slot, attention))


def apply(recipe, config):
    """The recipe with one configuration of the search in it."""
    config = dict(config)
    attention, reduction = config.pop("attention", None), config.pop("reduction", None)
    if attention is not None:
        recipe = recipe.replace(model=with_attention(find(recipe.model).backbone, attention))
    if reduction is not None and takes_reduction(attention):
        recipe = recipe.replace(arch={**recipe.arch, "reduction": int(reduction)})
    return type(recipe).of({**recipe.as_dict(), **config})


def held_out(recipe):
    """The recipe with validation images: a tenth of each class where it has none."""
    from gluon_attn.train.inputs import open_datasets

    if recipe.validation:
        return recipe
    train = open_datasets(recipe)[0]
    return recipe.replace(validation=max(1, len(train) // len(train.classes) // 10))


class Search:
    """The trials so far: one dict each, with its configuration, accuracy, epochs and whether it was ended early."""

    def __init__(self, recipe, folder, progress=False):
        self.recipe, self.folder, self.progress = recipe, folder, progress
        self.trials, self.curves = [], []

    def __call__(self, config, reporter):
        """What autogluon's scheduler calls for a trial; a trial that diverges is one that has failed."""
        from gluon_attn.train.loop import fit

        config = {name: value for name, value in config.items() if name != "task_id"}
        number, curve = len(self.trials), []
        recipe = apply(self.recipe, config).replace(output=str(self.folder / f"trial-{number:03d}"), resume="")
        trial = dict(trial=number, **config, accuracy=0.0, epochs=0, ended="", model=recipe.model)
        self.trials.append(trial)

        def behind(row):
            if "top1" not in row:  # an epoch that is not evaluated
                return False
            curve.append(max([row["top1"], *curve[-1:]]))
            trial.update(accuracy=curve[-1], epochs=row["epoch"] + 1)
            reporter(epoch=trial["epochs"], accuracy=curve[-1])
            hopeless = is_behind(curve, self.curves)
            trial["ended"] = "early" if hopeless and trial["epochs"] < recipe.epochs else ""
            return hopeless

        try:
            fit(recipe, self.progress, on_epoch=behind)
            self.curves.append(curve)
        except GluonAttnError as error:
            trial["ended"] = str(error)
            raise
        finally:
            self.write()
        return trial["accuracy"]

    @property
    def best(self):
        """The trial with the highest accuracy on the held-out images, the first of equals."""
        evaluated = [trial for trial in self.trials if trial["epochs"]]
        if not evaluated:
            why = f" (trial 0: {self.trials[0]['ended']})" if self.trials else ": give more --minutes"
            raise GluonAttnError(f"No trial was evaluated{why}.")
        return max(evaluated, key=lambda trial: trial["accuracy"])

    def write(self):
        """tune.csv, tune.png and best.yaml, after every trial; no best.yaml while nothing was evaluated."""
        write_csv(self.folder / "tune.csv", self.trials)
        draw(self.trials, self.folder / "tune.png")
        if not any(trial["epochs"] for trial in self.trials):
            return
        names = [name for name in self.best if name not in _RESULTS]
        best = apply(self.recipe, {name: self.best[name] for name in names}).replace(output="", resume="")
        write_text(self.folder / "best.yaml", f"# Trial {self.best['trial']} of a search.\n{best.to_yaml()}")


_RESULTS = ("trial", "accuracy", "epochs", "ended", "model")


def is_behind(curve, others):
    """The median rule on curves of best accuracies, one an evaluation."""
    count = len(curve)
    reached = [other[min(count, len(other)) - 1] for other in others if other]
    return count >= PATIENCE and len(reached) >= PATIENCE and curve[-1] < statistics.median(reached)


def draw(trials, path):
    """Accuracy of the trials in their order, and the best so far."""

    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    numbers, found = [t["trial"] for t in trials], [t["accuracy"] for t in trials]
    colours = ["tab:orange" if trial["ended"] else "tab:blue" for trial in trials]
    axes.scatter(numbers, found, c=colours, label="trial (orange: ended early)")
    axes.step(numbers, [max(found[: i + 1]) for i in range(len(found))], where="post", label="best so far")
    axes.set(xlabel="trial", ylabel="accuracy on held-out images")
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path, dpi=110)


def tune(recipe, spaces, folder, trials=None, minutes=None, method="random", progress=False):
    """Search; returns the `Search` with its trials, everything written to `folder`."""
    if (folder / "tune.csv").exists():
        raise GluonAttnError(f"{str(folder)!r} holds a search already (tune.csv): give another --output, or remove it.")
    scheduler, space = _autogluon()
    search = Search(held_out(recipe), folder, progress)
    runner = scheduler(
        search,
        search_space={name: _space(space, values, method) for name, values in spaces.items()},
        searcher={"random": "local_random", "grid": "local_grid"}[method],
        search_options={"random_seed": recipe.seed} if method == "random" else {},
        num_trials=trials,
        time_out=minutes and minutes * 60,
        reward_attr="accuracy",
        time_attr="epoch",
    )
    runner.run()
    return search


def _space(space, values, method):
    if isinstance(values, tuple):
        low, high = values
        if method == "grid":
            return space.Categorical(*(low * (high / low) ** (i / 3) for i in range(4)))
        return space.Real(low, high, default=(low * high) ** 0.5, log=True)
    return space.Categorical(*values)


def _autogluon():
    try:
        from autogluon.common import space
        from autogluon.core.scheduler import LocalSequentialScheduler
    except ImportError as error:
        raise GluonAttnError(
            f"Searching needs autogluon.core, which does not import ({error}): pip install 'gluon_attn[tune]'."
        ) from error
    return LocalSequentialScheduler, space
