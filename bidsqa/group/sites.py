# SPDX-License-Identifier: Apache-2.0
"""Sites and scanners of a study, and how scans are compared within them."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from bidsqa.group.rows import SITE_KEYS, UNKNOWN_SITE, Row, on_one_scale
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORE_VALUES
from bidsqa.settings import DEFAULT_MODELS

CHIEF_METRICS = ("cjv", "cnr", "snr_total", "efc", "fwhm_avg", "inu_range")
MAD_TO_SD = 1.4826
# a spread below this is no spread: otherwise a study of equal scans would call every small change an outlier
SMALLEST_SPREAD_OF_SCORE = 0.05
SMALLEST_RELATIVE_SPREAD = 0.05


def chief_values() -> list[str]:
    """The values that are compared between scans: every score with what stands alone in it, then the chief metrics."""
    return [*SCORE_VALUES, *(key for key in CHIEF_METRICS if key in METRIC_KEYS)]


def present_chief_values(rows: Sequence[Row]) -> list[str]:
    """The chief values without the scores that are asked for by name and that no row has."""
    present = {key for row in rows for key, value in row.values.items() if value is not None}
    return [key for key in chief_values() if key not in SCORE_VALUES or key in DEFAULT_MODELS or key in present]


def direction_of(key: str) -> str:
    """``higher`` or ``lower`` is better, or ``none``."""
    if key in SCORE_VALUES:
        return SCORE_VALUES[key].direction.split(" ")[0] or "none"
    return METRIC_KEYS[key].direction if key in METRIC_KEYS else "none"


def name_sites(rows: Sequence[Row]) -> None:
    """Fill in every row's ``site``: institution, model and field strength; the serial number where it is needed."""
    labels = {scanner: _label(scanner) for scanner in {row.scanner for row in rows}}
    shared = Counter(labels.values())
    for row in rows:
        label = labels[row.scanner]
        serial = row.scanner[SITE_KEYS.index("DeviceSerialNumber")]
        row.site = f"{label} #{serial}" if shared[label] > 1 and serial else label


def _label(scanner: tuple[str, ...]) -> str:
    institution, maker, model, field, _ = (" ".join(part.split()) for part in scanner)
    machine = model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()
    tesla = f"{field} T" if field else ""
    return ", ".join(part for part in (institution, " ".join((machine, tesla)).strip()) if part) or UNKNOWN_SITE


def robust_z(values: Sequence[float], is_score: bool = False) -> list[float]:
    """Distance of each value from the median in robust standard deviations."""
    middle, spread = statistics.median(values), robust_spread(values, is_score)
    return [(value - middle) / spread if spread > 0 else 0.0 for value in values]


def robust_spread(values: Sequence[float], is_score: bool = False) -> float:
    """1.4826 times the median absolute deviation from the median, with a smallest spread; 0 where all are 0."""
    middle = statistics.median(values)
    spread = MAD_TO_SD * statistics.median(abs(value - middle) for value in values)
    return max(spread, SMALLEST_SPREAD_OF_SCORE if is_score else SMALLEST_RELATIVE_SPREAD * abs(middle))


def distances(rows: Sequence[Row]) -> list[float]:
    """How far each scan lies on the bad side of those of its suffix and origin, in any chief value.

    Parameters
    ----------
    rows : sequence of Row

    Returns
    -------
    list of float
        Robust standard deviations, 0 for those that lie on the good side in all.
    """
    found = [0.0] * len(rows)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row.suffix, row.origin].append(at)
    for members in groups.values():
        for key in chief_values():
            sign = {"higher": -1.0, "lower": 1.0}.get(direction_of(key), 0.0)
            for places in on_one_scale([rows[at] for at in members], key):
                known = [members[place] for place in places]
                values = [float(rows[at].values[key]) for at in known]
                for at, z in zip(known, robust_z(values, key in SCORE_VALUES), strict=True):
                    found[at] = max(found[at], sign * z)
    return found


def site_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Counts and medians for each suffix and site, sorted; no median of places on more than one ruler."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.suffix, row.site].append(row)
    found, compared = [], present_chief_values(rows)
    for (suffix, site), members in sorted(groups.items()):
        decisions = Counter(row.decision for row in members)
        entry: dict[str, Any] = {"modality": suffix, "site": site}
        for place, key in enumerate(SITE_KEYS):
            known = {row.scanner[place] for row in members} - {""}
            entry[key] = ", ".join(sorted(known)) or None
        entry |= {"scans": len(members), **{name: decisions[name] for name in ("pass", "review", "fail")}}
        entry["not_assessed"] = sum(row.status == "failed" for row in members)
        entry["outliers"] = sum(bool(row.outliers) for row in members)
        for key in compared:
            scales = on_one_scale(members, key)
            values = [float(members[place].values[key]) for place in scales[0]] if len(scales) == 1 else []
            entry[f"{key}_median"] = float(f"{statistics.median(values):.6g}") if values else None
        found.append(entry)
    return found
