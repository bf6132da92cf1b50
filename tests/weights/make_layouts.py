"""Write layouts/*.json.gz, {layout: {name in the published file: shape}}, from the folder of published json files."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path


def main(published):
    for source in ("openaff", "imgclsmob", "timm", "abn"):
        layouts = json.loads((Path(published) / f"{source}.json").read_text(encoding="utf-8"))
        text = json.dumps(layouts, separators=(",", ":")).encode()
        (Path(__file__).parent / "layouts" / f"{source}.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
