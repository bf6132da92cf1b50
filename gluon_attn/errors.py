"""Errors are sentences: the value that was given, what is allowed, and the remedy."""

from __future__ import annotations

import difflib
from typing import Any, Iterable, Sequence

# What commands say of a Ctrl-C, with the shell's status 130.
INTERRUPTED = "interrupted; files that were whole before are whole still."


class GluonAttnError(ValueError):
    """A mistake of the caller's; its text can be shown to a person as it stands."""


class WeightsError(GluonAttnError):
    """Weights that cannot be found, verified or loaded."""


class DataError(GluonAttnError):
    """A data set that is missing, incomplete or damaged."""


class WriteError(GluonAttnError, OSError):
    """A file that could not be written; what was there before still is."""


def unknown(
    kind: str,
    value: Any,
    choices: Iterable,
    error: type = GluonAttnError,
    near: Sequence[str] = (),
    remedy: str = "",
) -> GluonAttnError:
    """The error for a `value` that is none of the `choices`, with the nearest one as a hint (or with those `near`).

    `remedy` is a sentence that follows the choices.

    >>> print(unknown("gate", "sse", ["se", "cbam"]))
    Unknown gate 'sse'. Did you mean 'se'? Choices: cbam, se.
    """
    choices = sorted(choices)
    begun = [choice for choice in choices if str(value) and choice.startswith(str(value))]
    near = list(near) or begun[:3] or difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(choices)
    if len(choices) > 40:
        like = difflib.get_close_matches(str(value), choices, n=10, cutoff=0)
        shown = ", ".join(like) + f", ... ({len(choices)} in all)"
    return error(f"Unknown {kind} {value!r}.{hint} Choices: {shown}." + (remedy and f" {remedy}"))
