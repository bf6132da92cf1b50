"""Arrows point down: which part of the package may import which, function-level imports included."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gluon_attn"

# From the top; a line may import from itself and from those below. Files of one line never import each other in a
# circle (see the second test).
LAYERS = (
    ("cli", "commands", "__main__"),
    ("tasks",),
    ("train",),
    ("recipe",),
    ("cost",),
    ("deploy",),
    ("explain", "evaluate", "predict"),
    ("register",),
    ("zoo", "_gluoncv"),
    ("weights",),
    ("data",),
    ("models",),
    ("attention", "complexity"),
    ("catalogue",),
    (
        "errors",
        "parser",
        "plugins",
        "scoped",
        "accuracy",
        "files",
        "figures",
        "devices",
        "matrix_units",
        "mixed_precision",
        "hybridization",
        "tracing",
        "threads",
        "layers",
        "losses",
        "cpu",
        "_compat",
        "_version",
    ),
)
# `import gluon_attn` is what a user does: it hands out names from every part, when they are asked for.
ROOT = "gluon_attn"


def modules():
    """{dotted name: file} of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path):
    """The modules of this package that the file imports, anywhere in it; names given as text ("module:Class") too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES:
                    yield whole
                elif node.module in MODULES:
                    yield node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import; write the whole name")


@functools.lru_cache(maxsize=None)
def graph():
    """{module: those that it imports}; built where a test asks for it, not in every process that collects the tests."""
    return {name: sorted(set(imports(path)) - {name}) for name, path in MODULES.items()}


def layer(name):
    part = name.split(".")[1]
    numbers = [number for number, parts in enumerate(LAYERS) if part in parts]
    assert numbers, f"{name}: say in LAYERS where {part!r} stands"
    return numbers[0]


@pytest.mark.parametrize("name", [name for name in MODULES if name != ROOT])
def test_arrows_point_down(name):
    up = [other for other in graph()[name] if other == ROOT or layer(other) < layer(name)]
    assert not up, f"{name} imports from above: {', '.join(up)}"


def test_no_circle():
    """No two files import each other, directly or through others."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        path.append(name)
        for other in graph()[name]:
            circle = visit(other)
            if circle:
                return circle
        path.pop()
        done.add(name)
        return None

    circles = [circle for circle in map(visit, graph()) if circle]
    assert not circles, " -> ".join(circles[0])


def test_only_commands_know_commands():
    users = {name for name, used in graph().items() for other in used if other.startswith("gluon_attn.commands")}
    strangers = [name for name in users if not name.startswith(("gluon_attn.commands", "gluon_attn.cli"))]
    assert not strangers


def _code_lines(function):
    """Lines of a function without its docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    return function.end_lineno - function.lineno + 1 - documented * (first.end_lineno - first.lineno + 1)


@pytest.mark.parametrize("folder", ["gluon_attn", "benchmarks", "tools"])
def test_functions_and_files_are_small(folder):
    """About 40 lines a function and 300 a file: what grows beyond comes apart."""
    long = []
    for path in sorted((PACKAGE.parent / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
        long += [f"{path}:{node.lineno} {node.name}" for node in functions if _code_lines(node) > 40]
        long += [str(path)] * (len(text.splitlines()) > 330)
    assert not long, long
