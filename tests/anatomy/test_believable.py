# SPDX-License-Identifier: Apache-2.0
"""What is refused, and with which words."""

from __future__ import annotations

import pytest

from bidsqa.anatomy.plausibility import air_problem, brain_problem, head_problem, tissue_problem

BRAIN = {"brain_ml": 1400.0, "brain_cut": 0.0, "brain_fill": 0.45, "brain_certainty": 0.95, "atlas_information": 0.4}
TISSUE = {"csf_share": 0.2, "gm_share": 0.45, "wm_share": 0.35, "tissue_agreement": 0.8, "tissue_contrast": 2.0}


def test_a_good_scan_passes() -> None:
    assert brain_problem(BRAIN) == ""
    assert tissue_problem(TISSUE) == ""
    assert head_problem({"head_ml": 4000.0, "brain_ml": 1400.0}, "natural") == ""
    assert air_problem(10**6, 10**6, 10**6, 2000, 40.0, "natural") == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"brain_ml": 0.0}, "no brain"),
        ({"brain_ml": 3400.0}, "volume"),
        ({"brain_ml": 400.0}, "volume"),
        ({"brain_fill": 0.95}, "shape"),
        ({"brain_cut": 0.8}, "border"),
        ({"brain_certainty": 0.5}, "unsure"),
        ({"atlas_information": 0.05}, "average head"),
    ],
)
def test_brains_that_are_refused(change: dict[str, float], word: str) -> None:
    assert word in brain_problem(BRAIN | change)


def test_half_a_brain_is_believed_where_the_scan_ends() -> None:
    assert brain_problem(BRAIN | {"brain_ml": 400.0, "brain_cut": 0.1}) == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"wm_share": 0.02}, "wm"),
        ({"gm_share": 0.95}, "gm"),
        ({"tissue_agreement": 0.2}, "disagree"),
        ({"tissue_contrast": 0.1}, "told apart"),
    ],
)
def test_tissues_that_are_refused(change: dict[str, float], word: str) -> None:
    assert word in tissue_problem(TISSUE | change)


@pytest.mark.parametrize("size", [1, 8, 64])
def test_fault_18_what_counts_is_a_share_of_the_grid_not_a_number_of_voxels(size: int) -> None:
    hat = 5 * 10**5 // size
    assert air_problem(hat, hat, hat, 2000, 40.0, "natural") == ""
    assert air_problem(int(0.99 * hat), hat, int(0.99 * hat), 2000, 40.0, "natural") == ""


def test_air_that_is_refused() -> None:
    assert "no background above" in air_problem(0, 0, 0, 2000, 0.0, "natural")
    assert "constant" in air_problem(100, 10**6, 100, 2000, 40.0, "zeroed")
    assert "rim" in air_problem(10**5, 10**6, 10**5, 2000, 8.0, "zeroed")
    assert "stripped" in air_problem(10**4, 10**6, 10**4, 2000, 8.0, "stripped")
    assert "offset" in air_problem(10**6, 10**6, 10**6, 2000, 40.0, "natural", negative=0.5)
    assert air_problem(10**6, 10**6, 10**6, 2000, 40.0, "natural", negative=0.001) == ""
    assert "too small" in air_problem(500, 500, 500, 2000, 8.0, "natural")
