"""One process of a distributed run: train, then store this worker's weights as FOLDER/worker-RANK.params."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

from tests.train.tiny import tiny


def main(folder, *words):
    from gluon_attn.train import loop, report

    changes = dict(word.split("=", 1) for word in words)
    recipe = tiny(folder, use_global_stats=True, lr=0.01, batch_size=8, **changes)
    finish = report.finish

    def finish_and_store(run):
        run.net.save_parameters(str(Path(folder) / f"worker-{run.rank}.params"))
        return finish(run)

    with mock.patch.object(report, "finish", finish_and_store):  # in a test's own process, too: others train after it
        loop.fit(recipe, progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
