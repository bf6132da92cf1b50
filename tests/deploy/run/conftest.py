"""Where GLUON_ATTN_TORCH names another environment, its torch serves this one, behind all that is installed here.

`make test-torch` does so: one environment has MXNet and numpy 1, the other torch and numpy 2.
"""

from benchmarks.common import find_torch

find_torch()
