# SPDX-License-Identifier: Apache-2.0
"""Slices of subjects and sites not trained on, with known noise and with motion, to judge scores by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import Volume, acquisition_axis, head_extent, middle_indices, rough_head
from bidsqa.models.aggregation import choose_slices, thin
from bidsqa.models.noise_estimate import iedd_score
from bidsqa.models.noise_motion import SLICES_PER_PLANE
from bidsqa.models.noise_motion_inputs import WINDOW, prepare, standardise
from bidsqa.models.severity_inputs import native_windows
from bidsqa.simulation.coil_motion import ORDERS, draw_moves, move
from bidsqa.simulation.coil_noise import BLANKED_FROM, bright_part, image_versions
from bidsqa.simulation.coils import coil_kspace, from_kspace, sum_of_squares
from bidsqa.simulation.label_scan import draw_scan, read_table
from bidsqa.training.noise_motion import RULER_LEVELS
from bidsqa.training.pool import TEST_MAPS, Clean, read_labels, real_scans

Array = np.ndarray[Any, Any]
# contrasts of the scans that are drawn from the maps in turn: those that real scans lack twice
DRAWN = ("T1w", "T2w", "FLAIR", "PDw", "FLAIR", "PDw")
SLICES, FRACTION, SEED, COILS = 3, 0.5, 611, 4
THICK = 1.5
# kinds of data, as the tables name them
REAL, SEEN_SITE, MADE = "real, sites not trained on", "real, site trained on, other subjects", "drawn from other maps"


@dataclass(frozen=True)
class Case:
    """One slice in several versions.

    Parameters
    ----------
    name, subject, site, contrast, data : str
        ``data`` is the kind of data.
    dimension : str
        ``2D`` or ``3D``, for the ruler.
    own : float
        Ratio of the clean slice to its own noise, dB, by IEDD.
    versions : ndarray of float32, shape (8, H, W)
        Noise of 12 to 30 dB in steps of 3, then the slice itself.
    pair : ndarray of float32, shape (2, H, W)
        Without and with motion.
    order : str
        Of the lines.
    """

    name: str
    subject: str
    site: str
    contrast: str
    data: str
    dimension: str
    own: float
    versions: Array
    pair: Array
    order: str


def clean_scans(data: Path) -> Iterator[tuple[Clean, str]]:
    """The scans that are judged, with their kind of data."""
    for clean in real_scans(data, ("test",)):
        yield clean, REAL
    for clean in real_scans(data, ("watch",)):
        yield clean, SEEN_SITE
    classes, kinds = read_table(data / "labels")
    names = sorted(TEST_MAPS)
    for place, contrast in enumerate(DRAWN):
        name = names[place % len(names)]
        labels = read_labels(data / "labels" / f"{name}.nii.gz")
        volume, _ = draw_scan(labels, classes, kinds, np.random.default_rng((SEED, place)), contrast)
        yield Clean(f"{name}_{contrast}", name, "labels", contrast, "test", volume), MADE


def cases_of(clean: Clean, data: str, seed: int) -> Iterator[Case]:
    """Middle slices of the acquisition plane."""
    volume = clean.volume
    head, axis = rough_head(volume), acquisition_axis(volume)
    indices = thin(middle_indices(head_extent(head, axis), FRACTION), SLICES)
    windows, _ = native_windows(volume, head, axis, indices, WINDOW)
    for number, window in enumerate(np.abs(windows)):
        rng = np.random.default_rng((seed, number))
        order = ORDERS[int(rng.integers(len(ORDERS)))]
        noisy = image_versions(window, RULER_LEVELS, int(rng.integers(2**31)))
        yield Case(
            f"{clean.name}_{int(indices[number])}",
            clean.subject,
            clean.site,
            clean.contrast,
            data,
            dimension_of(volume),
            iedd_score(window),
            np.concatenate([noisy, window[None]]).astype(np.float32),
            pair_of(window, order, rng),
            order,
        )


def dimension_of(volume: Volume) -> str:
    """``2D`` where the slices are thick, else ``3D``."""
    return "2D" if volume.anisotropy >= THICK else "3D"


def pair_of(window: Array, order: str, rng: np.random.Generator) -> Array:
    """The slice as it is and after motion, blanked air kept blank, (2, H, W)."""
    kspace, maps = coil_kspace(window, COILS, rng)
    moved = sum_of_squares(from_kspace(move(kspace, draw_moves(rng), order, int(rng.integers(2)), maps)))
    zero = window == 0
    if zero.mean() > BLANKED_FROM:
        moved[zero] = 0
    return np.stack([window, moved]).astype(np.float32)


@dataclass(frozen=True)
class CleanScan:
    """A whole scan as it is and moved, as the network is given it.

    Parameters
    ----------
    subject, contrast, data : str
    slices, moved : ndarray of float16, shape (N, 1, 256, 256)
    """

    subject: str
    contrast: str
    data: str
    slices: Array
    moved: Array


def prepared(clean: Clean, data: str, seed: int) -> CleanScan:
    """The slices that a scan's score rests on, as they are and after one motion of the head, the same in each slice."""
    head = rough_head(clean.volume)
    order = ORDERS[seed % len(ORDERS)]
    slices, moved = [], []
    for axis, indices in choose_slices(clean.volume, head, 0.6, SLICES_PER_PLANE):
        slices.append(prepare(clean.volume, head, axis, indices))
        windows, _ = native_windows(clean.volume, head, axis, indices, WINDOW)
        pairs = [pair_of(window, order, np.random.default_rng((seed, axis))) for window in np.abs(windows)]
        moved.append(standardise(np.stack([pair[1] for pair in pairs]))[:, None])
    still, shaken = (np.concatenate(part).astype(np.float16) for part in (slices, moved))
    return CleanScan(clean.subject, clean.contrast, data, still, shaken)


def build_cases(data: Path) -> tuple[list[Case], list[CleanScan]]:
    """Every case and every clean scan, in a fixed order."""
    cases, scans = [], []
    for number, (clean, kind) in enumerate(clean_scans(data)):
        cases += list(cases_of(clean, kind, SEED + number))
        scans.append(prepared(clean, kind, SEED + number))
        print(f"{clean.name}: {len(cases)} cases", flush=True)
    return cases, scans


def save_cases(cases: Sequence[Case], scans: Sequence[CleanScan], path: Path) -> None:
    """Keep them in an npz file; images as float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [{name: value for name, value in vars(case).items() if not isinstance(value, np.ndarray)} for case in cases]
    whole = [{"subject": scan.subject, "contrast": scan.contrast, "data": scan.data} for scan in scans]
    arrays = {f"scan{place}": scan.slices for place, scan in enumerate(scans)}
    arrays |= {f"moved{place}": scan.moved for place, scan in enumerate(scans)}
    for place, case in enumerate(cases):
        top = np.float32(max(float(case.versions.max()), 1e-20))
        arrays[f"versions{place}"] = (case.versions / top).astype(np.float16)
        arrays[f"pair{place}"] = (case.pair / top).astype(np.float16)
    np.savez(path, about=np.array(json.dumps([told, whole])), **arrays)  # type: ignore[arg-type]


def load_cases(path: Path) -> tuple[list[Case], list[CleanScan]]:
    """Inverse of :func:`save_cases`."""
    with np.load(path, allow_pickle=False) as kept:
        told, whole = json.loads(str(kept["about"]))
        cases = [
            Case(
                **one,
                versions=kept[f"versions{place}"].astype(np.float32),
                pair=kept[f"pair{place}"].astype(np.float32),
            )
            for place, one in enumerate(told)
        ]
        return cases, [
            CleanScan(**one, slices=kept[f"scan{place}"], moved=kept[f"moved{place}"])
            for place, one in enumerate(whole)
        ]


def plain_snr(image: Array) -> float:
    """Signal over noise without a reference, dB: mean of the bright part over the noise of its second differences.

    Immerkær 1996 (doi 10.1006/cviu.1996.0060): the differences cancel what is locally flat or sloped.
    """
    from scipy import ndimage

    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    part = ndimage.binary_erosion(bright_part(image))
    if part.sum() < 50:
        return float("nan")
    noise = float(np.sqrt(np.pi / 2) * np.abs(ndimage.convolve(image, kernel))[part].mean() / 6)
    return 20 * float(np.log10(max(float(image[part].mean()), 1e-20) / max(noise, 1e-20)))
