"""Training on a CPU: a step of ours beside the plain formulation, same engine, same run."""

from __future__ import annotations

import gc

from benchmarks.common import options, show, write

# network, batch, side, the ratio aimed at
TABLE = (
    ("resnext50_32x4d", 16, 224, 3.0),
    ("iaff_resnext50_32x4d", 16, 224, 2.8),
    ("cifar_aff_preresnet32_w4", 128, 32, 1.5),
)


def main(argv=None):
    args = options(__doc__, argv, rounds=3, networks="", shrink=1)
    import gluon_attn
    from benchmarks.plain import plain_network, plain_words
    from gluon_attn.cost.jobs import training_step
    from gluon_attn.cost.timing import interleaved

    rows = []
    for name, batch, size, target in TABLE:
        if args.networks and name not in args.networks.split(","):
            continue
        batch //= args.shrink
        jobs = {"ours": training_step(gluon_attn.get_model(name), batch, size)}
        jobs["ours"]()
        with plain_words():
            jobs["plain"] = training_step(plain_network(name), batch, size)
            jobs["plain"]()
        times = interleaved(jobs, args.rounds, warm_up=0, clock=args.clock)
        jobs.clear()
        gc.collect()  # a Gluon network holds itself in circles, and each of these holds gigabytes
        rows.append(
            show(
                {
                    "network": name,
                    "batch": batch,
                    "size": size,
                    "images_per_second": f"{batch / times['ours'].median:.2f}",
                    "plain_images_per_second": f"{batch / times['plain'].median:.2f}",
                    "ratio": f"{times['ours'].faster_than(times['plain']):.2f}",
                    "target": target,
                    "spread": f"{max(t.spread for t in times.values()):.2f}",
                }
            )
        )
    write("training_speed", rows, args)


if __name__ == "__main__":
    main()
