# SPDX-License-Identifier: Apache-2.0
"""Puts the tissue maps that the metrics ``tpm_overlap_*`` compare with into an image, where a network is.

    TEMPLATEFLOW_HOME=FOLDER python3 templates.py

Without a network the folder is left with a note, and these metrics are null with that reason. TemplateFlow's own
terms of use (``LICENSE``) stay beside the maps; everything else that its client puts there is removed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bidsqa.anatomy import TISSUES
from bidsqa.errors import NotComputable
from bidsqa.metrics.template import TEMPLATE, find_priors

# 2 mm: the maps are aligned at 4 mm, and small
RESOLUTION = 2
WORDS = ("LICENSE", "template_description.json", "CHANGES")


def fetch() -> None:
    """Ask TemplateFlow for the maps."""
    from templateflow import api

    for tissue in TISSUES:
        api.get(TEMPLATE, resolution=RESOLUTION, label=tissue.upper(), suffix="probseg", desc=None, extension=".nii.gz")


def keep(home: Path, paths: list[Path]) -> None:
    """Remove everything but these files and what must stand beside them."""
    kept = {*paths, *(home / f"tpl-{TEMPLATE}" / name for name in WORDS)} if paths else set()
    for path in sorted(home.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path in other.parents for other in kept if other.exists()):
                shutil.rmtree(path)
        elif path not in kept:
            path.unlink()


def main() -> None:
    """Fetch, tidy up, tell."""
    home = Path(os.environ["TEMPLATEFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    try:
        fetch()
        paths = list(find_priors(home).values())
    except (OSError, NotComputable) as error:  # requests' errors are OSErrors
        keep(home, [])
        print(f"The maps of {TEMPLATE} were not fetched ({type(error).__name__}): without them tpm_overlap_* is null.")
        # an empty folder would be filled by TemplateFlow's client, and fails where it can't be written
        (home / "README").write_text(f"{TEMPLATE} could not be fetched when this image was built.\n")
        return
    keep(home, paths)
    print("Fetched:", *(path.name for path in paths))


if __name__ == "__main__":
    main()
