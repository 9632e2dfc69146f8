# SPDX-License-Identifier: Apache-2.0
"""efc, fber, qi_1 and qi_2: known answers, faults of MRIQC, directions, nulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bidsqa.errors import NotComputable
from bidsqa.metrics import Samples, background, measure


def planted(scene, share: float, low: float = 100.0, high: float = 140.0, sigma: float = 20.0):
    """A scene whose air holds a share of artifact voxels of uniform intensity."""
    volume, anatomy = scene(sigma=sigma)
    rng = np.random.default_rng(5)
    air = np.flatnonzero(anatomy.air)
    hit = rng.choice(air, int(share * air.size), replace=False)
    data = volume.data.copy()
    data.ravel()[hit] = rng.uniform(low, high, hit.size)
    return type(volume).from_array(data), anatomy, hit


# ------------------------------------------------------------------------------------------------ efc


def test_efc_agrees_with_the_formula_in_double_precision(plain_scene) -> None:
    volume, _ = plain_scene
    x = volume.data.astype(np.float64).ravel()
    share = x / np.sqrt(np.sum(x**2))
    expected = -np.sum(share * np.log(share + 1e-16)) / (np.sqrt(x.size) * np.log(np.sqrt(x.size)))
    assert background.entropy_focus(Samples(*plain_scene)) == pytest.approx(expected, rel=1e-5)


def test_fault_26_large_whole_numbers_do_not_overflow(scene) -> None:
    volume, anatomy = scene()
    bright = np.round(volume.data * (32000 / volume.data.max())).astype(np.int16)
    whole, real = (type(volume).from_array(bright.astype(kind)) for kind in (np.int16, np.float64))
    values = [background.entropy_focus(Samples(image, anatomy)) for image in (whole, real)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert 0 < values[0] < 1


def test_efc_extremes(scene, changed) -> None:
    volume, anatomy = scene(sigma=0.0)
    even = type(volume).from_array(np.ones(volume.shape))
    assert background.entropy_focus(Samples(even, anatomy)) == pytest.approx(1.0, rel=1e-6)
    one = np.zeros(volume.shape)
    one[30, 30, 30] = 5.0
    assert background.entropy_focus(Samples(type(volume).from_array(one), anatomy)) == pytest.approx(0.0, abs=1e-6)


def test_efc_rises_with_blurred_ghosts(scene) -> None:
    volume, anatomy = scene(sigma=10.0)
    efc = []
    for strength in (0.0, 0.1, 0.3):
        data = (1 - strength) * volume.data + strength * np.roll(volume.data, volume.shape[1] // 2, axis=1)
        efc.append(background.entropy_focus(Samples(type(volume).from_array(data), anatomy)))
    assert efc[0] < efc[1] < efc[2]


# ------------------------------------------------------------------------------------------------ fber


@pytest.mark.parametrize("sigma", [2.0, 20.0])
def test_fault_1_and_7_fber_of_known_noise(scene, sigma: float) -> None:
    # the median of squared Rayleigh noise is 2 sigma^2 ln 2; clipping at the median of air would make it 0
    volume, anatomy = scene(sigma=sigma)
    inside = np.median(volume.data[anatomy.head != 0].astype(np.float64) ** 2)
    expected = inside / (2 * sigma**2 * np.log(2))
    assert background.foreground_to_background_energy(Samples(volume, anatomy)) == pytest.approx(expected, rel=0.02)


def test_fault_1_clipping_to_256_levels_changes_the_numbers_that_we_get_right(scene) -> None:
    volume, anatomy = scene(sigma=20.0)
    low, high = np.percentile(volume.data[anatomy.air != 0], 50), np.percentile(volume.data, 99.9)
    clipped = np.rint(255 * (np.clip(volume.data, low, high) - low) / (high - low))
    right, _ = measure(volume, anatomy)
    wrong, reasons = measure(type(volume).from_array(clipped), anatomy)
    assert right["snrd_wm"] == pytest.approx(50.0, rel=0.03)
    assert right["summary_bg_mad"] == pytest.approx(0.6648775 * 20, rel=0.03)
    assert wrong["fber"] is None or wrong["fber"] > 5 * right["fber"]
    # half of the air has become zero: such a copy is told from a scan
    assert wrong["snrd_wm"] is None and "exactly zero" in reasons["snrd_wm"]


def test_fault_7_small_numbers_are_not_a_sentinel(scene) -> None:
    volume, anatomy = scene(sigma=20.0)
    small = Samples(type(volume).from_array(volume.data * 1e-6), anatomy)
    assert background.foreground_to_background_energy(small) == pytest.approx(
        background.foreground_to_background_energy(Samples(volume, anatomy)), rel=1e-4
    )


def test_fault_7_zeroed_background_is_null_with_a_reason(scene) -> None:
    volume, anatomy = scene()
    data = np.where(anatomy.head != 0, volume.data, 0)
    with pytest.raises(NotComputable, match="zero"):
        background.foreground_to_background_energy(Samples(type(volume).from_array(data), anatomy))


def test_fault_27_a_filled_background_nulls_every_air_metric_and_none_is_a_sentinel(scene, changed) -> None:
    volume, anatomy = scene()
    outside = anatomy.head == 0
    filled = type(volume).from_array(np.where(outside, 0, volume.data))
    empty = np.zeros(volume.shape, np.uint8)
    why = "the background was filled with zeros"
    marked = changed(
        anatomy, frame=outside.astype(np.uint8), hat=empty, air=empty, background="zeroed", problems={"air": why}
    )
    metrics, reasons = measure(filled, marked)
    for key in ("qi_1", "qi_2", "snrd_wm", "snrd_total", "cnr", "summary_bg_mean", "summary_bg_n"):
        assert metrics[key] is None and reasons[key] == why, key
    for key in ("efc", "fber"):
        assert metrics[key] is None and "filled" in reasons[key], key
    assert metrics["cjv"] is not None and metrics["snr_wm"] is not None
    # even where nobody marked the air, nothing but nulls comes out
    unmarked, reasons = measure(filled, changed(anatomy, frame=outside.astype(np.uint8), hat=empty, air=empty))
    assert all(unmarked[key] is None and reasons[key] for key in ("qi_1", "qi_2", "snrd_wm", "cnr", "summary_bg_mean"))


@pytest.mark.parametrize("share", [0.4, 0.995])
def test_fault_6_air_cut_off_at_a_threshold_is_null_everywhere(scene, share: float) -> None:
    volume, anatomy = scene()
    data = volume.data.copy()
    air = np.flatnonzero(anatomy.air)
    data.ravel()[air[np.argsort(data.ravel()[air])[: int(share * air.size)]]] = 0
    metrics, reasons = measure(type(volume).from_array(data), anatomy)
    for key in ("qi_2", "snrd_wm", "snrd_total", "cnr", "summary_bg_median"):
        assert metrics[key] is None and "exactly zero" in reasons[key], key


def test_a_half_filled_background_still_counts_and_remnants_do_not(scene, changed) -> None:
    volume, anatomy = scene()
    outside = np.flatnonzero(anatomy.head == 0)
    plain, _ = measure(volume, anatomy)
    for share in (0.4, 0.6):
        frame = np.zeros_like(anatomy.frame)
        frame.ravel()[outside[: int(share * outside.size)]] = 1
        data = np.where(frame != 0, 0, volume.data)
        metrics, reasons = measure(type(volume).from_array(data), changed(anatomy, frame=frame))
        if share < 0.5:
            assert metrics["fber"] == pytest.approx(plain["fber"], rel=0.02)
        else:
            assert metrics["fber"] is None and "60 % of the background" in reasons["fber"]
            assert metrics["efc"] is None and "60 % of the background" in reasons["efc"]


# ------------------------------------------------------------------------------------------------ frame


def test_fault_3_a_zero_filled_frame_is_not_air(scene, changed) -> None:
    volume, anatomy = scene()
    pad = [(6, 4), (0, 9), (5, 0)]
    framed = type(volume).from_array(np.pad(volume.data, pad))
    arrays = {
        name: np.pad(getattr(anatomy, name), pad) for name in ("head", "brain", "hat", "air", "dseg", "bias_field")
    }
    frame = np.pad(anatomy.frame, pad, constant_values=1)
    posteriors = np.pad(anatomy.posteriors, [(0, 0), *pad])
    with_frame, _ = measure(framed, changed(anatomy, frame=frame, posteriors=posteriors, **arrays))
    without, _ = measure(volume, anatomy)
    for key, value in without.items():
        if value is not None and not key.startswith("size_"):
            assert with_frame[key] == pytest.approx(value, rel=1e-6), key


# ------------------------------------------------------------------------------------------------ qi_1


def test_fault_2_a_planted_ghost_raises_qi_1(scene, changed) -> None:
    volume, anatomy, hit = planted(scene, 0.011)
    air = anatomy.air.copy()
    air.ravel()[hit] = 0
    expected = hit.size / np.count_nonzero(anatomy.hat)
    assert background.artifact_share(Samples(volume, changed(anatomy, air=air))) == pytest.approx(expected)
    assert expected == pytest.approx(0.011, rel=0.01)
    assert background.artifact_share(Samples(volume, anatomy)) == 0.0


def test_qi_1_without_a_hat_is_null(scene, changed) -> None:
    volume, anatomy = scene()
    with pytest.raises(NotComputable, match="above the face"):
        background.artifact_share(Samples(volume, changed(anatomy, hat=np.zeros_like(anatomy.hat))))


# ------------------------------------------------------------------------------------------------ qi_2


@pytest.mark.parametrize("channels", [1.0, 2.0, 8.0, 32.0])
def test_chi_fit_finds_channels_and_sigma(channels: float) -> None:
    values = stats.chi.rvs(2 * channels, scale=12.0, size=200_000, random_state=3)
    counts, edges = np.histogram(values, bins=np.linspace(0, 1.5 * np.percentile(values, 99), 300))
    found, sigma = background.fit_chi(counts, edges)
    assert found == pytest.approx(channels, rel=0.05)
    assert sigma == pytest.approx(12.0, rel=0.03)


def test_qi_2_of_pure_noise_is_near_zero_for_any_number_of_channels(scene) -> None:
    volume, anatomy = scene()
    for channels in (1, 8):
        noise = stats.chi.rvs(2 * channels, scale=10.0, size=volume.shape, random_state=4)
        data = np.where(anatomy.head != 0, volume.data, noise)
        assert background.noise_misfit(Samples(type(volume).from_array(data), anatomy)) < 1e-4


def test_qi_2_agrees_with_scipy_on_contaminated_noise(scene) -> None:
    # reference: a kernel density of all voxels against SciPy's chi smoothed on a fine grid, with the true parameters
    volume, anatomy, _ = planted(scene, 0.05, 60.0, 70.0)
    values = volume.data[anatomy.air != 0].astype(np.float64)
    scale = 100.0 / np.percentile(values, 99)
    grid = np.arange(0.25, 110.0, 0.5)
    scaled = values * scale
    measured = stats.gaussian_kde(scaled, bw_method=4.0 / scaled.std(ddof=1))(grid)
    fine = np.arange(0.0, 250.0, 0.25)
    kernel = stats.norm.pdf(grid[:, None] - fine[None, :], scale=4.0)
    expected = kernel @ stats.chi.pdf(fine, 2, scale=20.0 * scale) * 0.25
    peak = int(np.argmax(expected))
    start = peak + int(np.argmax(expected[peak:] <= 0.5 * expected[peak]))
    reference = np.mean(np.abs(measured[start:] - expected[start:]))
    assert background.noise_misfit(Samples(volume, anatomy)) == pytest.approx(reference, rel=0.25)


def test_qi_2_rises_with_contamination(scene) -> None:
    found = [background.noise_misfit(Samples(*planted(scene, share)[:2])) for share in (0.0, 0.02, 0.08)]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("sigma", [3.0, 6.0, 20.0])
def test_rounding_is_no_misfit(scene, sigma: float) -> None:
    volume, anatomy = scene(sigma=sigma)
    rounded = type(volume).from_array(np.rint(volume.data))
    assert background.noise_misfit(Samples(rounded, anatomy)) < 3e-4


def test_fault_6_unusable_air_is_null_never_perfect(scene, changed) -> None:
    volume, anatomy = scene()
    few = np.zeros_like(anatomy.air)
    few.ravel()[np.flatnonzero(anatomy.air)[:500]] = 1
    with pytest.raises(NotComputable, match="fewer than 1000"):
        background.noise_misfit(Samples(volume, changed(anatomy, air=few)))
    coarse = type(volume).from_array(np.rint(volume.data / 40) * 40)
    with pytest.raises(NotComputable, match=r"grey levels|zero"):
        background.noise_misfit(Samples(coarse, anatomy))
