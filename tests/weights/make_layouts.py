"""Write layouts/SOURCE.json.gz, {layout: {name in the published file: shape}}, from a folder of SOURCE.json."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path


def main(published):
    for path in Path(published).glob("*.json"):
        text = json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":")).encode()
        (Path(__file__).parent / "layouts" / f"{path.name}.gz").write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
