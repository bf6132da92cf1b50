"""Freed memory stays in the process: an image's arrays are as large as the last one's, and pages are dear to get."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h; elsewhere there is no mallopt, and nothing is done.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK, KEPT = 32 << 20, 128 << 20  # bytes; glibc takes no larger block


def keep_freed_memory():
    """Blocks of up to 32 MB come from the heap, and up to 128 MB of free heap are kept. Forked workers inherit it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(M_TRIM_THRESHOLD, KEPT))
