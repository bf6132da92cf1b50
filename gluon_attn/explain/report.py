"""One HTML file with the views of many pictures: no server, no network, nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from gluon_attn.explain.pictures import asked, overlay
from gluon_attn.files import write_text

TEMPLATE = Path(__file__).with_name("report.html")
TOP = 5


def write(rows, path, subjects, names, target=None):
    """Write the page.

    rows : {network: [View, ...]}, a view of every subject
    subjects : what was explained (explain.subjects.Subject)
    names : names of the classes
    target : the class that was explained, where it is not the predicted one
    """
    content = {
        "networks": list(rows),
        "methods": [asked(method, names, target) for method in next(iter(rows.values()))[0].maps],
        "subjects": [
            {
                "name": subject.name,
                "label": None if subject.label is None else names[subject.label],
                "picture": data_uri(next(iter(rows.values()))[i].image),
                "box": _box(next(iter(rows.values()))[i]),
                "views": [_view(views[i], subject.label, names) for views in rows.values()],
            }
            for i, subject in enumerate(subjects)
        ],
    }
    page = fill(TEMPLATE.read_text(encoding="utf-8"), title=html.escape(", ".join(rows)), content=in_script(content))
    # A file's name may hold what is no Unicode (lone surrogates), which UTF-8 cannot write.
    write_text(path, page, errors="xmlcharrefreplace")


def fill(template, **values):
    """Every @NAME@ of the template replaced by its value, once: what a value contains is never replaced again."""
    return re.sub("@(TITLE|CONTENT)@", lambda found: values[found.group(1).lower()], template)


def in_script(content):
    """JSON that can stand in a script element: without `<`, no tag, comment or end of the script begins in it."""
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")


def _view(view, label, names):
    return {
        "predicted": names[view.predicted],
        "right": None if label is None else view.predicted == label,
        "top": [[names[i], _number(view.probabilities[i])] for i in view.top(TOP)],
        "maps": [None if heat is None else data_uri(overlay(view.image, heat)) for heat in view.maps.values()],
    }


def _number(probability):
    """With four digits; None for what is no number, which JSON does not have."""
    return round(float(probability), 4) if np.isfinite(probability) else None


def _box(view):
    """[left, top, width, height] as shares of the picture, where the object's box is known."""
    if view.box is None:
        return None
    x0, y0, x1, y1 = view.box
    height, width = view.image.shape[:2]
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]


def data_uri(image):
    """uint8 (H, W, 3) inside the page: PNG where small, since it is exact, else JPEG."""
    kind = "PNG" if image.shape[0] * image.shape[1] <= 128 * 128 else "JPEG"
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, quality=88)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
