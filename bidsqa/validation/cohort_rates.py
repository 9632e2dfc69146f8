# SPDX-License-Identifier: Apache-2.0
"""How many normal scans the cohort rule on outliers asks to look at, on made-up groups of scans without any fault.

Run ``python -m bidsqa.validation.cohort_rates [--write docs/validation_tables/cohort_rates.json]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bidsqa.group.cohort import SMALL_GROUP, outlier_limit
from bidsqa.group.sites import MAD_TO_SD
from bidsqa.validation.tables import Table
from bidsqa.verdict import OutlierRule, load_rules

SIZES = (8, 10, 20, 50, 100, 500)
SKEW = 0.25  # spread of the logarithm; that of metrics like cjv or inu_range within a site
SCANS = 100_000
COLUMNS = (
    "scans in the group",
    "normal values, as shipped",
    "skewed values, as shipped",
    "skewed values, z = 3.5",
)


def flagged_share(values: np.ndarray, limit: float) -> float:
    """Share of scans with at least one value beyond the limit on the bad side.

    Parameters
    ----------
    values : ndarray, shape (groups, values, scans)
        High is bad.
    limit : float
        In robust standard deviations.
    """
    middle = np.median(values, axis=-1, keepdims=True)
    spread = MAD_TO_SD * np.median(np.abs(values - middle), axis=-1, keepdims=True)
    return float((values - middle > limit * spread).any(axis=1).mean())


def table(rule: OutlierRule, seed: int = 0) -> Table:
    """The table of the documentation."""
    dice = np.random.default_rng(seed)
    rows = []
    for size in SIZES:
        normal = dice.standard_normal((SCANS // size, len(rule.values), size))
        skewed = np.exp(SKEW * normal)
        shares = (
            flagged_share(normal, outlier_limit(rule, size)),
            flagged_share(skewed, outlier_limit(rule, size)),
            flagged_share(skewed, 3.5),
        )
        rows.append([str(size), *(f"{100 * share:.2f} %" for share in shares)])
    note = (
        f"Share of faultless scans that have at least one of {len(rule.values)} independent values beyond the limit on "
        f"the bad side; about {SCANS:,} simulated scans a row. Skewed: a normal logarithm with standard deviation "
        f"{SKEW}. As shipped: z = {rule.z:g}, wider by 1 + {SMALL_GROUP:g} / scans. Values of a real scan depend on "
        "each other, so fewer scans are named than here."
    )
    title = "Faultless scans that the outlier rule asks to look at"
    return Table(title, COLUMNS, rows, note, "python -m bidsqa.validation.cohort_rates")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    options = parser.parse_args()
    rule = load_rules().outlier_rule("T1w")
    assert rule is not None
    made = table(rule)
    print(made.text())
    if options.write:
        made.write(options.write)


if __name__ == "__main__":
    main()
