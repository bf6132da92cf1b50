"""`make constraints`: the versions that resolve for every supported Python, merged into constraints.txt.

For each interpreter given on the command line it installs the package with all extras into an empty environment,
freezes that, and writes a line a package, with a marker where the Pythons differ.
"""

from __future__ import annotations

import collections
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "cpu,deploy,dev,tune"
HEADER = "# Tested versions, written by `make constraints`; one set for each Python from 3.8 to 3.12.\n"


def freeze(python):
    """(python version, {package: version}) of what the package resolves to under `python`."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        new = str(Path(folder) / "bin" / "python")
        subprocess.run([new, "-m", "pip", "install", "-q", "-U", "pip"], check=True)
        subprocess.run([new, "-m", "pip", "install", "-q", f"{ROOT}[{EXTRAS}]"], check=True)
        lines = subprocess.run([new, "-m", "pip", "freeze"], check=True, stdout=subprocess.PIPE, text=True)
        version = subprocess.run([new, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True,
                                 stdout=subprocess.PIPE, text=True)  # fmt: skip
    pins = dict(line.split("==") for line in lines.stdout.split() if "==" in line)
    return version.stdout.strip(), pins


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
    frozen = dict(freeze(python) for python in sys.argv[1:])
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(merge(frozen)) + "\n")


if __name__ == "__main__":
    main()
