"""`make constraints`: the versions that resolve for every supported Python, merged into two files.

constraints.txt is for MXNet with the other extras, constraints-serve.txt for serving without it (another numpy). For
each interpreter given on the command line it asks pip what the package with those extras resolves to, and writes a line
a package, with a marker where the Pythons differ.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# file: extras, and the Pythons that they are for
SETS = {
    "constraints.txt": ("cpu,deploy,dev,docs,tune", ("3.8", "3.9", "3.10", "3.11", "3.12")),
    "constraints-serve.txt": ("serve,dev", ("3.9", "3.10", "3.11", "3.12", "3.13")),
}
HEADER = "# Tested versions, written by `make constraints`; one set for each Python from {} to {}.\n"


def version_of(python):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def resolve(python, extras):
    """{package: version} of what pip would install under `python` with those extras, into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-U", "pip"], check=True)
        words = ["--dry-run", "--ignore-installed", "--report", "-", f"{ROOT}[{extras}]"]
        report = subprocess.run([*pip, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in json.loads(report)["install"]}
    return {name: version for name, version in found.items() if name != "gluon-attn"}


def merge(frozen):
    """Lines of a constraints file from {python version: {package: version}}."""
    versions = collections.defaultdict(lambda: collections.defaultdict(list))
    for python, pins in frozen.items():
        for package, version in pins.items():
            versions[package.lower().replace("_", "-")][version].append(python)
    for package in sorted(versions):
        for version, pythons in versions[package].items():
            marker = " or ".join(f"python_version == '{python}'" for python in pythons)
            yield f"{package}=={version}" + ("" if len(versions[package]) == 1 else f" ; {marker}")


def main():
    pythons = {version_of(python): python for python in sys.argv[1:]}
    for name, (extras, versions) in SETS.items():
        frozen = {version: resolve(pythons[version], extras) for version in versions if version in pythons}
        text = HEADER.format(versions[0], versions[-1]) + "\n".join(merge(frozen)) + "\n"
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
