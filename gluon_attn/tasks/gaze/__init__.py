"""Gaze from faces: full-face CNN with spatial weights (arXiv 1611.08860)."""
