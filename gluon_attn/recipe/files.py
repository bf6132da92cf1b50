"""Recipe files: the built-in ones in this folder, and a user's; `base:` names the one that a file changes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from gluon_attn.errors import GluonAttnError, unknown
from gluon_attn.files import AnyPath
from gluon_attn.recipe.values import MOST_TEXT, load_yaml, mapping, shown

RECIPES = Path(__file__).resolve().parent


def list_recipes() -> List[str]:
    """Names of the built-in recipes.

    >>> list_recipes()[:2]
    ['abn_cifar', 'abn_cifar_densenet']
    """
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_file(name: AnyPath, above: Sequence[Path] = ()) -> Dict[str, Any]:
    """The values of a recipe file as a dict; its `base` recipe, where it names one, lies underneath.

    above : the files whose base this is, by way of each other

    >>> read_file("digits_few")["dataset"]
    'digits'
    """
    path = _path(name, above[-1].parent if above else None)
    if path in above:
        files = " -> ".join(map(str, (*above, path)))
        raise GluonAttnError(f"A recipe cannot be its own base: {files}. Take one `base:` out.")
    values = _values(path)
    base = values.pop("base", None)
    if base in (None, ""):
        return values
    if not isinstance(base, str):
        raise GluonAttnError(
            f"The recipe file {str(path)!r} has the base {shown(base)}: it takes the name of a recipe, or a file."
        )
    return merged(read_file(base, (*above, path)), values)


def _path(name, beside=None):
    """The file of that name: of a base, the one beside the file that names it, or in the working directory."""
    path = Path(os.path.expanduser(name))
    path = path if path.suffix in (".yaml", ".yml") else RECIPES / f"{name}.yaml"
    for place in (beside / path, path) if beside else (path,):
        if _is_file(place):
            return place.resolve()
    if path.parent == RECIPES:
        raise unknown("recipe", str(name)[:80], list_recipes())
    raise GluonAttnError(f"There is no recipe file {shown(str(path))}. Built-in recipes: {', '.join(list_recipes())}.")


def _is_file(path):
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name of a thousand letters, or with a zero in it
        return False


def _values(path):
    """{field: value} of one file."""
    try:
        with open(path, encoding="utf-8") as stream:
            values = load_yaml(stream.read(MOST_TEXT + 1))
    except UnicodeDecodeError as error:
        raise GluonAttnError(f"The recipe file {str(path)!r} is no text in UTF-8: {error}.") from None
    except OSError as error:
        raise GluonAttnError(f"The recipe file {str(path)!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        reason = " ".join(str(error).split())  # YAML's has a picture of the place, over several lines
        raise GluonAttnError(f"The recipe file {str(path)!r} is not valid YAML: {reason}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise GluonAttnError(f"The recipe file {str(path)!r} must hold lines of the form `option: value`.")
    strange = [key for key in values if not isinstance(key, str)]
    if strange:
        raise GluonAttnError(f"The recipe file {str(path)!r} has the option {shown(strange[0])}, which is no word.")
    return {key.replace("-", "_"): value for key, value in values.items()}


def merged(below: Mapping, above: Mapping) -> Dict[str, Any]:
    """Two dicts of options, the second on top. Network keywords (`arch`) are added to those below, one by one.

    >>> merged({"lr": 0.1, "arch": "reduction=8"}, {"arch": {"alpha": 0.5}})
    {'lr': 0.1, 'arch': {'reduction': 8, 'alpha': 0.5}}
    """
    result = {**below, **above}
    if below.get("arch") and above.get("arch"):
        with contextlib.suppress(ValueError, TypeError):  # what cannot be read, `Recipe.of` says
            result["arch"] = {**mapping(below["arch"]), **mapping(above["arch"])}
    return result
