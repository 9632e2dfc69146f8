# SPDX-License-Identifier: Apache-2.0
"""How much sites differ: the share of a value's variance that lies between them, and how far each is from the study."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsqa.group.rows import Row, on_one_scale
from bidsqa.group.sites import MAD_TO_SD, robust_z
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORE_VALUES

SMALLEST_SITE = 5  # scans; smaller sites have a median but take no part in the share
FEWEST_SITES = 5  # for the robust z of a site among the sites
WINSOR = 3.5  # robust standard deviations within the site; keeps one broken scan from ruling the variances
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """The share of variance between sites.

    Parameters
    ----------
    value, low, high : float
        Between 0 and 1, with the bounds of its 95 % confidence interval.
    """

    value: float
    low: float
    high: float


def winsorised(values: np.ndarray) -> np.ndarray:
    """The values with those further than 3.5 robust standard deviations from their median moved to that distance."""
    middle = np.median(values)
    reach = WINSOR * MAD_TO_SD * np.median(np.abs(values - middle))
    return np.clip(values, middle - reach, middle + reach) if reach > 0 else values


def between_share(groups: Sequence[np.ndarray]) -> Share | None:
    """Between-site share of the variance: the intraclass correlation ICC(1) of a one-way random-effects model.

    With mean squares MSB between and MSW within k groups of n_i out of N values, and
    n0 = (N - sum n_i^2 / N) / (k - 1) for groups of unequal size, the share is (MSB - MSW) / (MSB + (n0 - 1) MSW), no
    less than 0 (Donner 1986, doi 10.2307/1403259; Searle, Casella & McCulloch 1992). The interval puts n0 for the size
    of the groups into that of Shrout & Fleiss (1979, doi 10.1037/0033-2909.86.2.420) for equal ones.

    Parameters
    ----------
    groups : sequence of ndarray
        The values of each site.

    Returns
    -------
    Share or None
        None where fewer than two sites have five values, or all values are the same.
    """
    from scipy.special import fdtri

    kept = [values for values in groups if len(values) >= SMALLEST_SITE]
    if len(kept) < 2:
        return None
    sizes = np.array([len(values) for values in kept], dtype=float)
    total, count = sizes.sum(), len(kept)
    means = np.array([values.mean() for values in kept])
    within = sum(((values - mean) ** 2).sum() for values, mean in zip(kept, means, strict=True)) / (total - count)
    between = (sizes * (means - (sizes * means).sum() / total) ** 2).sum() / (count - 1)
    size = (total - (sizes**2).sum() / total) / (count - 1)
    scale = max(float(np.abs(means).max()), 1e-300)
    if between + within <= (1e-9 * scale) ** 2:
        return None
    if within <= (1e-9 * scale) ** 2:
        return Share(1.0, 1.0, 1.0)
    ratio = float(between / within)
    freedom, tail = (count - 1, total - count), (1 - CONFIDENCE) / 2
    low = ratio / fdtri(*freedom, 1 - tail)
    high = ratio / fdtri(*freedom, tail)
    value, below, above = (max((f - 1) / (f + size - 1), 0.0) for f in (ratio, low, high))
    return Share(float(value), float(below), float(above))


@dataclass(frozen=True)
class SiteEffect:
    """One site's place in one value.

    Parameters
    ----------
    suffix, value, site : str
    scans : int
        Of the site with that value.
    median : float
    difference : float
        The site's median minus that of all scans of the study.
    shift : float or None
        The difference in robust standard deviations within sites; None where there is no spread.
    z : float or None
        Robust z of the site's median among those of all sites; None with fewer than five sites.
    share : Share or None
        Of the value, the same for all its sites.
    """

    suffix: str
    value: str
    site: str
    scans: int
    median: float
    difference: float
    shift: float | None
    z: float | None
    share: Share | None


def compared_values(rows: Sequence[Row]) -> list[str]:
    """Scores, parts of them that stand alone, and metrics that have a number in some row; nothing that is a text."""
    return [key for key in (*SCORE_VALUES, *METRIC_KEYS) if any(isinstance(row.values.get(key), float) for row in rows)]


def site_effects(rows: Sequence[Row]) -> list[SiteEffect]:
    """Every site's place in every score and metric, by suffix; not where scans were read on more than one ruler."""
    by_suffix: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.status == "ok":
            by_suffix[row.suffix].append(row)
    found: list[SiteEffect] = []
    for suffix, members in sorted(by_suffix.items()):
        for key in compared_values(members):
            if len(on_one_scale(members, key)) == 1:
                found += _effects(suffix, key, members)
    return found


def _effects(suffix: str, key: str, rows: Sequence[Row]) -> list[SiteEffect]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        value = row.values.get(key)
        if isinstance(value, float):
            values[row.site].append(value)
    groups = {site: np.array(own) for site, own in sorted(values.items())}
    medians = [float(np.median(own)) for own in groups.values()]
    study = float(np.median(np.concatenate(list(groups.values()))))
    spread = _spread_within(list(groups.values()), medians)
    share = between_share([winsorised(own) for own in groups.values()])
    zs = robust_z(medians, key in SCORE_VALUES) if len(groups) >= FEWEST_SITES else [None] * len(groups)
    return [
        SiteEffect(
            suffix, key, site, len(own), median, median - study, (median - study) / spread if spread else None, z, share
        )
        for (site, own), median, z in zip(groups.items(), medians, zs, strict=True)
    ]


def _spread_within(groups: Sequence[np.ndarray], medians: Sequence[float]) -> float:
    """Robust standard deviation of all values around the medians of their own sites; 0 where few or equal."""
    away = np.concatenate([np.abs(own - middle) for own, middle in zip(groups, medians, strict=True)])
    if len(away) < SMALLEST_SITE + len(groups):
        return 0.0
    spread = MAD_TO_SD * float(np.median(away))
    return spread if spread > 1e-12 * max(map(abs, medians)) else 0.0


def effects_table(effects: Sequence[SiteEffect]) -> tuple[list[str], list[list[Any]]]:
    """``group_site_effects.tsv``: one row for each suffix, value and site."""
    header = ["modality", "value", "site", "scans", "median", "difference", "shift", "site_z"]
    header += ["between_share", "between_share_low", "between_share_high"]
    body = [
        [
            effect.suffix,
            effect.value,
            effect.site,
            effect.scans,
            *map(_short, (effect.median, effect.difference, effect.shift, effect.z)),
            *(
                _short(part)
                for part in (
                    (effect.share.value, effect.share.low, effect.share.high) if effect.share else (None, None, None)
                )
            ),
        ]
        for effect in effects
    ]
    return header, body


def _short(value: float | None) -> float | None:
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None
