# SPDX-License-Identifier: Apache-2.0
"""Batches of images of named and random contrasts from label maps."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bidsqa.simulation import paint_contrast, sample_contrast  # noqa: E402
from bidsqa.simulation.contrast import TISSUE_INDEX, WHITE_MATTER_LEVEL, signal_levels  # noqa: E402
from bidsqa.simulation.label_contrast import FREESURFER, JITTER  # noqa: E402

LABELS = {"white": 2, "cortex": 3, "csf": 4}


def head_map(dims: int = 2, count: int = 1) -> Any:
    """Rings of air, CSF, cortex and white matter, from outside."""
    axes = torch.meshgrid(*[torch.linspace(-1.2, 1.2, 40)] * dims, indexing="ij")
    radius = sum(axis**2 for axis in axes) ** 0.5
    labels = torch.zeros_like(radius, dtype=torch.int16)
    for limit, label in ((1.0, 4), (0.8, 3), (0.5, 2)):
        labels[radius < limit] = label
    return labels[None, None].repeat(count, *[1] * (dims + 1))


def draw(contrast: Any, seed: int = 0, **more: Any) -> dict[str, Any]:
    return sample_contrast(torch.Generator().manual_seed(seed), contrast, **more)


def means(image: Any, labels: Any) -> dict[str, float]:
    return {name: float(image[labels == label].mean()) for name, label in LABELS.items()}


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR", "PDw"])
@pytest.mark.parametrize("dims", [2, 3])
def test_named_contrasts_have_the_signals_of_their_sequence(contrast: str, dims: int) -> None:
    labels = head_map(dims)
    parameters = draw(contrast, spacing=(1.0,) * dims)
    parameters["fwhm"] *= 0
    levels = signal_levels(contrast) / WHITE_MATTER_LEVEL
    for name, value in means(paint_contrast(labels, parameters), labels).items():
        assert value == pytest.approx(float(levels[TISSUE_INDEX[name]]), rel=JITTER + 0.03, abs=0.01)


def test_without_texture_and_point_spread_each_label_has_its_signal() -> None:
    labels = head_map(count=2)
    parameters = draw(["T2w", "random"])
    parameters["fwhm"] *= 0
    parameters["texture"] *= 0
    image = paint_contrast(labels, parameters)
    assert image.dtype == torch.float32 and image.shape == labels.shape
    for row in range(2):
        for label in (0, 2, 3, 4):
            inside = image[row][labels[row] == label]
            assert torch.allclose(inside, parameters["signal"][row, label].expand_as(inside))
    assert float(image[labels == 0].abs().max()) == 0


def test_texture_has_its_standard_deviation() -> None:
    labels = torch.full((1, 1, 80, 80), 2)
    parameters = draw("T1w")
    parameters["fwhm"] *= 0
    parameters["texture"][:] = 0.03
    image = paint_contrast(labels, parameters)
    assert float(image.std() / image.mean()) == pytest.approx(0.03, rel=0.02)


def test_random_contrasts_differ_by_tissue_and_draw_and_repeat_by_seed() -> None:
    first, again, other = draw("random", 1), draw("random", 1), draw("random", 2)
    assert torch.equal(first["signal"], again["signal"])
    assert not torch.equal(first["signal"], other["signal"])
    signal = first["signal"][0]
    assert float(signal[2]) == float(signal[41])  # both sides are one tissue
    assert len({round(float(signal[label]), 5) for label in (2, 3, 4, 10, 13)}) == 5
    values = torch.cat([draw("random", seed)["signal"][0, [2, 3, 4]] for seed in range(60)])
    assert 0.1 <= float(values.min()) < 0.2 and 1.0 < float(values.max()) <= 1.1
    assert torch.equal(paint_contrast(head_map(), first), paint_contrast(head_map(), again))


def test_labels_that_are_not_named_are_background() -> None:
    labels = torch.tensor([[[[0, 5, 9, 400]] * 4]])
    parameters = draw("T1w", tissues={5: "fat", 9: "cavity"})
    parameters["fwhm"] *= 0
    image = paint_contrast(labels, parameters)[0, 0, 0]
    assert float(image[1]) > 0
    assert image[[0, 2, 3]].tolist() == [0, 0, 0]


def test_point_spread_is_in_millimetres() -> None:
    parameters = draw(["T1w"] * 2, spacing=[[1.0, 1.0], [0.5, 2.0]])
    width = parameters["fwhm"] * torch.tensor([[1.0, 1.0], [0.5, 2.0]])
    assert torch.allclose(width[:, 0], width[:, 1])
    assert float(width.min()) >= 0.5 and float(width.max()) <= 1.0


def test_every_brain_label_of_freesurfer_has_a_tissue_that_exists() -> None:
    assert set(FREESURFER.values()) <= set(TISSUE_INDEX)
    assert {2, 3, 41, 42, 10, 49, 17, 53, 4, 43, 16} <= set(FREESURFER)


def test_unknown_contrasts_and_tissues_are_refused() -> None:
    with pytest.raises(ValueError, match="'SWI'"):
        draw("SWI")
    with pytest.raises(ValueError, match="'cheese'"):
        draw("T1w", tissues={1: "cheese"})


def test_painting_makes_nothing_on_another_device() -> None:
    labels, parameters = head_map(), draw("random")
    expected = paint_contrast(labels, parameters)
    with torch.device("meta"):
        assert torch.equal(paint_contrast(labels, parameters), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_paints_the_same() -> None:
    labels, parameters = head_map(), draw("random")
    there = paint_contrast(labels.cuda(), parameters)
    assert there.is_cuda
    assert torch.allclose(there.cpu(), paint_contrast(labels, parameters), atol=1e-4)
