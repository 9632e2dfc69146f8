# SPDX-License-Identifier: Apache-2.0
"""The packages that an image of bidsqa needs, one a line for pip, from ``setup.cfg``.

    python3 requirements.py setup.cfg --device cpu --training yes

Needs nothing but Python, since it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import configparser
import re
from pathlib import Path

# what the main job never imports: a test of the package holds it
TRAINING_ONLY = frozenset({"torch", "torchio"})
CUDA_BUILDS = {"onnxruntime": "onnxruntime-gpu[cuda,cudnn]"}


def requirements(setup: Path, device: str, training: bool) -> list[str]:
    """Requirements of the package, and of its extra ``training`` where asked for.

    Parameters
    ----------
    setup : Path
        ``setup.cfg``.
    device : str
        ``cpu`` or ``cuda``.
    training : bool
        With what ``bidsqa-train`` and ``bidsqa-demo`` need.
    """
    table = configparser.ConfigParser(interpolation=None)
    table.read(setup, encoding="utf-8")
    lines = table["options"]["install_requires"].splitlines()
    if training:
        lines += table["options.extras_require"]["training"].splitlines()
    found = []
    for line in filter(None, map(str.strip, lines)):
        name = re.split(r"[^\w-]", line, maxsplit=1)[0]
        if name.lower() in TRAINING_ONLY and not training:
            continue
        build = CUDA_BUILDS.get(name.lower(), name) if device == "cuda" else name
        found.append(build + line[len(name) :])
    return found


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setup", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--training", choices=("yes", "no"), default="yes")
    given = parser.parse_args()
    print("\n".join(requirements(given.setup, given.device, given.training == "yes")))


if __name__ == "__main__":
    main()
