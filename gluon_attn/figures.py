"""Pictures of Matplotlib, made without a display and written whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gluon_attn.errors import GluonAttnError
from gluon_attn.files import AnyPath, replacing

if TYPE_CHECKING:
    import matplotlib.figure


def new_figure(width: float, height: float) -> matplotlib.figure.Figure:
    """An empty figure of that size in inches, whose parts make room for each other.

    >>> figure = new_figure(7, 3.6)
    >>> save_figure(figure, "curves.png", dpi=110)
    """
    from matplotlib.figure import Figure  # not pyplot, which looks for a display; and it takes half a second

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: matplotlib.figure.Figure, path: AnyPath, dpi: int) -> None:
    """Write it in the format that the file's name ends in; PNG where it has no ending.

    >>> save_figure(new_figure(2, 1), "empty.png", dpi=50)
    """
    kind, known = Path(path).suffix[1:].lower() or "png", figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise GluonAttnError(f"{path}: pictures are not written as .{kind}. Choices: {', '.join(sorted(known))}.")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi)
