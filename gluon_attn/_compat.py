"""What the archived MXNet 1.9.1 needs of a newer Python and NumPy before its first import.

MXNet and GluonCV import `distutils` (gone in Python 3.12, supplied there by setuptools) and use the aliases
`numpy.bool`, `numpy.int`, ... (gone in NumPy 1.24). Importing gluon_attn before mxnet puts both back.
"""

from __future__ import annotations

import contextlib
import sys
from importlib import metadata

from gluon_attn.errors import GluonAttnError

_ALIASES = {"bool": bool, "int": int, "float": float, "object": object}


def prepare_for_mxnet():
    """Restore what MXNet looks for; raise ImportError with the remedy where it cannot work."""
    version = tuple(int(part) for part in metadata.version("numpy").split(".")[:2])
    if version >= (2, 0):
        raise ImportError(
            f"MXNet 1.9.1 cannot run on numpy {metadata.version('numpy')}: install "
            + ("'numpy==1.26.4'." if sys.version_info >= (3, 12) else "'numpy<1.24'.")
        )
    if version >= (1, 24):
        _restore_numpy_aliases()
    if sys.version_info >= (3, 12):
        import setuptools  # noqa: F401  (its import puts `distutils` back)


class MissingMXNet(GluonAttnError, ImportError):
    """MXNet is not installed, or cannot be found by this Python."""


@contextlib.contextmanager
def mxnet_explained():
    """As a context or a decorator: one sentence instead of a traceback where MXNet is what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "mxnet":
            raise
        raise MissingMXNet(
            "MXNet is not installed: run `pip install 'gluon_attn[cpu]'`, or 'gluon_attn[cu117]' on a machine with a "
            "GPU."
        ) from error


def _restore_numpy_aliases():
    import numpy

    for alias, builtin in _ALIASES.items():
        # They stay in place: MXNet and GluonCV also look them up while they run.
        if alias not in vars(numpy):
            setattr(numpy, alias, builtin)
