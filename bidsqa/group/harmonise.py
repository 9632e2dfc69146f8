# SPDX-License-Identifier: Apache-2.0
"""Metrics freed of what differs between sites: location and scale of each site, shrunk by an empirical Bayes prior.

The model of ComBat (Johnson, Li & Rabinovic 2007, doi 10.1093/biostatistics/kxj037) with the metrics of one suffix in
the place of genes and sites in that of batches, without covariates: a site's real differences, say in age, go as well.
Decisions never use the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bidsqa.group.rows import Row
from bidsqa.group.site_effects import winsorised
from bidsqa.metrics import METRIC_KEYS

SMALLEST_SITE = 10
FEWEST_METRICS = 3  # a prior over fewer tells nothing
MOST_ROUNDS = 200
CLOSE = 1e-6
COLUMN = "_harmonised"
# what the grid is like and how large samples are is no quality
LEFT_OUT = ("size_", "spacing_")


def harmonised(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """The metrics of one suffix with each site's shift and scale taken out.

    Parameters
    ----------
    rows : sequence of Row
        Of one suffix, with their sites named.

    Returns
    -------
    dict of str to list
        ``<metric>_harmonised`` to one value a row. None where the metric is missing, the scan could not be assessed, or
        its site has fewer than ten scans with the metric. Empty unless two sites are large enough. The order of scans
        within a site stays as it was; values may leave the metric's bounds.
    """
    keys = [key for key in METRIC_KEYS if not key.startswith(LEFT_OUT) and not key.endswith("_n")]
    known = {key: _by_site(rows, key) for key in keys}
    known = {key: groups for key, groups in known.items() if len(groups) >= 2 and _varies(rows, groups, key)}
    if len(known) < FEWEST_METRICS:
        return {}
    centres, scales = {}, {}
    for key, groups in known.items():
        parts = [winsorised(_values(rows, places, key)) for places in groups.values()]
        # every site weighs by its scans, as in the ordinary least squares fit of the model
        centres[key] = float(np.concatenate(parts).mean())
        scales[key] = _pooled(parts)
    found: dict[str, list[float | None]] = {f"{key}{COLUMN}": [None] * len(rows) for key in known}
    for site in sorted({site for groups in known.values() for site in groups}):
        own = {key: groups[site] for key, groups in known.items() if site in groups}
        standard = {key: (_values(rows, places, key) - centres[key]) / scales[key] for key, places in own.items()}
        for key, (shift, scale) in site_parameters({key: winsorised(z) for key, z in standard.items()}).items():
            adjusted = scales[key] * (standard[key] - shift) / scale + centres[key]
            for place, value in zip(own[key], adjusted, strict=True):
                found[f"{key}{COLUMN}"][place] = float(f"{value:.7g}")
    return found


def site_parameters(standard: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """A site's shift and scale in each metric, shrunk towards those of its other metrics.

    Johnson et al. (2007), section 3.2: with estimates g and d2 of a metric's shift and variance from n scans, and the
    mean G and variance T2 of g over the metrics and moments of an inverse gamma distribution (L, H) for d2,
    shift = (n T2 g + d2' G) / (n T2 + d2') and d2' = (H + sum (z - shift)^2 / 2) / (n / 2 + L - 1), in turn until both
    stay.

    Parameters
    ----------
    standard : dict of str to ndarray
        The site's standardised values by metric.

    Returns
    -------
    dict of str to (shift, scale)
    """
    means = {key: float(values.mean()) for key, values in standard.items()}
    variances = {key: float(values.var(ddof=1)) for key, values in standard.items()}
    if len(standard) < FEWEST_METRICS:
        return {key: (means[key], _root(variances[key])) for key in standard}
    prior_mean = float(np.mean(list(means.values())))
    prior_variance = float(np.var(list(means.values()), ddof=1))
    typical = float(np.mean(list(variances.values())))
    spread = max(float(np.var(list(variances.values()), ddof=1)), 1e-12)
    shape = (2 * spread + typical**2) / spread
    rate = (typical * spread + typical**3) / spread
    found = {}
    for key, values in standard.items():
        count = len(values)
        shift, variance = means[key], max(variances[key], 1e-12)
        for _ in range(MOST_ROUNDS):
            new_shift = (count * prior_variance * means[key] + variance * prior_mean) / (
                count * prior_variance + variance
            )
            new_variance = (rate + ((values - new_shift) ** 2).sum() / 2) / (count / 2 + shape - 1)
            change = abs(new_shift - shift) + abs(new_variance - variance)
            shift, variance = float(new_shift), float(new_variance)
            if change < CLOSE:
                break
        found[key] = (shift, _root(variance))
    return found


def _root(variance: float) -> float:
    return float(np.sqrt(variance)) if variance > 0 else 1.0


def _by_site(rows: Sequence[Row], key: str) -> dict[str, list[int]]:
    """Places of the rows that have a metric, by site, for sites that are large enough."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        if row.status == "ok" and isinstance(row.values.get(key), float):
            groups[row.site].append(place)
    return {site: places for site, places in groups.items() if len(places) >= SMALLEST_SITE}


def _values(rows: Sequence[Row], places: Sequence[int], key: str) -> np.ndarray:
    return np.array([rows[place].values[key] for place in places], dtype=float)


def _varies(rows: Sequence[Row], groups: dict[str, list[int]], key: str) -> bool:
    """Whether the metric varies within every site: a constant can't be scaled."""
    parts = [winsorised(_values(rows, places, key)) for places in groups.values()]
    return min(float(np.ptp(part)) for part in parts) > 1e-9 * max(float(np.abs(part).max()) for part in parts)


def _pooled(parts: Sequence[np.ndarray]) -> float:
    """Standard deviation around the sites' own means."""
    squares = sum(((part - part.mean()) ** 2).sum() for part in parts)
    return float(np.sqrt(squares / sum(map(len, parts))))
