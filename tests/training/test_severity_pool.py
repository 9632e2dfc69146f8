# SPDX-License-Identifier: Apache-2.0
"""The split of the pool."""

from __future__ import annotations

from bidsqa.training.pool import TEST_MAPS, TEST_SITES, WATCH_SUBJECTS, side_of


def test_split_by_site_and_subject() -> None:
    assert {"fnndsc", "boston"} <= TEST_SITES
    assert side_of("utah01", "utah") == "test"
    assert all(side_of(subject, "ljubljana") == "watch" for subject in WATCH_SUBJECTS)
    assert all(side_of(name, "labels") == "test" for name in TEST_MAPS)
    assert side_of("ljubljana01", "ljubljana") == "train"
