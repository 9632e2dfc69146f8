# SPDX-License-Identifier: Apache-2.0
"""bidsqa: which MRI scans of a study can be trusted, and why.

``bidsqa.assess(path_or_image, suffix="T1w")`` gives one scan's record; ``bidsqa.read(out)`` gives the records of an
output folder as a data frame. Everything else is imported from its own package.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bidsqa.group import read
    from bidsqa.settings import Settings
    from bidsqa.steps import assess

# nothing is ever sent: Nipype would ask for its newest version, ONNX Runtime would report its use; both read this when
# they are first imported, in this process and in the workers it starts
os.environ.update(NO_ET="1", NIPYPE_NO_ET="1", ORT_DISABLE_TELEMETRY="1", TEMPLATEFLOW_AUTOUPDATE="off")

__version__ = "0.1.0"
__all__ = ["Settings", "__version__", "assess", "read"]

_HOMES = {"assess": "bidsqa.steps", "Settings": "bidsqa.settings", "read": "bidsqa.group"}


def __getattr__(name: str) -> Any:
    """Import the public names where they are first used, so that ``bidsqa --help`` answers at once."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bidsqa' has no attribute {name!r}")
