"""What a forward pass pays for the maps: a network that was explained, beside one that ran before explain was imported.

python -m benchmarks.explain_cost      # writes results/explain_cost.csv; a minute
"""

from __future__ import annotations

import sys

from benchmarks.common import options, show, write

# network, side of the image, batch
TABLE = (
    ("cifar_cbam_resnet20", 32, 16),
    ("cifar_abn_resnet20", 32, 16),
    ("cifar_danet_resnet20", 32, 4),
    ("iaff_resnet50", 224, 1),
)
MODES = ("hybridized", "imperative")


def main(argv=None):
    args = options(__doc__, argv, rounds=3, networks="")
    table = [row for row in TABLE if not args.networks or row[0] in args.networks.split(",")]
    # Two of each: what they differ by is what the measurement cannot tell apart.
    pairs = {(row, mode): [forward(*row, mode) for _ in range(2)] for row in table for mode in MODES}
    if "gluon_attn.explain" in sys.modules:
        raise RuntimeError("gluon_attn.explain is imported already: there is nothing to compare with.")
    rows = [measure(row, mode, pair, args) for (row, mode), pair in pairs.items()]
    write("explain_cost", rows, args)


def forward(name, size, batch, mode, explained=False):
    """A callable: a forward pass (or two, of a small one) of a network with seeded weights; waits for the end."""
    import mxnet as mx

    import gluon_attn

    mx.random.seed(0)
    net = gluon_attn.get_model(name)
    net.initialize(mx.init.Xavier())
    if mode == "hybridized":
        net.hybridize(static_alloc=True, static_shape=True)
    images = mx.nd.random.uniform(-1, 1, (batch, 3, size, size))
    net(images).wait_to_read()
    if explained:
        from gluon_attn import explain

        explain.attention_maps(net, images)
        explain.gradcam(net, images)

    def run():
        for _ in range(2 if size < 100 else 1):
            net(images)
        mx.nd.waitall()

    return run


def measure(row, mode, pair, args):
    """A row of the table: medians of the ratios of the rounds, to the first untouched network."""
    from gluon_attn.cost.timing import PAUSE, interleaved

    jobs = {"untouched": pair[0], "twin": pair[1], "explained": forward(*row, mode, explained=True)}
    times = interleaved(jobs, args.rounds, clock=args.clock, pause=0 if args.threads == 1 else PAUSE)
    base = times["untouched"]
    return show(
        {
            "network": row[0],
            "mode": mode,
            "batch": row[2],
            "milliseconds": f"{1000 * base.median:.1f}",
            "explained": f"{base.faster_than(times['explained']):.3f}",
            "twin": f"{base.faster_than(times['twin']):.3f}",
            "spread": f"{base.spread:.3f}",
        }
    )


if __name__ == "__main__":
    main()
