"""`python tools/write_digit_images.py` writes docs/digits/: one held-out digit of every class, for `make demo`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import gluon_attn.data

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "digits"


def main():
    digits = gluon_attn.data.get_dataset("digits", "test")
    FOLDER.mkdir(parents=True, exist_ok=True)
    first = {}
    for image, label in (digits[i] for i in range(len(digits))):
        first.setdefault(label, image)
    for label, image in first.items():
        Image.fromarray(image).save(FOLDER / f"digit-{label}.png", optimize=True)


if __name__ == "__main__":
    main()
