"""The one place that touches GluonCV: our names in its zoo, and the sentence for when it does not import."""

from __future__ import annotations

import functools

import wrapt


def register_when_imported():
    """Add our names to `gluoncv.model_zoo.get_model` as soon as GluonCV is imported (or now, if it is)."""
    # Importing GluonCV here would cost a second and fail where it is broken; a post-import hook costs neither.
    wrapt.register_post_import_hook(_register, "gluoncv.model_zoo.model_zoo")


def _register(module):
    from gluon_attn import zoo

    registry = module._models  # GluonCV has no public hook; keys are lower-case
    for name in zoo.list_models():
        registry.setdefault(name, functools.partial(zoo.get_model, name))


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
