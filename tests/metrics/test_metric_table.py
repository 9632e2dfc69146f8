# SPDX-License-Identifier: Apache-2.0
"""The table is complete, and measuring keeps its promises on any scan: no NaN, no sentinel, invariance, determinism."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bidsqa.errors import NotComputable
from bidsqa.image import Volume
from bidsqa.metrics import METRIC_KEYS, METRICS, Metric, Samples, measure, measure_row, metric_versions

TISSUES = ("csf", "gm", "wm")
STATISTICS = ("mean", "median", "mad", "stdv", "k", "p05", "p95", "n")
MRIQC_KEYS = {
    *("cjv", "cnr", "efc", "fber", "wm2max", "qi_1", "qi_2", "inu_med", "inu_range"),
    *(f"{prefix}_{tissue}" for prefix in ("snr", "snrd") for tissue in (*TISSUES, "total")),
    *(f"{prefix}_{tissue}" for prefix in ("icvs", "rpve", "tpm_overlap") for tissue in TISSUES),
    *(f"fwhm_{axis}" for axis in ("x", "y", "z", "avg")),
    *(f"{prefix}_{axis}" for prefix in ("size", "spacing") for axis in "xyz"),
    *(f"summary_{region}_{name}" for region in ("bg", *TISSUES) for name in STATISTICS),
}
MASKS = {"head", "brain", "tissue", "air", "bias_field", "template"}
each_row = pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)


def test_every_structural_metric_of_mriqc_is_here() -> None:
    assert len(MRIQC_KEYS) == 68
    assert set(METRIC_KEYS) >= MRIQC_KEYS


@each_row
def test_row_is_complete(row: Metric) -> None:
    assert row.direction in {"higher", "lower", "none"}
    assert set(row.needs) <= MASKS
    assert row.version >= 1
    assert row.source and row.formula and row.mriqc and row.suffixes
    assert re.search(r"doi 10\.\d{4,9}/\S+", row.source) or row.name in {"size", "spacing", "clipped", "empty_slices"}
    low, high = row.bounds
    assert low is None or high is None or low < high
    for key, text in row.keys.items():
        assert re.fullmatch(r"[a-z0-9_]+", key)
        assert len(text) > 15 and text.endswith(".") and "{" not in text + row.formula + row.mriqc
    assert row.function.__doc__ or row.name.startswith("summary_")


def test_keys_are_unique_and_sorted_into_one_flat_view() -> None:
    keys = [key for row in METRICS for key in row.keys]
    assert len(keys) == len(set(keys)) == len(METRIC_KEYS)
    assert all(METRIC_KEYS[key] is row for row in METRICS for key in row.keys)


def test_fault_11_every_key_has_the_version_of_its_definition() -> None:
    assert set(metric_versions()) == set(METRIC_KEYS)


@pytest.mark.parametrize("suffix", ["T1w", "T2w", "FLAIR", "PDw"])
def test_fault_16_each_suffix_gets_every_key_that_applies(plain_scene: Any, suffix: str) -> None:
    metrics, reasons = measure(*plain_scene, suffix=suffix)
    assert list(metrics) == [key for row in METRICS if suffix in row.suffixes for key in row.keys]
    assert {key for key, value in metrics.items() if value is None} == set(reasons)


def assert_sound(metrics: dict[str, float | None], reasons: dict[str, str]) -> None:
    """What every record may rely on."""
    json.dumps(metrics, allow_nan=False)
    for key, value in metrics.items():
        if value is None:
            assert reasons[key]
            continue
        assert key not in reasons
        assert isinstance(value, float) and math.isfinite(value)
        low, high = METRIC_KEYS[key].bounds
        assert (low is None or value >= low - 1e-6) and (high is None or value <= high + 1e-6), key


def test_all_but_the_template_are_measured_on_a_good_scan(plain_scene: Any) -> None:
    metrics, reasons = measure(*plain_scene)
    assert_sound(metrics, reasons)
    assert {key for key in reasons if not key.startswith("tpm_overlap")} == set()


HOSTILE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zeros": lambda data: 0 * data,
    "constant": lambda data: 0 * data + 5,
    "negative": lambda data: -data,
    "shifted below zero": lambda data: data - 900,
    "tiny": lambda data: data * 1e-30,
    "huge": lambda data: data / data.max() * 3e38,
    "two values": lambda data: (data > 500).astype(np.float32),
    "one bright voxel": lambda data: np.where(np.arange(data.size).reshape(data.shape) == 9, 1e9, 0 * data),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_fault_14_hostile_images_give_numbers_or_reasons(plain_scene: Any, name: str) -> None:
    volume, anatomy = plain_scene
    changed_volume = Volume.from_array(HOSTILE[name](volume.data))
    assert_sound(*measure(changed_volume, anatomy))


@pytest.mark.parametrize("name", ["head", "brain", "hat", "air", "frame", "posteriors", "bias_field"])
@pytest.mark.parametrize("filling", [0, 1])
def test_fault_14_hostile_masks_give_numbers_or_reasons(scene: Any, changed: Any, name: str, filling: int) -> None:
    volume, anatomy = scene(shape=(24, 26, 22))
    assert_sound(*measure(volume, changed(anatomy, **{name: np.full_like(getattr(anatomy, name), filling)})))


def test_distrusted_masks_null_what_needs_them_and_nothing_else(scene: Any, changed: Any) -> None:
    volume, anatomy = scene()
    for name in ("head", "brain", "tissue", "air", "bias_field"):
        metrics, reasons = measure(volume, changed(anatomy, problems={name: f"no {name}"}))
        for row in METRICS:
            for key in row.keys:
                if name in row.needs:
                    assert metrics[key] is None and reasons[key] == f"no {name}"
                elif row.name != "tpm_overlap":
                    assert metrics[key] is not None


def test_a_failing_function_costs_only_its_own_row(plain_scene: Any) -> None:
    def fail(samples: Samples) -> float:
        raise ZeroDivisionError("division by zero")

    def run_away(samples: Samples) -> float:
        return float("nan")

    def beyond(samples: Samples) -> float:
        return 7.0

    samples = Samples(*plain_scene)
    for function, words in ((fail, "ZeroDivisionError"), (run_away, "finite"), (beyond, "possible")):
        row = Metric("x", {"x": "X."}, function, (), "", "none", (0.0, 1.0), "s", "f")
        value = measure_row(row, samples)["x"]
        assert isinstance(value, NotComputable) and words in value.reason


# ------------------------------------------------------------------------------------------------ invariances


def same(first: dict[str, float | None], second: dict[str, float | None], rel: float) -> None:
    for key, value in first.items():
        assert (value is None) == (second[key] is None), key
        if value is not None:
            assert second[key] == pytest.approx(value, rel=rel, abs=rel), key


@pytest.mark.parametrize("factor", [1e-4, 0.037, 1e5])
def test_intensity_scale_changes_nothing(plain_scene: Any, changed: Any, factor: float) -> None:
    volume, anatomy = plain_scene
    scaled = Volume.from_array(volume.data * np.float32(factor))
    same(measure(volume, anatomy)[0], measure(scaled, changed(anatomy))[0], rel=2e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_change_nothing(plain_scene: Any, changed: Any, axis: int) -> None:
    volume, anatomy = plain_scene
    names = ("head", "brain", "hat", "air", "frame", "dseg", "bias_field")
    arrays = {name: np.flip(getattr(anatomy, name), axis) for name in names}
    arrays["posteriors"] = np.flip(anatomy.posteriors, axis + 1)
    mirrored = Volume.from_array(np.flip(volume.data, axis))
    same(measure(volume, anatomy)[0], measure(mirrored, changed(anatomy, **arrays))[0], rel=1e-4)


def test_memory_order_changes_nothing(plain_scene: Any, changed: Any) -> None:
    volume, anatomy = plain_scene
    arrays = {name: np.asfortranarray(getattr(anatomy, name)) for name in ("head", "air", "posteriors", "bias_field")}
    turned = Volume(np.asfortranarray(volume.data), volume.affine, volume.facts)
    same(measure(volume, anatomy)[0], measure(turned, changed(anatomy, **arrays))[0], rel=1e-5)


def test_storing_as_whole_numbers_changes_little(plain_scene: Any, changed: Any) -> None:
    volume, anatomy = plain_scene
    stored = Volume.from_array(np.rint(volume.data).astype(np.int16))
    first, second = measure(volume, anatomy)[0], measure(stored, changed(anatomy))[0]
    for key, value in first.items():
        if value is not None:
            assert second[key] == pytest.approx(value, rel=0.01, abs=5e-3 if key != "qi_2" else 1e-4), key


def test_two_runs_and_other_numbers_of_threads_give_the_same_bits(plain_scene: Any, changed: Any) -> None:
    volume, anatomy = plain_scene
    first = measure(volume, changed(anatomy))[0]
    assert measure(volume, changed(anatomy))[0] == first
    threadpoolctl = pytest.importorskip("threadpoolctl")
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            assert measure(volume, changed(anatomy))[0] == first
