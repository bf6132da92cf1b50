"""Choices that contradict each other, found before anything is built."""

from __future__ import annotations

from gluon_attn.errors import GluonAttnError


def check(recipe):
    """Raise a sentence for the first choice of the recipe that cannot work."""
    for wrong, sentence in _faults(recipe):
        if wrong:
            raise GluonAttnError(sentence)


def _faults(r):
    augmented = r.auto_aug not in ("", "none")
    mixed = r.mixup > 0 or r.cutmix > 0
    yield r.epochs < 1, f"--epochs {r.epochs} trains nothing: give 1 or more."
    yield r.batch_size < 1, f"--batch-size {r.batch_size} is too small: give 1 or more."
    yield r.eval_every < 1, f"--eval-every {r.eval_every} never evaluates: give 1 (each epoch) or more."
    yield from _progressive_faults(r)
    yield r.accumulate < 1, f"--accumulate {r.accumulate} is too small: give 1 (no accumulation) or more."
    yield r.lr <= 0, f"--lr {r.lr} does not train: give a positive number."
    yield not 0 <= r.label_smoothing < 1, f"--label-smoothing {r.label_smoothing} must be at least 0 and below 1."
    yield min(r.mixup, r.cutmix) < 0, "--mixup and --cutmix take the alpha of a Beta distribution: 0 (off) or more."
    yield not 0 <= r.ema < 1, f"--ema {r.ema} must be at least 0 (off) and below 1, 0.9999 for example."
    yield not 0 <= r.hard_weight <= 1, f"--hard-weight {r.hard_weight} is a share: give 0 to 1."
    yield (
        r.warmup_epochs > r.epochs,
        f"--warmup-epochs {r.warmup_epochs} leaves none of the {r.epochs} epochs at full rate: give fewer.",
    )
    yield (
        r.schedule == "step" and not r.milestones,
        "--schedule step needs --milestones, the epochs at which the rate drops, as in --milestones 60,120,160.",
    )
    yield (
        r.schedule == "cosine" and bool(r.milestones),
        "--milestones belong to --schedule step; the cosine schedule has none. Leave one of the two out.",
    )
    yield (
        mixed and r.mixup_off_epochs >= r.epochs,
        f"--mixup-off-epochs {r.mixup_off_epochs} of {r.epochs} epochs leaves no epoch to mix in: give fewer.",
    )
    yield from _reader_faults(r, augmented)


def _progressive_faults(r):
    sizes = {str(start): size for start, size in r.progressive.items()}
    starts = [start for start in sizes if not start.isdigit() or int(start) >= r.epochs]
    yield (
        bool(starts),
        f"--progressive names epoch {starts[:1]}: give whole numbers from 0 to {r.epochs - 1}, as in 0=32,6=48,8=64.",
    )
    wrong = [size for size in sizes.values() if not isinstance(size, int) or isinstance(size, bool) or size < 1]
    yield (
        bool(wrong),
        f"--progressive has the size {wrong[:1]}: give the side of the images in pixels, as in 0=32,8=64.",
    )
    yield (
        bool(sizes) and r.reader == "native",
        "MXNet's native .rec reader has one image size a run: use --reader pil, or leave out --progressive.",
    )


def _reader_faults(r, augmented):
    native = r.reader == "native"
    yield (
        native and r.dataset != "imagenet-rec",
        f"--reader native reads RecordIO only, not {r.dataset!r}: use --dataset imagenet-rec, or --reader pil.",
    )
    yield (
        native and (augmented or r.erasing > 0),
        "MXNet's native .rec reader has no AutoAugment and no random erasing: use --reader pil (it has both), "
        "or --auto-aug none --erasing 0.",
    )
    yield (
        native and r.validation,
        "MXNet's native .rec reader cannot hold images out of a file: use --reader pil, or --validation 0.",
    )
    yield (
        native and r.on_bad_image == "skip",
        "MXNet's native .rec reader cannot skip a bad image: use --reader pil with --on-bad-image skip.",
    )
