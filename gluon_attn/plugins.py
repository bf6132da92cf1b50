"""Modules from outside that call `gluon_attn.register_attention` when they are imported.

Installed packages name theirs by an entry point of the group `gluon_attn.attention`, or a function of it, which is then
called; anybody, by the variable GLUON_ATTN_IMPORT (separated by commas) or `--import MODULE` of any command. They are
imported when a name is asked for that the package itself does not have, or all names are: what needs none of them does
not wait for them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import threading
from importlib import metadata
from typing import Iterable

from gluon_attn.errors import GluonAttnError

GROUP = "gluon_attn.attention"
VARIABLE = "GLUON_ATTN_IMPORT"
_tried = {}  # module, or module:function: the error that its import ended with, or None
_lock = threading.RLock()


def want(modules: Iterable[str]) -> None:
    """Add modules to those of the variable, which processes that this one starts see, too; this folder's are found.

    >>> want(["my_attention"])
    """
    modules = list(modules)
    if modules:
        _look_here()
    for name in modules:
        _refuse_missing(name)
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*_named(), *modules]))


def load() -> None:
    """Import all that are named and were not yet; a sentence where one cannot be, as often as it is asked for.

    >>> load()
    """
    with _lock:
        if _named():
            _look_here()
        sources = {point.value: f"the entry point {point.name!r} of the group {GROUP}" for point in _entry_points()}
        sources.update(dict.fromkeys(_named(), f"--import or {VARIABLE}"))
        for module, source in sources.items():
            if module not in _tried:
                _tried[module] = None  # before: it may ask for names itself
                _tried[module] = _problem(module, source)
            if _tried[module] is not None:
                raise _tried[module].with_traceback(None)  # of the time before


def without() -> str:
    """A sentence for a name that none of them has registered; '' where there are none.

    >>> without()
    ''
    """
    imported = [module for module, problem in _tried.items() if problem is None]
    return f"Imported, and without it: {', '.join(imported)}." if imported else ""


def _problem(module, source):
    """Import it, and call the function of it that is named; the error where that fails."""
    try:
        name, _, function = module.partition(":")
        found = importlib.import_module(name)
        if function:
            functools.reduce(getattr, function.split("."), found)()
    except GluonAttnError as error:
        return error
    except (Exception, SystemExit) as problem:  # whatever somebody else's module raises
        reason = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
        error = GluonAttnError(
            f"The module {module!r}, which {source} names, cannot be imported: {reason}. Mend it, or take it out."
        )
        error.__cause__ = problem
        return error


def _look_here():
    """Modules of this folder are found, by the processes that this one starts, too."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _named():
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def _entry_points():
    found = metadata.entry_points()
    # A dict below Python 3.10, where one that is found twice is there twice.
    return found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())


def _refuse_missing(name):
    if not _is_there(name):
        stem = name[:-3].replace("/", ".") if name.endswith(".py") else ""
        hint = f"write --import {stem}" if stem else "it must be installed, in this folder, or on PYTHONPATH"
        raise GluonAttnError(f"--import {name}: there is no module of that name: {hint}.")


def _is_there(name):
    """Whether it can be found; the packages that it is in are imported for that, and may fail: `load` says how."""
    if not all(map(str.isidentifier, name.split("."))):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as problem:
        return not f"{name}.".startswith(f"{problem.name}.")  # its package may miss another one
    except Exception:  # whatever somebody else's package raises
        return True
