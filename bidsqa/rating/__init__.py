# SPDX-License-Identifier: Apache-2.0
"""Collecting what a site's own readers see: the local rating app, its store and exports, agreement statistics.

``read_ratings`` and ``read_items`` are what a training on ratings needs; they are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bidsqa.rating.reading import read_items, read_ratings

__all__ = ["read_items", "read_ratings"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("bidsqa.rating.reading"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
