"""What each stage of every network costs, from shapes; the cards of the site show it.

python -m benchmarks.stage_costs           # writes results/stage_costs.json: some minutes
python -m benchmarks.stage_costs --new     # counts the names that the file lacks, drops those that are gone
"""

from __future__ import annotations

import json
import sys

from benchmarks.common import RESULTS

FILE = RESULTS / "stage_costs.json"


def count(name):
    """{stage: [parameters, MACs of one image]}, from the stem to the head."""
    from gluon_attn import get_model, zoo
    from gluon_attn.complexity import stage_complexity

    stages = stage_complexity(get_model(name), zoo.find(name).input_size)
    return {stage: [cost.parameters, cost.macs] for stage, cost in stages.items()}


def known():
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def main(words):
    from gluon_attn import list_models
    from gluon_attn.catalogue.names import is_own

    before = known() if "--new" in words else {}
    rows = {name: before[name] if name in before else count(name) for name in filter(is_own, list_models())}
    lines = [f'"{name}": {json.dumps(row)}' for name, row in rows.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
