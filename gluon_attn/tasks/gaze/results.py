"""The folder of a leave-one-person-out: the errors that are known so far, and the settings that they are all of."""

from __future__ import annotations

import json
from pathlib import Path

from gluon_attn.errors import DataError, GluonAttnError
from gluon_attn.files import append_text, read_text, write_text
from gluon_attn.train.folder import refuse_another_run
from gluon_attn.weights.files import write_parameters


class Results:
    """errors.json, {"mean": degrees, person: degrees}, settings.json beside it and, with `networks`, pNN.params.

    People are added to what an earlier call left: `errors` is {person: degrees}. What was trained with other settings
    is refused, since a mean over both would say nothing.

    settings : {flag without its dashes: value}, as JSON keeps them
    """

    def __init__(self, folder, settings, networks=False):
        refuse_another_run(folder, resume="")
        self.folder, self.settings, self.networks = Path(folder), settings, networks
        self.errors = _read(self.folder / "errors.json")
        self.errors.pop("mean", None)
        if self.errors:
            self._refuse_other_settings(_read(self.folder / "settings.json"))

    def _refuse_other_settings(self, kept):
        other = [
            f"--{name.replace('_', '-')} {_shown(kept.get(name))} and not {_shown(value)}"
            for name, value in self.settings.items()
            if kept.get(name) != value
        ]
        if other:
            reason = f"of other settings ({', '.join(other)})" if kept else "and does not say of which settings"
            raise GluonAttnError(
                f"{str(self.folder)!r} holds errors.json {reason}: take another --output, or the same settings."
            )

    def has(self, person):
        """Whether nothing is left to train for that person."""
        return person in self.errors and (not self.networks or self._network(person).exists())

    def add(self, person, error, net):
        """Keep what is known of one person; the network, which is large, first: where it cannot be, nothing is said."""
        if self.networks:
            write_parameters(self._network(person), net)
        self.errors[person] = error
        mean = sum(self.errors.values()) / len(self.errors)
        write_text(self.folder / "settings.json", json.dumps(self.settings, indent=2) + "\n")
        write_text(self.folder / "errors.json", json.dumps({"mean": mean, **self._sorted()}, indent=2) + "\n")

    def log(self, line):
        """Print it, and keep it in train.log."""
        print(line, flush=True)
        append_text(self.folder / "train.log", f"{line}\n")

    def _sorted(self):
        return dict(sorted(self.errors.items()))

    def _network(self, person):
        return self.folder / f"{person}.params"


def _read(path):
    """The dictionary of a file, empty where there is none."""
    if not path.exists():
        return {}
    text = read_text(path, "what train_gaze.py wrote")
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        raise DataError(f"{path} is not what train_gaze.py wrote: take another --output.") from None


def _shown(value):
    """As on the command line; of a file's hash the first digits."""
    if isinstance(value, str):
        return f"(sha256 {value[:12]})" if value else "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
