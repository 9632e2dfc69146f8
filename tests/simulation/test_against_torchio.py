# SPDX-License-Identifier: Apache-2.0
"""Agreement with torchio where it is right, and what shows where it isn't (measured with 1.2.1).

A test named ``..._here_not_there`` fails when a later torchio mends its side; the sentence in docs/simulation.rst then
goes as well.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")
torchio = pytest.importorskip("torchio")

from bidsqa.simulation import ARTIFACTS  # noqa: E402
from bidsqa.simulation.ghosting import EVERY_NTH, apply_ghosting  # noqa: E402
from bidsqa.simulation.intensity_maps import apply_gamma  # noqa: E402
from bidsqa.simulation.kspace import SPIKES, apply_spike  # noqa: E402
from bidsqa.simulation.motion import LINEAR, POSES, apply_motion  # noqa: E402
from bidsqa.simulation.resolution import FWHM_PER_SIGMA, apply_blur, apply_thick  # noqa: E402
from bidsqa.simulation.rotation import rotate, rotation_matrix  # noqa: E402


def scan(data: Any, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), centred: bool = True) -> Any:
    """torchio's image of a volume; its world origin in the middle or in the corner voxel."""
    affine = np.diag([*spacing, 1.0])
    if centred:
        affine[:3, 3] = -0.5 * (np.array(data.shape) - 1) * np.array(spacing)
    return torchio.ScalarImage(tensor=data[None].clone(), affine=affine)


def random(*shape: int) -> Any:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 1


def head() -> Any:
    """A round head in air and its mask."""
    axes = np.meshgrid(*[np.linspace(-1.4, 1.4, size) for size in (60, 40, 30)], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    image = torch.from_numpy(np.where(radius < 1, 100 + 20 * np.sin(9 * radius), 0).astype(np.float32))
    return image, image > 10


def error(clean: Any, other: Any, mask: Any) -> float:
    """Relative error in the head after the best gain."""
    other = other * float((clean * other)[mask].sum() / other[mask].square().sum())
    return float((other - clean)[mask].square().mean().sqrt() / clean[mask].square().mean().sqrt())


def centre_of_mass(image: Any) -> Any:
    return np.array(ndimage.center_of_mass(image.numpy()))


# ---------------------------------------------------------------- where both agree


def test_blur_in_millimetres() -> None:
    image = random(24, 28, 20)
    theirs = torchio.Blur(std=(2.0, 3.0, 2.5))(scan(image, (1.0, 1.5, 2.0))).data[0]
    fwhm = torch.tensor([[2.0, 2.0, 1.25]]) * FWHM_PER_SIGMA
    ours = apply_blur(image[None, None], {"fwhm": fwhm}, image[None, None] > 0)[0, 0]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_moments_of_gaussian_noise() -> None:
    flat = torch.full((50, 50, 50), 50.0)
    theirs = torchio.Noise(mean=0, std=10.0, seed=1)(scan(flat)).data
    row = ARTIFACTS["gaussian_noise"]
    ours = row.apply(flat[None, None], row.sample(torch.Generator().manual_seed(0), 1.0, (1.0, 1.0, 1.0)))
    for noisy in (theirs, ours):
        assert float(noisy.mean()) == pytest.approx(50, abs=0.2)
        assert float(noisy.std()) == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("degrees", [10.0, -25.0])
def test_rotation_about_the_image_centre(degrees: float) -> None:
    image = np.zeros((41, 41), np.float32)
    image[20, 30] = 1
    image = torch.from_numpy(ndimage.gaussian_filter(image, 3))
    image = image / image.max()
    transform = torchio.Affine(scales=1, degrees=(0, 0, degrees), translation=0, center="image")
    theirs = transform(scan(image[..., None].repeat(1, 1, 3))).data[0, ..., 1]
    turn = rotation_matrix(torch.tensor([[math.radians(degrees)]]))[0]
    ours = rotate(image[None, None], turn, torch.ones(2))[0, 0]
    assert float((theirs - image).abs().max()) > 0.3
    assert float((theirs - ours).abs().max()) < 0.04  # linear there, cubic here


def test_moved_outer_lines() -> None:
    """A head that is shifted while both ends of k-space are acquired: the result is real, so the real part does."""
    image = torch.zeros(16, 20, 31)
    image[5:11, 7:12, 10:20] = random(6, 5, 10)
    lines = torch.tensor([9, 22])  # of 31: symmetric about the centre line, 15
    theirs = torchio.Motion(
        degrees=np.zeros((2, 3)),
        translation=np.array([[0.0, 3.0, 0.0]] * 2),
        times=(lines.numpy() + 0.5) / 31,
        image_interpolation="linear",
    )(scan(image)).data[0]
    parameters = {
        "rotation": torch.zeros(1, POSES, 3),
        "shift": torch.zeros(1, POSES, 3),
        "until": torch.tensor([[9 / 31, 22 / 31, 1.0, 1.0, 1.0, 1.0]]),
        "axis": torch.tensor([2]),
        "order": torch.tensor([LINEAR]),
        "spacing": torch.ones(1, 3),
    }
    parameters["shift"][0, [0, 2], 1] = 3.0
    ours = [apply_motion(image[None, None], parameters, image[None, None] > 0)[0, 0]]
    parameters["shift"] *= -1  # world axes point the other way there
    ours.append(apply_motion(image[None, None], parameters, image[None, None] > 0)[0, 0])
    assert float((theirs - image).abs().max()) > 0.2
    assert min(float((theirs.abs() - one).abs().max()) for one in ours) < 1e-4


@pytest.mark.parametrize("period", [2, 3, 4, 5, 10])
def test_places_and_amplitudes_of_ghosts(period: int) -> None:
    """Every n-th line times 1 - i: ghosts of i/n at N/n, both give or take the centre line, i/N."""
    point, intensity = torch.zeros(60, 4, 4), 0.8
    point[30, 2, 2] = 1
    theirs = torchio.Ghosting(num_ghosts=period, axis=0, intensity=intensity, restore=None)(scan(point)).data[0]
    ours = apply_ghosting(point[None, None], every_nth(period, intensity), point[None, None] > 0)[0, 0]
    places = [(30 + copy * 60 // period) % 60 for copy in range(period)]
    lines = [volume[:, 2, 2].abs() for volume in (theirs, ours)]
    assert torch.allclose(lines[0][places], lines[1][places], atol=intensity / 60 + 1e-5)
    assert lines[1][places][1:].tolist() == pytest.approx([intensity / period] * (period - 1), abs=1e-5)


def every_nth(period: int, intensity: float) -> dict[str, Any]:
    return {
        "amplitude": torch.tensor([intensity * math.sqrt(2 * (period - 1)) / period]),
        "period": torch.tensor([float(period)]),
        "phase": torch.zeros(1),
        "axis": torch.zeros(1, dtype=torch.long),
        "kind": torch.tensor([EVERY_NTH]),
        "protected": torch.zeros(1),
    }


def test_stripes_of_a_spike() -> None:
    flat = torch.full((32, 32, 4), 10.0)
    theirs = torchio.Spike(spikes_positions=np.array([[0.75, 0.625, 0.5]]), intensity=0.02)(scan(flat)).data[0]
    parameters = {
        "frequency": torch.tensor([[[0.25, 0.125, 0.0]] * SPIKES]),
        "amplitude": torch.tensor([[0.02] + [0.0] * (SPIKES - 1)]),
        "phase": torch.zeros(1, SPIKES),
    }
    ours = apply_spike(flat[None, None], parameters, flat[None, None] > 0)[0, 0]
    assert float((theirs - flat).abs().max()) == pytest.approx(0.2, abs=1e-3)
    assert torch.allclose(ours, theirs, atol=3e-3)


def test_gamma_of_images_from_zero_to_one() -> None:
    unit = random(16, 16, 4) - 1
    unit = unit / unit.max()
    theirs = torchio.Gamma(gamma=1.4)(scan(unit)).data[0]
    ours = apply_gamma(unit[None, None], {"exponent": torch.tensor([1.4])}, unit[None, None] > 0)[0, 0]
    assert torch.allclose(ours, theirs, atol=1e-6)


# ---------------------------------------------------------------- where torchio is wrong, or means something else


@pytest.mark.parametrize(("centred", "travel"), [(True, 1.74), (False, 6.28)])
def test_motion_turns_about_the_image_centre_here_not_there(centred: bool, travel: float) -> None:
    """Turned by 10 degrees a blob 10 mm from the centre moves by 1.74 mm; there by 6.28 mm, 36 mm from the origin."""
    blob = np.zeros((61, 61, 21), np.float32)
    blob[30, 20, 10] = 1
    blob = torch.from_numpy(ndimage.gaussian_filter(blob, 3))
    image = scan(blob, centred=centred)
    degrees, still = np.array([[0, 0, 10.0]]), np.zeros((1, 3))
    motion = torchio.Motion(degrees=degrees, translation=still, times=np.array([0.5]), image_interpolation="linear")
    poses = motion.get_rigid_transforms(degrees, still, image.as_sitk())
    moved = motion.resample_images(image.as_sitk(), poses, "linear")[1]
    theirs = torchio.ScalarImage.from_sitk(moved).data[0]
    assert np.linalg.norm(centre_of_mass(theirs) - centre_of_mass(blob)) == pytest.approx(travel, abs=0.05)
    turn = rotation_matrix(torch.tensor([[0.0, 0.0, math.radians(10)]]))[0]
    ours = rotate(blob[None, None], turn, torch.ones(3))[0, 0]
    assert np.linalg.norm(centre_of_mass(ours) - centre_of_mass(blob)) == pytest.approx(1.74, abs=0.05)


def test_turning_keeps_the_noise_here_not_there() -> None:
    noise = torch.randn((40, 40, 40), generator=torch.Generator().manual_seed(2))
    degrees, still = np.array([[3.0, -2.0, 4.0]]), np.zeros((1, 3))
    image = scan(noise, centred=True)
    motion = torchio.Motion(degrees=degrees, translation=still, times=np.array([0.5]), image_interpolation="linear")
    poses = motion.get_rigid_transforms(degrees, still, image.as_sitk())
    theirs = torchio.ScalarImage.from_sitk(motion.resample_images(image.as_sitk(), poses, "linear")[1]).data[0]
    turn = rotation_matrix(torch.tensor([[math.radians(angle) for angle in degrees[0]]]))[0]
    ours = rotate(noise[None, None], turn, torch.ones(3))[0, 0]
    inside = (slice(10, -10),) * 3
    assert float(theirs[inside].std()) < 0.66
    assert float(ours[inside].std()) > 0.95


def test_slices_are_moved_in_k_space_here_not_there() -> None:
    """k-space is cut along the last axis, which a slice hasn't got: it is displaced as a whole, without an artifact."""
    image = random(32, 40)
    theirs = torchio.Motion(
        degrees=np.zeros((2, 3)),
        translation=np.array([[3.0, 0, 0], [0, 4.0, 0]]),
        times=np.array([0.3, 0.7]),
        image_interpolation="linear",
    )(scan(image[..., None])).data[0, ..., 0]
    shifts = [(3, 0), (-3, 0), (0, 4), (0, -4)]
    inside = (slice(6, -6), slice(6, -6))
    rest = [float((theirs - image.roll(shift, (0, 1)))[inside].abs().max()) for shift in shifts]
    assert min(rest) < 1e-5
    row = ARTIFACTS["motion"]
    ours = row.apply(image[None, None], row.sample(torch.Generator().manual_seed(0), 0.5))[0, 0]
    whole = [(down, right) for down in range(-6, 7) for right in range(-6, 7)]
    assert min(float((ours - image.roll(shift, (0, 1)))[inside].abs().max()) for shift in whole) > 0.1


def test_ghosts_are_magnitudes_here_not_there() -> None:
    """The real part turns ghosts negative, and loses half of them where their phase is 60 degrees off."""
    image, _ = head()
    theirs = torchio.Ghosting(num_ghosts=4, axis=0, intensity=1.0, restore=None)(scan(image)).data[0]
    assert float(theirs.min()) < -20
    ours = apply_ghosting(image[None, None], every_nth(4, 1.0), image[None, None] > 0)
    assert float(ours.min()) >= 0
    point = torch.zeros(63, 4, 4)
    point[31, 2, 2] = 1
    theirs = torchio.Ghosting(num_ghosts=3, axis=0, intensity=0.8, restore=None)(scan(point)).data[0]
    ours = apply_ghosting(point[None, None], every_nth(3, 0.8), point[None, None] > 0)[0, 0]
    assert abs(float(theirs[52, 2, 2])) == pytest.approx(0.5 * 0.8 / 3, abs=0.8 / 63)
    assert float(ours[52, 2, 2]) == pytest.approx(0.8 / 3, abs=0.8 / 63)


def test_more_ghosts_are_similar_damage_here_not_there() -> None:
    """At one intensity ten ghosts do a sixth of the damage of two; here the strength is the ghosts' energy."""
    image, mask = head()
    theirs, ours = [], []
    row = ARTIFACTS["ghosting"]
    for period in (2, 4, 10):
        ghosted = torchio.Ghosting(num_ghosts=period, axis=0, intensity=1.0, restore=None)(scan(image)).data[0]
        theirs.append(error(image, ghosted, mask))
        parameters = row.sample(
            torch.Generator(), 0.6, (1.0,) * 3, axis=0, period=float(period), kind="every_nth", protected=0.0
        )
        ours.append(error(image, row.apply(image[None, None], parameters)[0, 0], mask))
    assert theirs[0] > theirs[1] > theirs[2]
    assert theirs[2] < 0.2 * theirs[0]
    assert ours[2] > 0.45 * ours[0]


def test_the_centre_of_k_space_is_kept_here_not_there() -> None:
    """A restored share under 1.5 lines restores nothing: with intensity 1 the image's mean is gone."""
    image, _ = head()
    theirs = torchio.Ghosting(num_ghosts=3, axis=0, intensity=1.0, restore=0.02)(scan(image)).data[0]
    assert abs(float(theirs.mean() / image.mean())) < 1e-4
    row = ARTIFACTS["ghosting"]
    for seed in range(8):
        drawn = row.sample(torch.Generator().manual_seed(seed), 1.0, (1.0,) * 3, kind="every_nth")
        assert float(row.apply(image[None, None], drawn).mean() / image.mean()) > 0.95


@pytest.mark.parametrize("factor", [3, 4])
def test_thick_slices_have_a_profile_here_not_there(factor: int) -> None:
    """Nearest sampling: noise isn't averaged, and a tone beyond the new sampling comes back as another."""
    noise = torch.randn(20, 20, 96, generator=torch.Generator().manual_seed(1))
    tone = torch.cos(0.9 * math.pi * torch.arange(96.0)).expand(8, 8, 96).clone()
    inside = (..., slice(10, -10))
    thick = {"factor": torch.tensor([float(factor)]), "axis": torch.tensor([2])}
    sizes = []
    for image in (noise, tone):
        theirs = torchio.RandomAnisotropy(axes=2, downsampling=(factor, factor))(scan(image)).data[0]
        ours = apply_thick(image[None, None], thick, image[None, None] > 0)[0, 0]
        sizes.append((float(theirs[inside].std()), float(ours[inside].std())))
    assert sizes[0][0] > 0.75
    assert sizes[0][1] < 1 / math.sqrt(factor)
    assert sizes[1][0] > 0.5
    assert sizes[1][1] < 0.25


def test_the_field_has_mean_one_here_not_there() -> None:
    """Equal coefficients and a constant term: the image more than triples, its corners differ by a factor of 2000."""
    flat = torch.ones(20, 22, 24)
    theirs = torchio.BiasField(coefficients=[0.3] * 20, order=3)(scan(flat)).data[0]
    assert float(theirs.mean()) > 3
    assert float(theirs.max() / theirs.min()) > 1000
    row = ARTIFACTS["bias"]
    for seed in range(4):
        drawn = row.sample(torch.Generator().manual_seed(seed), 1.0, (1.0,) * 3)
        ours = row.apply(flat[None, None], drawn).log()
        assert abs(float(ours.mean())) < 0.1


def test_noise_and_gamma_follow_the_brightness_here_not_there() -> None:
    bright = 1000 * (random(20, 20, 20) - 1)
    theirs = torchio.Noise(mean=0, std=0.1, seed=1)(scan(bright)).data[0]
    assert error(bright, theirs, bright > 0) < 1e-3
    assert float(torchio.Gamma(gamma=1.4)(scan(bright)).data.max()) > 10 * float(bright.max())
    for name in ("noise", "gamma"):
        row = ARTIFACTS[name]
        drawn = row.sample(torch.Generator().manual_seed(0), 0.8, (1.0,) * 3)
        ours = row.apply(bright[None, None], drawn)
        assert torch.allclose(ours, 1000 * row.apply(bright[None, None] / 1000, drawn), rtol=1e-3, atol=0.1)
        assert float(ours.max()) < 2 * float(bright.max())


def test_air_is_rician_here_not_there() -> None:
    """Magnitudes have no negative values; air of Gaussian noise is half negative."""
    air = torch.zeros(40, 40, 20)
    air[:, :10] = 100
    theirs = torchio.Noise(mean=0, std=10.0, seed=1)(scan(air)).data[0, :, 20:]
    assert float((theirs < 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    row = ARTIFACTS["noise"]
    ours = row.apply(air[None, None], row.sample(torch.Generator().manual_seed(0), 0.5, (1.0,) * 3))[0, 0, :, 20:]
    assert float(ours.min()) >= 0
    assert float(ours.mean()) == pytest.approx(10 * math.sqrt(math.pi / 2), rel=0.02)


def test_spikes_miss_the_centre_here_not_there() -> None:
    """In the centre of k-space a spike is a brighter image, no stripe; intensity 1-3 swamps the image."""
    flat = torch.full((16, 16, 4), 10.0)
    theirs = torchio.Spike(spikes_positions=np.array([[0.5, 0.5, 0.5]]), intensity=1.0)(scan(flat)).data[0]
    assert float(theirs.min()) == pytest.approx(20, abs=1e-3)
    drawn = ARTIFACTS["spike"].sample(torch.Generator().manual_seed(0), [1.0] * 200)
    assert float(drawn["frequency"].abs().amax(dim=2).min()) > 0.03
    assert float(drawn["amplitude"].max()) < 0.3001
