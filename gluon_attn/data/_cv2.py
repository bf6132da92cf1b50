"""OpenCV where it loads, else None: GluonCV brings it, but it needs libgl1, a system package that bare servers lack."""

from __future__ import annotations

try:
    import cv2
except ImportError:
    cv2 = None
else:
    cv2.setNumThreads(0)  # a loader has its own processes; OpenCV's threads would fight them for the cores

__all__ = ["cv2"]
