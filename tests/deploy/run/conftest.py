"""Where GLUON_ATTN_TORCH names another environment, its torch serves this one, behind all that is installed here.

`make test-torch` does so: one environment has MXNet and numpy 1, the other torch and numpy 2.
"""

import glob
import os
import sys

if os.environ.get("GLUON_ATTN_TORCH"):
    sys.path += glob.glob(os.path.join(os.environ["GLUON_ATTN_TORCH"], "lib", "python3.*", "site-packages"))
