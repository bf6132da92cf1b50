"""`python -m pytest -p tests.as_if_amx`: the suite as on a CPU with matrix units, on one that has none.

What is ours then takes the other way: widths of groups, fences, what int8 files keep in bfloat16, what the logs say.
The kernels stay those of this CPU: oneDNN takes DNNL_MAX_CPU_ISA for a maximum.
"""

from __future__ import annotations

import re
from pathlib import Path

from gluon_attn import matrix_units


def pytest_configure(config):
    if matrix_units.missing() == "":  # there Linux has to be asked in earnest
        return
    flags = " ".join(("", *matrix_units.NEEDED, "amx_int8"))
    known = Path(matrix_units.CPUINFO).read_text(encoding="utf-8")
    made_up = config.rootpath / ".pytest_cache" / "cpuinfo"
    made_up.parent.mkdir(exist_ok=True)
    made_up.write_text(re.sub(r"(?m)^(flags\b.*)$", rf"\1{flags}", known), encoding="utf-8")
    matrix_units.CPUINFO, matrix_units.request = str(made_up), lambda: ""
