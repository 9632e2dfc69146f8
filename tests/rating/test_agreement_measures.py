# SPDX-License-Identifier: Apache-2.0
"""Measures of agreement against published numbers and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.rating import agreement
from bidsqa.rating.agreement import (
    bootstrap_interval,
    cohen_kappa,
    confusion,
    exact_agreement,
    jaccard_matrix,
    krippendorff_alpha,
    majority_share,
    mean_of_parts,
    overlap,
    overlap_parts,
    repeat_concordance,
)

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability": four observers, twelve units
KRIPPENDORFF_2011 = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
# Tang et al. 2025, readers 5 and 7
TANG = np.array([[0, 4, 2, 3, 1], [0, 2, 13, 10, 0], [0, 0, 3, 14, 4], [0, 0, 1, 11, 24], [0, 0, 1, 1, 10]])


def observers() -> np.ndarray:
    rows = [line.split() for line in KRIPPENDORFF_2011.split("\n") if line]
    return np.array([[np.nan if value == "." else float(value) for value in row] for row in rows])


@pytest.mark.parametrize(
    ("measure", "value"), [("nominal", 0.74342), ("ordinal", 0.81539), ("interval", 0.84911), ("ratio", 0.79740)]
)
def test_krippendorffs_own_example(measure: str, value: float) -> None:
    assert krippendorff_alpha(observers(), measure) == pytest.approx(value, abs=5e-6)


def test_krippendorffs_example_has_forty_pairable_values() -> None:
    values = observers()
    assert agreement.coincidences(values, [1, 2, 3, 4, 5]).sum() == pytest.approx(40)


@pytest.mark.parametrize(("weights", "value"), [("quadratic", 0.47167), ("linear", 0.27253), ("unweighted", 0.03129)])
def test_kappa_of_tangs_readers(weights: str, value: float) -> None:
    assert cohen_kappa(TANG, weights) == pytest.approx(value, abs=5e-6)


def test_exact_agreement_of_tangs_readers() -> None:
    assert exact_agreement(TANG) == 0.25


def test_kappa_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    generator = np.random.default_rng(3)
    first, second = generator.integers(0, 4, (2, 200))
    table = confusion(first.tolist(), second.tolist(), [0, 1, 2, 3])
    for weights, name in (("unweighted", None), ("linear", "linear"), ("quadratic", "quadratic")):
        expected = cohen_kappa_score(first, second, labels=[0, 1, 2, 3], weights=name)
        assert cohen_kappa(table, weights) == pytest.approx(expected)


def test_jaccard_matrix_by_hand() -> None:
    found = jaccard_matrix(np.array([[3.0, 1, 0], [1, 4, 1], [0, 2, 3]]))
    assert found == pytest.approx(np.array([[0.6, 0.1, 0], [1 / 9, 4 / 9, 1 / 9], [0, 0.2, 0.5]]))
    assert np.isnan(jaccard_matrix(np.array([[2.0, 0], [0, 0]]))[1, 1])


def test_overlap_repeats_and_majority_by_hand() -> None:
    one, two = {"pair": [1, 1, 3]}, {"pair": [1]}
    assert overlap(one, two) == pytest.approx(2 / 3)
    assert repeat_concordance(one) == pytest.approx(1 / 3)
    assert majority_share([1, 1, 3, 1]) == 0.75
    assert majority_share([1, 3]) == 0
    assert overlap({"a": [1]}, {"b": [1]}) is None
    assert repeat_concordance(two) is None


def test_once_read_things_inflate_the_overlap_with_oneself_but_not_the_repeats() -> None:
    readings = {"a": [1, 3], "b": [1], "c": [2]}
    assert overlap(readings, readings) == pytest.approx((0.5 + 1 + 1) / 3)
    assert repeat_concordance(readings) == 0


def test_one_answer_to_everything_is_not_agreement() -> None:
    assert cohen_kappa(np.array([[9.0, 0], [0, 0]])) is None
    assert cohen_kappa(np.zeros((2, 2))) is None
    assert krippendorff_alpha(np.ones((3, 5))) is None
    assert krippendorff_alpha(np.full((2, 3), np.nan)) is None
    assert krippendorff_alpha(np.array([[1.0, np.nan], [np.nan, 2.0]])) is None
    assert majority_share([]) is None
    assert mean_of_parts(np.zeros(2)) is None


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="cardinal"):
        krippendorff_alpha(observers(), "cardinal")


@given(st.lists(st.lists(st.integers(1, 4), min_size=6, max_size=6), min_size=2, max_size=4), st.integers(2, 9))
def test_alpha_doesnt_depend_on_names_order_or_unit(rows: list[list[int]], factor: int) -> None:
    values = np.array(rows, dtype=float)
    plain = krippendorff_alpha(values, "interval")
    turned = krippendorff_alpha(values[::-1, ::-1] * factor + 3, "interval")
    assert (plain is None) == (turned is None)
    assert plain is None or plain == pytest.approx(turned)
    ordinal = krippendorff_alpha(values, "ordinal")
    assert ordinal is None or ordinal == pytest.approx(krippendorff_alpha(values**3, "ordinal"))
    assert plain is None or plain <= 1


def test_perfect_and_chance_agreement() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(1, 6, (2, 4000)).astype(float)
    assert krippendorff_alpha(np.stack([values[0], values[0]]), "ordinal") == pytest.approx(1)
    assert krippendorff_alpha(values, "ordinal") == pytest.approx(0, abs=0.05)


def test_the_interval_is_that_of_subjects_not_of_slices() -> None:
    generator = np.random.default_rng(1)
    shares = np.repeat(generator.random(20) < 0.5, 30).astype(float)  # slices of a subject are all alike
    parts = np.stack([shares, np.ones_like(shares)], axis=1)
    by_subject = bootstrap_interval(parts, np.repeat(np.arange(20), 30).tolist(), mean_of_parts)
    by_slice = bootstrap_interval(parts, list(range(600)), mean_of_parts)
    assert by_subject is not None
    assert by_slice is not None
    expected = np.sqrt(shares.mean() * (1 - shares.mean()) / 20)
    assert (by_subject[1] - by_subject[0]) / 3.92 == pytest.approx(expected, rel=0.15)
    assert by_subject[1] - by_subject[0] > 4 * (by_slice[1] - by_slice[0])


def test_no_interval_from_one_subject_or_of_what_is_mostly_undefined() -> None:
    assert bootstrap_interval(np.ones((3, 2)), ["a", "a", "a"], mean_of_parts) is None
    parts = np.array([[1.0, 1.0], *[[0.0, 0.0]] * 9])
    assert bootstrap_interval(parts, list(range(10)), mean_of_parts) is None


def test_parts_are_of_common_things_alone() -> None:
    assert set(overlap_parts({"a": [1], "b": [2]}, {"b": [2], "c": [3]})) == {"b"}
