"""`import gluon_attn` beside `import mxnet, gluoncv`, and `gluon-attn --help`: processes of their own, in turns."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.common import options, show, write

JOBS = {
    "import mxnet, gluoncv": ["-c", "import warnings; warnings.simplefilter('ignore'); import mxnet, gluoncv"],
    "and gluon_attn, its zoo": [
        "-c",
        "import warnings; warnings.simplefilter('ignore'); import gluon_attn, mxnet, gluoncv; gluon_attn.get_model",
    ],
    "gluon-attn --help": ["-m", "gluon_attn.cli", "--help"],
    "python -c pass": ["-c", "pass"],
}


def main(argv=None):
    args = options(__doc__, argv, rounds=5)
    from gluon_attn.cost.timing import interleaved

    def job(command):
        return lambda: subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)

    times = interleaved({name: job(command) for name, command in JOBS.items()}, args.rounds, 1)
    base = times["import mxnet, gluoncv"]
    rows = [
        show(
            {
                "what": name,
                "seconds": f"{timing.median:.3f}",
                "ratio": f"{1 / timing.faster_than(base):.3f}",
                "spread": f"{timing.spread:.2f}",
            }
        )
        for name, timing in times.items()
    ]
    write("import_time", rows, args)


if __name__ == "__main__":
    main()
