# SPDX-License-Identifier: Apache-2.0
"""Intensities of air and of each tissue, in units in which white matter is 1000."""

from __future__ import annotations

from collections.abc import Callable

from bidsqa.errors import NotComputable
from bidsqa.metrics.row import Value
from bidsqa.metrics.samples import Samples
from bidsqa.metrics.statistics import Distribution

SCALED = ("mean", "median", "mad", "stdv", "p05", "p95")


def summary_of(region: str) -> Callable[[Samples], dict[str, Value]]:
    """The function that summarises ``bg`` (air), ``csf``, ``gm`` or ``wm``."""

    def summarise(samples: Samples) -> dict[str, Value]:
        found: Distribution = samples.air if region == "bg" else samples.tissue(region)
        values: dict[str, Value] = {f"summary_{region}_{name}": getattr(found, name) * samples.unit for name in SCALED}
        values[f"summary_{region}_k"] = NotComputable("all values are equal") if found.k is None else found.k
        values[f"summary_{region}_n"] = found.n
        return values

    return summarise
