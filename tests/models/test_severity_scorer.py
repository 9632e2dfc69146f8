# SPDX-License-Identifier: Apache-2.0
"""The severity score: windows, readings without training, calibration, aggregation, determinism."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bidsqa.image import Volume, rough_head
from bidsqa.models.loading import Network
from bidsqa.models.severity import ERROR_KEY, MODEL_ERROR, SeverityScorer
from bidsqa.models.severity_inputs import CEILING, WINDOW, cut_native, native_windows, normalise, prepare, slice_scalars
from bidsqa.models.severity_scale import FAMILIES, Scale
from bidsqa.models.severity_volume import field_range, ghost_echo, grain
from bidsqa.models.table import MODELS

CALIBRATION = {
    "clean": {"noise": 0.1, "field": 0.2, "echo": 0.0},
    "limit": {"noise": 0.3, "motion": 0.5, "blur": 0.5, "ghosting": 0.5, "field": 0.6, "echo": 0.2, "grain": 9.0},
    "use": ["noise", "motion", "ghosting", "blur", "field", "echo"],
    "scale": 2.0,
}


def head_scan(seed: int = 0, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Volume:
    """An ellipsoid with random detail of about 2 mm, in blank air."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(size / edge) for size, edge in zip((180, 220, 190), spacing, strict=True))
    axes = np.meshgrid(*[np.linspace(-1.25, 1.25, size) for size in shape], indexing="ij")
    head = sum(axis**2 for axis in axes) < 1
    detail = ndimage.gaussian_filter(rng.standard_normal(shape), 0.7)
    return Volume.from_array(np.where(head, 400 + 120 * detail, 0), spacing)


def network(output: Any, settings: dict[str, str] | None = None) -> Network:
    """A pretended network: the same readings for every slice, or what a function makes of the inputs."""

    def run(arrays: Any) -> list[Any]:
        made = output(arrays) if callable(output) else np.tile(np.float32(output), (len(arrays["image"]), 1))
        return [made]

    return Network(
        model=MODELS["severity"],
        run=run,
        inputs=("image", "head", "scalars"),
        settings={"calibration": json.dumps(CALIBRATION)} if settings is None else settings,
        sha256="0",
        version="t",
    )


def readings(**named: float) -> list[float]:
    return [0.0, 0.0, *[named.get(name, 0.0) for name in FAMILIES], *[0.0] * 5]


def test_windows_are_the_pixels_themselves() -> None:
    picture = np.arange(30 * 20, dtype=np.float32).reshape(30, 20)
    window = cut_native(picture, (14.5, 9.5), 40)
    assert np.array_equal(window[5:35, 10:30], picture)
    assert window.sum() == picture.sum()
    small = cut_native(picture, (14.5, 9.5), 10)
    assert np.array_equal(small, picture[10:20, 5:15])


def test_windows_follow_the_head_wherever_it_lies() -> None:
    volume = head_scan()
    moved = Volume.from_array(np.pad(volume.data, ((30, 0), (0, 11), (4, 9))), volume.spacing)
    windows = []
    for scan in (volume, moved):
        prepared = prepare(scan)
        windows.append(prepared.planes[0][2]["image"])
    assert windows[0].shape == windows[1].shape
    assert np.abs(windows[0] - windows[1]).mean() < 0.05


def test_normalise_is_blind_to_brightness_and_sign() -> None:
    volume = head_scan()
    windows, heads = native_windows(volume, rough_head(volume), 2, np.array([40, 45]), WINDOW)
    first = normalise(windows, heads)
    assert np.allclose(first, normalise(1000 * windows, heads), atol=1e-5)
    assert np.allclose(first, normalise(-windows, heads), atol=1e-5)
    assert first.min() >= 0 and first.max() <= CEILING
    assert first[heads].mean() == pytest.approx(1, abs=0.05)
    assert np.isfinite(normalise(np.zeros_like(windows), heads)).all()


def test_scalars_are_finite_without_air_and_without_head() -> None:
    image = np.ones((2, WINDOW, WINDOW), dtype=np.float32)
    heads = np.stack([np.ones((WINDOW, WINDOW), dtype=bool), np.zeros((WINDOW, WINDOW), dtype=bool)])
    values = slice_scalars(image, heads, np.ones((2, 3)))
    assert values.shape == (2, 7) and np.isfinite(values).all()


@pytest.mark.parametrize("ratio", [1.5, 2.5])
def test_the_field_is_measured(ratio: float) -> None:
    volume = head_scan()
    head = rough_head(volume)
    flat, _ = field_range(volume, head)
    ramp = np.exp(np.linspace(-0.5, 0.5, volume.shape[1]) * np.log(ratio) * 1.25)[None, :, None]
    slanted, error = field_range(Volume.from_array(volume.data * ramp, volume.spacing), head)
    assert flat < 0.1
    assert slanted == pytest.approx(np.log(ratio), abs=0.15)
    assert 0 <= error < 0.2


@pytest.mark.parametrize("divisor", [2, 4, 7])
def test_an_echo_is_heard_and_anatomy_is_not(divisor: int) -> None:
    volume = head_scan()
    silent, _ = ghost_echo(volume, rough_head(volume))
    ghost = volume.data + 0.1 * np.roll(volume.data, volume.shape[1] // divisor, axis=1)
    loud, error = ghost_echo(Volume.from_array(np.where(volume.data > 0, ghost, 0), volume.spacing), rough_head(volume))
    assert loud > 5 * silent + 0.01
    assert error < 0.3 * loud


def test_grain_is_the_noise_over_the_brightness() -> None:
    rng = np.random.default_rng(0)
    heads = np.ones((3, 80, 80), dtype=bool)
    edges = 1 + 0.4 * (np.indices(heads.shape)[1] > 40)
    for sigma in (0.02, 0.1):
        windows = (edges + rng.normal(0, sigma, heads.shape)).astype(np.float32)
        found, error = grain(windows, heads)
        assert found == pytest.approx(sigma, rel=0.05)
        assert 0 < error < 0.05 * sigma
    assert grain(np.zeros_like(windows), heads) == (0.0, 0.0)


def test_blank_volume_has_no_readings() -> None:
    empty = Volume.from_array(np.zeros((40, 40, 40)))
    nothing = np.zeros(empty.shape, dtype=bool)
    assert ghost_echo(empty, nothing) == (0.0, 0.0)
    assert field_range(empty, nothing) == (0.0, 0.0)


def test_severity_is_led_by_the_largest_calibrated_reading() -> None:
    score = SeverityScorer(network(readings(noise=0.9, motion=0.5))).score(head_scan())
    # noise: (0.9 - 0.1) / (0.3 - 0.1) / 2 = 2, above the threshold 1 + ln 2; motion: 0.5 / 0.5 / 2 = 0.5
    assert score.value == pytest.approx(1 + np.log(2), rel=1e-3)
    assert score.extra["family"] == "noise"
    assert score.extra["families"]["motion"] == pytest.approx(0.5, rel=1e-2)
    assert set(score.extra["families"]) == set(FAMILIES)
    assert score.extra["model_error"] == MODEL_ERROR > 0.05
    assert score.uncertainty == pytest.approx(MODEL_ERROR, abs=0.05)
    assert [part.plane for part in score.slices] == ["axial", "sagittal", "coronal"]


def test_a_clean_scan_is_near_zero_and_named_none() -> None:
    score = SeverityScorer(network(readings(noise=0.05))).score(head_scan())
    assert 0 <= score.value < 0.5
    assert score.extra["family"] == "none"


def test_thick_slices_are_judged_in_their_plane_only() -> None:
    score = SeverityScorer(network(readings())).score(head_scan(spacing=(1.5, 5.0, 1.5)))
    assert [part.plane for part in score.slices] == ["coronal"]


def test_unequal_slices_give_an_uncertainty() -> None:
    def output(arrays: Any) -> Any:
        made = np.zeros((len(arrays["image"]), 12), dtype=np.float32)
        made[:, 3] = np.linspace(0.2, 1.0, len(made))
        return made

    assert SeverityScorer(network(output)).score(head_scan()).uncertainty > 0.01


def test_a_scan_that_its_field_leads_is_not_certain_because_two_halves_agree() -> None:
    """The halves of the cells tell how well the field is fitted, not what the severity says on another scan."""
    volume = head_scan()
    place = np.linspace(-1, 1, volume.shape[0], dtype=np.float32)[:, None, None]
    shaded = Volume.from_array(volume.data * np.exp(0.8 * place), volume.spacing)
    settings = {"calibration": json.dumps({**CALIBRATION, "use": ["field"]}), ERROR_KEY: "0"}
    bare = SeverityScorer(network(readings(), settings)).score(shaded)
    told = SeverityScorer(network(readings(), {**settings, ERROR_KEY: "0.3"})).score(shaded)
    assert bare.value == told.value > 1
    assert bare.uncertainty < 0.05
    assert told.uncertainty == pytest.approx(np.hypot(bare.uncertainty, 0.3))
    assert told.extra["model_error"] == 0.3


def test_the_published_network_is_scored_by_the_mean_of_its_slices() -> None:
    def run(arrays: Any) -> list[Any]:
        assert arrays["image"].shape[1:] == (1, 224, 224)
        return [np.full(len(arrays["image"]), 0.7, dtype=np.float32)]

    plain = Network(model=MODELS["severity"], run=run, inputs=("image",), settings={}, sha256="0", version="t")
    assert SeverityScorer(plain).score(head_scan()).value == pytest.approx(0.7)


def test_networks_have_the_size_they_should() -> None:
    pytest.importorskip("torch")
    from bidsqa.models.networks_severity import CompactNetwork, HaysNetwork

    assert sum(parameter.numel() for parameter in HaysNetwork().parameters()) == 49_585
    assert sum(parameter.numel() for parameter in CompactNetwork().parameters()) < 400_000


def test_the_published_network_is_blind_to_scale() -> None:
    torch = pytest.importorskip("torch")
    from bidsqa.models.networks_severity import HaysNetwork

    torch.manual_seed(0)
    net, image = HaysNetwork().eval(), torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(net(image), net(255 * image), rtol=1e-2, atol=1e-4)
        assert (net(image) >= 0).all()


def test_onnx_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from bidsqa.models.networks_severity import CompactNetwork
    from bidsqa.training.export import half_rounded
    from bidsqa.training.severity_export import exported, scorer_of

    torch.manual_seed(0)
    net = CompactNetwork().eval()
    scorer = scorer_of(exported(net, Scale.from_json(json.dumps(CALIBRATION))))
    prepared = prepare(head_scan())
    inputs = prepared.planes[0][2]
    with torch.no_grad():
        there = half_rounded(net)(*(torch.from_numpy(inputs[name]) for name in ("image", "head", "scalars"))).numpy()
    assert np.allclose(scorer.outputs(prepared)[0], there, atol=2e-5)
    first, again = scorer.score_prepared(prepared), scorer.score(head_scan())
    assert first == again


@pytest.mark.skipif(not MODELS["severity"].sha256, reason="no weights shipped yet")
def test_shipped_weights_score_a_degraded_scan_above_the_clean_one() -> None:
    from bidsqa.models import load

    scorer = load("severity")
    volume = head_scan()
    noise = np.random.default_rng(1).normal(0, 80, volume.shape)
    noisy = Volume.from_array(np.where(volume.data > 0, np.abs(volume.data + noise), 0), volume.spacing)
    clean, worse = scorer.score(volume), scorer.score(noisy)
    assert worse.value > clean.value
    assert scorer.score(volume) == clean
    assert json.dumps(clean.to_dict())
