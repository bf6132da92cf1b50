"""Tiny ImageNet's official layout, with a few classes of made-up pictures: a coloured square, its box, on noise."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image

# Not sorted, as in the official file; each with the synonyms of words.txt.
IDS = {"n03": "blue thing, thing, azure", "n01": "red thing", "n02": "green thing, verdure"}
COLOURS = {"n01": (220, 40, 40), "n02": (40, 220, 40), "n03": (40, 40, 220)}
TOP = "tiny-imagenet-200"


def picture(key, rng, grey=False):
    """(JPEG bytes, box with its last pixels included, as the official lists have it)."""
    image = rng.randint(0, 90, (64, 64, 3)).astype(np.uint8)
    x0, y0 = rng.randint(0, 40, 2)
    x1, y1 = x0 + rng.randint(12, 23), y0 + rng.randint(12, 23)
    image[y0 : y1 + 1, x0 : x1 + 1] = COLOURS[key]
    content = io.BytesIO()
    Image.fromarray(image).convert("L" if grey else "RGB").save(content, "JPEG", quality=95, subsampling=0)
    return content.getvalue(), (x0, y0, x1, y1)


def files(train=5, val=3, seed=0):
    """{path in the official folder: bytes}; the first picture of every class is grey."""
    rng = np.random.RandomState(seed)
    tree = {"wnids.txt": "".join(f"{key}\n" for key in IDS).encode()}
    words = {**IDS, "n00": "entity", "n99": "nothing, nil"}
    tree["words.txt"] = "".join(f"{key}\t{words[key]}\n" for key in sorted(words)).encode()
    for key in IDS:
        rows = []
        for number in range(train):
            name = f"{key}_{number}.JPEG"
            tree[f"train/{key}/images/{name}"], box = picture(key, rng, grey=number == 0)
            rows.append("\t".join(map(str, (name, *box))) + "\n")
        tree[f"train/{key}/{key}_boxes.txt"] = "".join(rows).encode()
    rows = []
    for number, key in enumerate([key for _ in range(val) for key in IDS]):
        tree[f"val/images/val_{number}.JPEG"], box = picture(key, rng)
        rows.append("\t".join(map(str, (f"val_{number}.JPEG", key, *box))) + "\n")
    tree["val/val_annotations.txt"] = "".join(rows).encode()
    tree["test/images/test_0.JPEG"] = picture("n01", rng)[0]
    return tree


def write_folder(root, **counts):
    """The official folder below `root`; returns it."""
    for path, content in files(**counts).items():
        (root / TOP / path).parent.mkdir(parents=True, exist_ok=True)
        (root / TOP / path).write_bytes(content)
    return root / TOP


def zipped(**counts):
    """The bytes of the official zip, with entries for its folders, as there."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{TOP}/", b"")
        for path, data in files(**counts).items():
            archive.writestr(f"{TOP}/{path}", data)
    return content.getvalue()
