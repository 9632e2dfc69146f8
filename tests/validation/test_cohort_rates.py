# SPDX-License-Identifier: Apache-2.0
"""How many faultless scans the outlier rule names: simulated, and few."""

from __future__ import annotations

import numpy as np

from bidsqa.validation.cohort_rates import flagged_share, table
from bidsqa.verdict import load_rules


def test_the_share_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).standard_normal((20, 1, 5000))
    assert abs(flagged_share(values, 2.0) - 0.0228) < 0.002


def test_a_clean_study_is_not_drowned() -> None:
    rule = load_rules().outlier_rule("T1w")
    assert rule is not None
    rows = {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in table(rule).rows}
    assert rows["500"][0] < 0.1
    assert rows["8"][0] < 2.0
    assert all(shipped < 4.0 and shipped < usual for _, shipped, usual in rows.values())
