"""What an accuracy says: its 95 % interval, and whether there is a top-5. No framework."""

from __future__ import annotations

from typing import Tuple


def wilson(hits: int, images: int) -> Tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson, 1927): where the accuracy on endlessly many such images may lie.

    With p = hits / images and z = 1.96: (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n). It is about the
    images that are drawn, not about another seed, and too good where the same images chose the weights.

    >>> wilson(45, 50)
    (0.786..., 0.956...)
    """
    from scipy.stats import binomtest

    found = binomtest(int(hits), int(images)).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def shares(hits: int, within_five: int, images: int, classes: int) -> dict:
    """top1, its interval, and top5, as fractions of 1; no top5 for five classes or fewer, of which it would be 1.

    >>> shares(9, 10, 10, classes=10)["top1"]
    0.9
    """
    found = {"top1": hits / images, "top1_interval": list(wilson(hits, images))}
    return {**found, "top5": within_five / images} if classes > 5 else found


def in_words(share: float, interval: Tuple[float, float]) -> str:
    """An accuracy in percent with its interval.

    >>> in_words(0.9, (0.786, 0.957))
    '90.00 % (95 % interval 78.6 to 95.7 %)'
    """
    low, high = (100 * end for end in interval)
    return f"{100 * share:.2f} % (95 % interval {low:.1f} to {high:.1f} %)"
