# SPDX-License-Identifier: Apache-2.0
"""Simulated artifacts and scans: the artifact table, whole degraded scans, contrasts from label maps, the phantom.

The names below are loaded when first used, so that the phantom can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bidsqa.simulation.artifact import Artifact, Parameters
    from bidsqa.simulation.contrast import paint_labels
    from bidsqa.simulation.degrading import DamageCurve, Degraded, damage_curve, degrade, visible_severity
    from bidsqa.simulation.label_contrast import paint_contrast, sample_contrast
    from bidsqa.simulation.label_scan import draw_scan
    from bidsqa.simulation.table import ARTIFACTS, FAMILIES
    from bidsqa.simulation.visible_damage import damage, damage_batch, ssim_map
    from bidsqa.simulation.whole_scan import degrade_volume

_HOMES = {
    "ARTIFACTS": "table",
    "FAMILIES": "table",
    "Artifact": "artifact",
    "DamageCurve": "degrading",
    "Degraded": "degrading",
    "Parameters": "artifact",
    "damage": "visible_damage",
    "damage_batch": "visible_damage",
    "damage_curve": "degrading",
    "degrade": "degrading",
    "degrade_volume": "whole_scan",
    "draw_scan": "label_scan",
    "paint_contrast": "label_contrast",
    "paint_labels": "contrast",
    "sample_contrast": "label_contrast",
    "ssim_map": "visible_damage",
    "visible_severity": "degrading",
}

__all__ = [
    "ARTIFACTS",
    "FAMILIES",
    "Artifact",
    "DamageCurve",
    "Degraded",
    "Parameters",
    "damage",
    "damage_batch",
    "damage_curve",
    "degrade",
    "degrade_volume",
    "draw_scan",
    "paint_contrast",
    "paint_labels",
    "sample_contrast",
    "ssim_map",
    "visible_severity",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"bidsqa.simulation.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
