"""Images a second and core of the training input, against the same steps written with Pillow the plain way.

Decode, random-resized-crop 224, flip, AutoAugment (ImageNet policy), normalise; 500x375 JPEGs; one process, one core.
The plain pipeline is run twice: augmenting the whole image before the crop, as the code behind the published AFF
weights does, and after it. All three draw the same random numbers, so ours and 'plain, crop first' give the same
pictures: the largest difference before AutoAugment is reported (its operations are compared in tests/data). All three
keep freed memory, as a process with a `data.Loader` does; the plain ones gain from it, too.

    python -m benchmarks.input_pipeline            # writes results/input_pipeline.csv
"""

from __future__ import annotations

import io
import statistics
import time

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from benchmarks.common import options, show, write
from gluon_attn.catalogue.datasets import DATASETS
from gluon_attn.data._memory import keep_freed_memory
from gluon_attn.data.auto_augment import GREY, AutoAugment
from gluon_attn.data.images import Encoded
from gluon_attn.data.seeding import random_state
from gluon_attn.data.transforms import Flip, Normalize, ResizedCrop, Transform

SIZE = 224
CROP, AUGMENT = ResizedCrop(SIZE), AutoAugment("imagenet")
MEAN, STD = DATASETS["imagenet1k"].mean, DATASETS["imagenet1k"].std
OURS = Transform([CROP, Flip(), AUGMENT, Normalize(MEAN, STD)])

PILLOW = {
    "Rotate": lambda image, value: image.rotate(value, fillcolor=GREY.fill),
    "ShearX": lambda image, value: image.transform(
        image.size, Image.AFFINE, (1, value, 0, 0, 1, 0), fillcolor=GREY.fill
    ),
    "Invert": lambda image, value: ImageOps.invert(image),
    "Solarize": ImageOps.solarize,
    "Posterize": ImageOps.posterize,
    "AutoContrast": lambda image, value: ImageOps.autocontrast(image),
    "Equalize": lambda image, value: ImageOps.equalize(image),
    "Color": lambda image, value: ImageEnhance.Color(image).enhance(value),
    "Contrast": lambda image, value: ImageEnhance.Contrast(image).enhance(value),
    "Sharpness": lambda image, value: ImageEnhance.Sharpness(image).enhance(value),
}


def jpegs(quality):
    """500x375 JPEGs cut out of scikit-learn's two photographs."""
    files = []
    for photo in load_sample_images().images:
        for x in (0, 70, 140):
            for y in (0, 52):
                content = io.BytesIO()
                Image.fromarray(photo[y : y + 375, x : x + 500]).save(content, "JPEG", quality=quality)
                files.append(content.getvalue())
    return files


def ours(content, rng):
    return OURS(Encoded(content, "benchmark"), rng)


def plain(content, rng, crop_first):
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if not crop_first:
        image = plain_augment(image, rng)
    image = image.crop(CROP.box(*image.size, rng)).resize((SIZE, SIZE), Image.BILINEAR)
    if rng.randint(2):
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    if crop_first:
        image = plain_augment(image, rng)
    array = np.asarray(image, dtype=np.float32) / 255
    array = (array - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def plain_augment(image, rng):
    for name, probability, level in AUGMENT.rows[rng.randint(len(AUGMENT.rows))]:
        if rng.uniform() < probability:
            value = AUGMENT.space[name].draw(level, image.width, rng)
            image = PILLOW[name](image, value)
    return image


PIPELINES = {
    "gluon_attn": ours,
    "plain Pillow, crop first": lambda content, rng: plain(content, rng, crop_first=True),
    "plain Pillow, augment first": lambda content, rng: plain(content, rng, crop_first=False),
}


def measure(files, count, rounds):
    """{pipeline: images/s}: the median over interleaved rounds, each over the same images and random numbers."""
    rates = {name: [] for name in PIPELINES}
    for _ in range(rounds):
        for name, pipeline in PIPELINES.items():
            start = time.process_time()
            for index in range(count):
                pipeline(files[index % len(files)], random_state(0, 0, index))
            rates[name].append(count / (time.process_time() - start))
    return {name: statistics.median(values) for name, values in rates.items()}


def largest_difference(files, count):
    """In grey levels, between our random piece and Pillow's."""
    worst = 0
    for index in range(count):
        content = files[index % len(files)]
        piece = CROP(Encoded(content, "benchmark"), random_state(0, 0, index))
        image = Image.open(io.BytesIO(content)).convert("RGB")
        expected = image.crop(CROP.box(*image.size, random_state(0, 0, index))).resize((SIZE, SIZE), Image.BILINEAR)
        worst = max(worst, np.abs(piece.astype(int) - np.asarray(expected)).max())
    return worst


def main(argv=None):
    args = options(__doc__, argv, rounds=7, images=200, quality=90, clock="cpu")
    keep_freed_memory()
    files = jpegs(args.quality)
    rates, difference = measure(files, args.images, args.rounds), largest_difference(files, args.images)
    size = sum(map(len, files)) / len(files) / 1000
    rows = [
        show(
            {
                "pipeline": name,
                "images_per_second_per_core": f"{rate:.0f}",
                "gluon_attn_is_faster_by": f"{rates['gluon_attn'] / rate:.2f}",
                "kilobytes_a_jpeg": f"{size:.0f}",
            }
        )
        for name, rate in rates.items()
    ]
    write("input_pipeline", rows, args)
    print(f"largest difference before AutoAugment: {difference} grey level(s)")


if __name__ == "__main__":
    main()
