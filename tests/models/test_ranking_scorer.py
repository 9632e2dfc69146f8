# SPDX-License-Identifier: Apache-2.0
"""The scorers "ranking" and "diagnostic": utilities and classes from known network outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa import models
from bidsqa.errors import WeightsError
from bidsqa.image import Volume
from bidsqa.models.diagnostic import DiagnosticScorer
from bidsqa.models.diagnostic_inputs import fitted, prepare
from bidsqa.models.loading import Network
from bidsqa.models.ranking import RankingScorer

Array = np.ndarray[Any, Any]
MEANING = {"zero": "2.0", "unit": "0.5", "tie": "0.3", "label_source": "synthetic"}


def network(name: str, run: Any, settings: Mapping[str, str], inputs: tuple[str, ...] = ("slices",)) -> Network:
    return Network(models.MODELS[name], run, inputs, settings, "0" * 64, "test")


def raw(value: float) -> Any:
    return lambda arrays: [np.full((len(arrays["slices"]), 1), value, dtype=np.float32)]


def test_raw_scores_become_utilities(t1w: Volume) -> None:
    score = RankingScorer(network("ranking", raw(3.0), MEANING)).score(t1w)
    assert score.value == pytest.approx((2.0 - 3.0) / 0.5)
    assert score.uncertainty == 0
    assert score.extra["p_better_than_clean"] == pytest.approx(np.exp(-1) / (np.exp(-1) + 0.3 + np.exp(1)))
    assert set(score.extra) <= {
        key.split("_")[0] if key.startswith("planes_") else key for key in models.SCORES["ranking"].parts
    }


def test_typical_clean_scans_stand_at_zero(t1w: Volume) -> None:
    assert RankingScorer(network("ranking", raw(2.0), MEANING)).score(t1w).value == pytest.approx(0)


def test_weights_that_need_a_reference_are_refused() -> None:
    with pytest.raises(WeightsError, match="reference"):
        RankingScorer(network("ranking", raw(0), MEANING, ("difference",)))


@pytest.mark.parametrize("gone", ["zero", "unit", "tie"])
def test_weights_without_meaning_are_refused(gone: str) -> None:
    kept = {key: value for key, value in MEANING.items() if key != gone}
    with pytest.raises(WeightsError, match="zero, unit, tie"):
        RankingScorer(network("ranking", raw(0), kept))


def logits(*values: float) -> Any:
    return lambda arrays: [np.tile(np.array(values, dtype=np.float32), (len(arrays["slices"]), 1))]


def test_classes_become_their_mean(t1w: Volume) -> None:
    found = DiagnosticScorer(network("diagnostic", logits(0, np.log(2), np.log(1)), {"temperature": "1"})).score(t1w)
    assert found.extra["probabilities"] == pytest.approx({"0": 0.25, "1": 0.5, "2": 0.25})
    assert found.value == pytest.approx(1.0)
    assert found.extra["class"] == "diagnostic"
    assert found.extra["share_non_diagnostic"] == 0


def test_temperature_makes_probabilities_less_sure(t1w: Volume) -> None:
    sure, calm = (
        DiagnosticScorer(network("diagnostic", logits(2, 0), {"temperature": value})).score(t1w) for value in ("1", "4")
    )
    assert sure.extra["probabilities"]["0"] > calm.extra["probabilities"]["0"] > 0.5
    assert calm.extra["probabilities"]["0"] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_probabilities_without_temperature_are_refused() -> None:
    with pytest.raises(WeightsError, match="temperature"):
        DiagnosticScorer(network("diagnostic", logits(0, 0), {}))


def test_nothing_ships_where_no_reader_has_rated() -> None:
    with pytest.raises(WeightsError, match="own readers"):
        models.load("diagnostic")


def test_shipped_ranking_weights_say_whose_opinion_they_learned(t1w: Volume) -> None:
    scorer = models.load("ranking")
    clean = scorer.score(t1w)
    assert clean.extra["label_source"] == "synthetic"
    blurred = Volume(ndimage.gaussian_filter(t1w.data, 1.5), t1w.affine, t1w.facts)
    assert scorer.score(blurred).value < clean.value - 0.5


@pytest.mark.parametrize("shape", [(100, 60), (512, 512), (600, 300), (601, 701)])
def test_slices_keep_their_pixels_in_the_middle(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(1).random(shape).astype(np.float32)
    square = fitted(plane)
    assert square.shape == (512, 512)
    kept = plane[tuple(slice(max(0, (side - 512) // 2), max(0, (side - 512) // 2) + min(side, 512)) for side in shape)]
    assert square.sum() == pytest.approx(kept.sum(), rel=1e-4)


def test_each_slice_is_scaled_by_its_own_percentile() -> None:
    plane = np.linspace(0, 1000, 120 * 120, dtype=np.float32).reshape(120, 120)
    one, two = prepare([plane, 5 * plane])
    assert one.max() == 1
    assert np.allclose(one, two, atol=1e-6)
