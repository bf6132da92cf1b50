"""`make constraints`: the versions that resolve for every supported Python, merged into two files.

constraints.txt is for MXNet with the other extras, constraints-serve.txt for serving without it (another numpy). For
each interpreter given on the command line it installs the package with those extras into an empty environment, freezes
that, and writes a line a package, with a marker where the Pythons differ.
"""

from __future__ import annotations

import collections
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# file: extras, and the Pythons that they are for
SETS = {
    "constraints.txt": ("cpu,deploy,dev,tune", ("3.8", "3.9", "3.10", "3.11", "3.12")),
    "constraints-serve.txt": ("serve,dev", ("3.9", "3.10", "3.11", "3.12", "3.13")),
}
HEADER = "# Tested versions, written by `make constraints`; one set for each Python from {} to {}.\n"


def version_of(python):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def freeze(python, extras):
    """{package: version} of what the package resolves to under `python`."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        new = str(Path(folder) / "bin" / "python")
        subprocess.run([new, "-m", "pip", "install", "-q", "-U", "pip"], check=True)
        subprocess.run([new, "-m", "pip", "install", "-q", f"{ROOT}[{extras}]"], check=True)
        lines = subprocess.run([new, "-m", "pip", "freeze"], check=True, stdout=subprocess.PIPE, text=True)
    return dict(line.split("==") for line in lines.stdout.split() if "==" in line)


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
        frozen = {version: freeze(pythons[version], extras) for version in versions if version in pythons}
        text = HEADER.format(versions[0], versions[-1]) + "\n".join(merge(frozen)) + "\n"
        (ROOT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
