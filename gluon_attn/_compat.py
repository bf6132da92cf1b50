"""What the archived MXNet 1.9.1 needs of a newer Python and NumPy before its first import.

MXNet and GluonCV import `distutils` (gone in Python 3.12, supplied there by setuptools) and use the aliases
`numpy.bool`, `numpy.int`, ... (gone in NumPy 1.24). Importing gluon_attn before mxnet puts both back.
"""

from __future__ import annotations

import contextlib
import sys
from importlib import metadata, util
from traceback import walk_tb

from gluon_attn.errors import GluonAttnError

_ALIASES = {"bool": bool, "int": int, "float": float, "object": object}


def prepare_for_mxnet():
    """Restore what MXNet looks for, where it is installed and can run; elsewhere its import is explained, not ours."""
    if not _installed("mxnet") or _numpy() >= (2, 0):
        return
    if _numpy() >= (1, 24):
        _restore_numpy_aliases()
    if sys.version_info >= (3, 12) and _installed("setuptools"):
        import setuptools  # noqa: F401  (its import puts `distutils` back)


def _installed(name):
    try:
        return util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _numpy():
    return tuple(int(part) for part in metadata.version("numpy").split(".")[:2])


class MissingMXNet(GluonAttnError, ImportError):
    """MXNet is not installed, cannot be found by this Python, or cannot run beside this numpy."""


class MissingPackage(GluonAttnError, ImportError):
    """What was asked for needs a package that is not installed."""


class BrokenPackage(GluonAttnError, ImportError):
    """What was asked for needs a package that is installed and cannot be imported."""


# What is no part of the base package, and how it comes.
_REMEDIES = {
    "gluoncv": "gluon_attn[cpu]",
    "h5py": "gluon_attn[gaze]",
    "matplotlib": "matplotlib",
    "onnx": "gluon_attn[deploy]",
    "onnxruntime": "gluon_attn[serve]",
    "openvino": "gluon_attn[serve]",
    "torch": "gluon_attn[torch]",
}


@contextlib.contextmanager
def mxnet_explained():
    """As a context or a decorator: one sentence, not a traceback, where MXNet or another extra is missing or broken."""
    try:
        yield
    except GluonAttnError:
        raise
    except Exception as error:
        explained = _missing(error) or _beside_numpy_2(error) or _broken(error)
        if explained is None:
            raise
        raise explained from error


def _missing(error):
    """The sentence for a package that is not installed, or None."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not package or _installed(package):
        return None
    if package == "mxnet":
        return MissingMXNet(
            f"MXNet is not installed: run `pip install 'gluon_attn[cpu]'`{_where()}, or 'gluon_attn[cu117]' on a "
            "machine with a GPU. Without it, files of `gluon-attn export` run: `--file net.onnx`, or deploy.Predictor."
        )
    if package not in _REMEDIES:
        return None
    remedy = _REMEDIES[package]
    quoted = f"'{remedy}'" if "[" in remedy else remedy
    return MissingPackage(f"This needs {package}, which is not installed: run `pip install {quoted}`.")


def _where():
    """On which Pythons MXNet can be installed, said on others."""
    newer = sys.version_info >= (3, 13)
    return f" on Python 3.8 to 3.12 (this is {sys.version_info[0]}.{sys.version_info[1]})" if newer else ""


def _beside_numpy_2(error):
    """The sentence for MXNet on a numpy that it cannot run on, or None."""
    if not isinstance(error, (AttributeError, ImportError)) or _numpy() < (2, 0) or not _within_mxnet(error):
        return None
    return MissingMXNet(
        f"MXNet 1.9.1 cannot run on numpy {metadata.version('numpy')}: install "
        + ("'numpy==1.26.4'." if sys.version_info >= (3, 12) else "'numpy<1.24'.")
    )


def _broken(error):
    """The sentence for a package whose own import raised it, or None; of several, the one that another imported."""
    importing = (frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code.co_name == "<module>")
    packages = [package for package in map(_package, importing) if package == "mxnet" or package in _REMEDIES]
    if not packages:
        return None
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return BrokenPackage(f"{packages[-1]} is installed and does not import ({reason}): reinstall it.")


def _within_mxnet(error):
    """Whether MXNet's own code was running when it was raised."""
    return any(_package(frame) == "mxnet" for frame, _ in walk_tb(error.__traceback__))


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]


def import_gluoncv():
    """GluonCV, or an ImportError that says what is wrong in one sentence."""
    try:
        import gluoncv
    except (ImportError, RuntimeError) as cause:
        raise ImportError(
            f"GluonCV does not import ({cause}). Install the tested set (pip install 'gluoncv==0.10.5.post0'); "
            "GluonCV also refuses to load beside torch>=2: use an environment without torch for what needs GluonCV."
        ) from cause
    return gluoncv


def _restore_numpy_aliases():
    import numpy

    for alias, builtin in _ALIASES.items():
        # They stay in place: MXNet and GluonCV also look them up while they run.
        if alias not in vars(numpy):
            setattr(numpy, alias, builtin)
