# SPDX-License-Identifier: Apache-2.0
"""Simulated artifacts and scans: the artifact table, whole degraded scans, contrasts from label maps, the phantom.

The names below are loaded when first used, so that the phantom can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bidsqa.simulation.artifact import Artifact, Parameters
    from bidsqa.simulation.table import ARTIFACTS, FAMILIES
    from bidsqa.simulation.visible_damage import damage, damage_batch
    from bidsqa.simulation.whole_scan import degrade_volume

_HOMES = {
    "ARTIFACTS": "table",
    "FAMILIES": "table",
    "Artifact": "artifact",
    "Parameters": "artifact",
    "damage": "visible_damage",
    "damage_batch": "visible_damage",
    "degrade_volume": "whole_scan",
}

__all__ = ["ARTIFACTS", "FAMILIES", "Artifact", "Parameters", "damage", "damage_batch", "degrade_volume"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"bidsqa.simulation.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
