# SPDX-License-Identifier: Apache-2.0
"""What a record's numbers come from: versions, weights, settings that change them, the input, the machine."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib import metadata
from typing import Any

import bidsqa
from bidsqa.accounting import Ledger
from bidsqa.record import SCHEMA_VERSION
from bidsqa.settings import Settings, Source, sidecar_digest

SOFTWARE = ("numpy", "scipy", "nibabel", "onnxruntime", "SimpleITK", "nipype", "pybids")


def provenance_of(
    source: Source, settings: Settings, digest: str | None, models: dict[str, dict[str, Any]], ledger: Ledger
) -> dict[str, Any]:
    """The record's ``provenance``.

    Parameters
    ----------
    source : Source
    settings : Settings
    digest : str or None
        SHA-256 of the image data; None where the image was not read.
    models : dict of dict
        Name, version and sha256 of the weights used, by model.
    ledger : Ledger
        Seconds and memory by step.
    """
    from bidsqa.metrics import metric_versions
    from bidsqa.models import MODELS

    masks = {
        name: {"name": name, "version": row.version, "sha256": row.sha256}
        for name, row in MODELS.items()
        if row.kind == "internal"
    }
    return {
        "bidsqa": bidsqa.__version__,
        "record_schema": SCHEMA_VERSION,
        "suffix": source.suffix,
        "models": {**models, **masks} if digest else models,
        "metric_versions": metric_versions(),
        "settings": settings.changing_numbers(),
        "input": {
            "path": source.path,
            "size": source.size,
            "mtime": source.mtime,
            "sha256": digest,
            "sidecar": sidecar_digest(source.acquisition or {}, source.warnings),
        },
        "software": software(),
        "platform": {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()},
        "seconds": dict(ledger.seconds),
        "peak_mb": dict(ledger.peak_mb),
    }


@lru_cache(maxsize=1)
def software() -> dict[str, str]:
    """Versions of the libraries that numbers come from, by name."""
    found = {}
    for name in SOFTWARE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
