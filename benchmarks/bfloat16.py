"""A training step in bfloat16 (MXNet's AMP) beside float32. AMP cannot be switched off again: a process each, in turns.

python -m benchmarks.bfloat16      # writes results/bfloat16.csv; a minute
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.common import options, show, write

# network, batch, side
TABLE = (("resnet50", 8, 224), ("iaff_resnext50_32x4d", 8, 224), ("cifar_aff_resnet20", 64, 32))
DTYPES = ("float32", "bfloat16")


def main(argv=None):
    args = options(__doc__, argv, rounds=1, only="", dtype="")
    if args.dtype:
        print(json.dumps(measured(*TABLE[int(args.only)], args)))
        return
    rows = []
    for index, (name, batch, size) in enumerate(TABLE):
        seconds = {dtype: [] for dtype in DTYPES}
        for _ in range(args.rounds):
            for dtype in DTYPES:
                seconds[dtype].append(_in_a_process(index, dtype, args))
        best = {dtype: min(values) for dtype, values in seconds.items()}
        row = {"network": name, "batch": batch, "size": size, "images_per_second": f"{batch / best['bfloat16']:.2f}"}
        row["float32_images_per_second"] = f"{batch / best['float32']:.2f}"
        rows.append(show({**row, "ratio": f"{best['float32'] / best['bfloat16']:.2f}"}))
    write("bfloat16", rows, args)


def _in_a_process(index, dtype, args):
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bfloat16", "--only", str(index), "--dtype", dtype]
    command += ["--threads", str(args.threads), "--clock", args.clock]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def measured(name, batch, size, args):
    """Seconds of a step: the median of three."""
    import mxnet as mx

    import gluon_attn
    from gluon_attn.cost.jobs import training_step
    from gluon_attn.cost.timing import interleaved
    from gluon_attn.devices import prepare_arithmetic

    prepare_arithmetic(args.dtype, [mx.cpu()])
    step = training_step(gluon_attn.get_model(name), batch, size)
    return interleaved({"step": step}, rounds=3, warm_up=1, clock=args.clock)["step"].median


if __name__ == "__main__":
    main()
