# SPDX-License-Identifier: Apache-2.0
"""From an item to its pictures: read the scan, take the slices, put on the artifacts, all in one grey scale."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.errors import InputError
from bidsqa.image import Volume, load_volume
from bidsqa.image.intensity import robust_range, rough_head
from bidsqa.image.slices import PLANES, acquisition_axis, head_extent, take_slice
from bidsqa.rating.keeping import Kept
from bidsqa.rating.ruler_images import RulerImages
from bidsqa.simulation.coil_noise import bright_part

Array = np.ndarray[Any, Any]
Content = Mapping[str, Any]
CLEAN = -1
SERIES = "series"
# value of a series' "over": its signal-to-noise ratio is that of the bright part, not of all pixels
BRIGHT = "bright"
MOST_SLICES = 40
STACK_SHARE = 0.8
KEPT_VOLUMES, KEPT_BYTES = 3, 400e6
LARGEST_PARAMETER = 64
MOST_TRIES, CLOSE_DB = 20, 0.005


class Gallery:
    """Makes and keeps the pictures of items.

    Parameters
    ----------
    root : Path
        The dataset, which is only read.
    rulers : RulerImages or None
        Images of the rulers that items name.
    radiological : bool
        Show the patient's left at the right of axial and coronal slices.
    """

    def __init__(self, root: Path, rulers: RulerImages | None = None, radiological: bool = False) -> None:
        self.root, self.rulers, self.radiological = root, rulers, radiological
        # one at a time: the simulation uses all processors it may use
        making = threading.RLock()
        self._volumes: Kept[tuple[Volume, dict[int, tuple[int, int]]]] = Kept(KEPT_VOLUMES, lambda _: 1, making)
        self._stacks: Kept[tuple[Array, Any]] = Kept(KEPT_BYTES, lambda made: made[0].nbytes, making)

    def look(self, content: Content, versions: Sequence[int] = ()) -> dict[str, Any]:
        """What the pictures of an item will show, to be stored with the trial.

        Parameters
        ----------
        content : mapping
            Of the item.
        versions : sequence of int
            Those that are shown; -1 is the clean image.

        Returns
        -------
        dict
            ``image``: ``slices`` (indices in RAS+), ``plane``, ``window`` (grey values of black and white), ``size``
            (rows, columns), ``edges`` (mm, rows and columns), ``sha256`` of the scan's data, ``versions`` (by number as
            text, the parameters of the artifacts); ``series`` the same of the series, of a ruler the checksum of its
            images.

        Raises
        ------
        InputError
            A scan or ruler can't be read.
        """
        shown: dict[str, Any] = {}
        if "path" in content:
            told = {str(at): self._version(content, at)[1] for at in sorted(set(versions)) if at != CLEAN}
            shown["image"] = {**self._clean(content)[1], "versions": told}
        if SERIES in content:
            shown[SERIES] = self._series(content)[1]
        return shown

    def floats(self, content: Content, version: int) -> Array:
        """A version of an item in the scan's own units.

        Parameters
        ----------
        content : mapping
            Of the item.
        version : int
            0 and up, or -1 for the clean image.

        Returns
        -------
        ndarray of float32, shape (slices, rows, columns)
            Row 0 is the top. One slice where the unit is a slice.
        """
        return self._clean(content)[0] if version == CLEAN else self._version(content, version)[0]

    def series_floats(self, content: Content) -> Array:
        """The series of an item, shape (versions, slices, rows, columns), worst first."""
        return self._series(content)[0]

    def marks(self, plane: str) -> list[str]:
        """Letters for the left and the right edge of a picture of this plane."""
        if plane not in PLANES:
            return []
        return ["P", "A"] if plane == PLANES[0] else ["R", "L"] if self.radiological else ["L", "R"]

    def png(self, content: Content, shown: Mapping[str, Any], slot: str, version: int, index: int) -> bytes:
        """One picture as PNG without any text in it.

        Parameters
        ----------
        content, shown : mapping
            Of the item, and from :meth:`look`.
        slot : str
            ``"image"`` or ``"series"``.
        version, index : int
            Which version, and which of its slices.

        Raises
        ------
        IndexError
            There is no such version or slice.
        """
        stack = self.series_floats(content)[version] if slot == SERIES else self.floats(content, version)
        if not 0 <= index < len(stack) or version < CLEAN:
            raise IndexError(index)
        picture = stack[index][:, ::-1] if self.marks(shown[slot]["plane"]) == ["R", "L"] else stack[index]
        return encode(picture, shown[slot]["window"])

    # ------------------------------------------------------------------ making

    def _clean(self, content: Content) -> tuple[Array, dict[str, Any]]:
        return self._kept(_key(content, "clean"), lambda: self._cut(content))

    def _cut(self, content: Content) -> tuple[Array, dict[str, Any]]:
        volume, extents = self._volume(content["path"])
        axis = _axis(volume, content)
        if axis not in extents:
            extents[axis] = head_extent(rough_head(volume), axis)
        indices = _indices(extents[axis], content)
        stack = slices_of(volume.data, axis, indices)
        low, high = robust_range(stack)
        edges = [float(edge) for at, edge in enumerate(volume.spacing) if at != axis][::-1]
        about = {
            "slices": indices,
            "plane": PLANES[axis],
            "window": [low, high if high > low else low + 1.0],
            "size": list(stack.shape[1:]),
            "edges": edges,
            "sha256": volume.facts.sha256,
        }
        return stack, about

    def _version(self, content: Content, number: int) -> tuple[Array, list[dict[str, Any]]]:
        recipe = content["versions"][number]
        if not recipe:
            return self._clean(content)[0], []
        return self._kept(_key(content, number), lambda: self._degrade(content, recipe))

    def _degrade(self, content: Content, recipe: Sequence[Content]) -> tuple[Array, list[dict[str, Any]]]:
        stack, about = self._clean(content)
        return degrade_slices(stack, recipe, about["edges"])

    def _series(self, content: Content) -> tuple[Array, dict[str, Any]]:
        series = content[SERIES]
        if "ruler" in series:
            return self._kept(f"ruler {series['ruler']}", lambda: self._ruler(series["ruler"]))
        source = {**content, **{key: series[key] for key in ("path", "position") if key in series}}
        return self._kept(_key(content, SERIES), lambda: self._noisy(source, series))

    def _noisy(self, source: Content, series: Content) -> tuple[Array, dict[str, Any]]:
        stack, about = self._clean(source)
        region = bright_part(stack) if series.get("over") == BRIGHT else None
        versions, strengths = noise_series(stack, series["db"], series["coils"], series["seed"], region)
        return versions, {**about, "versions": [{"db": db, "strength": at} for db, at in strengths]}

    def _ruler(self, name: str) -> tuple[Array, dict[str, Any]]:
        if self.rulers is None:
            raise InputError(f"The ruler {name} is not at hand", "give its folder with --rulers")
        images = self.rulers.read(name)
        low, high = robust_range(images[-1])
        about = {
            "window": [low, high if high > low else low + 1.0],
            "size": list(images.shape[1:]),
            "edges": [1.0, 1.0],
        }
        digest = self.rulers.sha256(name)
        told = {"sha256": digest} if digest else {}
        return images[:, None], {**about, **told, "slices": [0], "plane": "", "versions": [{}] * len(images)}

    def _volume(self, path: str) -> tuple[Volume, dict[int, tuple[int, int]]]:
        return self._volumes.get(path, lambda: (load_volume(self.root / path), {}))

    def _kept(self, key: str, make: Callable[[], tuple[Array, Any]]) -> tuple[Array, Any]:
        return self._stacks.get(key, make)


def _key(content: Content, part: Any) -> str:
    import json

    return json.dumps([part, content], sort_keys=True)


def _axis(volume: Volume, content: Content) -> int:
    return PLANES.index(content["plane"]) if content.get("plane") else acquisition_axis(volume)


def _indices(extent: tuple[int, int], content: Content) -> list[int]:
    """Slices to show: one, or up to `MOST_SLICES` evenly through the middle of the head."""
    low, high = extent
    if content["unit"] == "slice":
        return [min(low + int(content["position"] * (high - low)), high - 1)]
    margin = 0.5 * (1 - STACK_SHARE) * (high - low)
    first, last = math.floor(low + margin), max(math.ceil(high - margin) - 1, low)
    return sorted({round(place) for place in np.linspace(first, last, min(MOST_SLICES, last - first + 1))})


def slices_of(data: Array, axis: int, indices: Sequence[int]) -> Array:
    """Slices as pictures, float32, shape (slices, rows, columns)."""
    return np.stack([np.ascontiguousarray(take_slice(data, axis, index), dtype=np.float32) for index in indices])


def degrade_slices(
    stack: Array, recipe: Sequence[Content], edges: Sequence[float]
) -> tuple[Array, list[dict[str, Any]]]:
    """Put artifacts on slices, one after the other, as on slices that were acquired one by one.

    All slices get the same artifact; noise differs from slice to slice.

    Parameters
    ----------
    stack : ndarray of float32, shape (slices, rows, columns)
    recipe : sequence of mapping
        ``name``, ``strength`` (0-1), ``seed``.
    edges : sequence of float
        Pixel edges in mm, rows and columns.

    Returns
    -------
    degraded : ndarray of float32, shape (slices, rows, columns)
    parameters : list of dict
        As drawn, one dict an artifact; long ones (a pose for each line) are left out, the seed gives them again.
    """
    import torch

    from bidsqa.simulation import ARTIFACTS

    image, told = torch.from_numpy(np.ascontiguousarray(stack))[:, None], []
    for artifact in recipe:
        row = ARTIFACTS[artifact["name"]]
        drawn = row.sample(torch.Generator().manual_seed(artifact["seed"]), artifact["strength"], list(edges))
        parameters = {key: value.expand(len(stack), *value.shape[1:]).clone() for key, value in drawn.items()}
        if "noise_seed" in parameters:
            parameters["noise_seed"] += torch.arange(len(stack))
        with torch.no_grad():
            image = row.apply(image, parameters)
        values = {key: value[0].tolist() for key, value in drawn.items()}
        kept = {key: value for key, value in values.items() if _small(value)}
        told.append({"name": artifact["name"], "seed": artifact["seed"], **kept})
    return np.ascontiguousarray(image[:, 0].numpy()), told


def _small(value: Any) -> bool:
    return np.size(value) <= LARGEST_PARAMETER


def noise_series(
    stack: Array, steps: Sequence[float], coils: int, seed: int, region: Array | None = None
) -> tuple[Array, list[tuple[float | None, float]]]:
    """Versions of falling noise, each of a given signal-to-noise ratio, and the image itself at the end.

    The noise of all versions is the same draw, scaled: that of several coils combined by the root of the sum of
    squares, not Gaussian noise on the magnitudes.

    Parameters
    ----------
    stack : ndarray of float32, shape (slices, rows, columns)
    steps : sequence of float
        10 log10(sum x² / sum (x - x_v)²), dB, rising.
    coils, seed : int
    region : ndarray of bool, of the stack's shape, optional
        Pixels of both sums; all if not given. Air that isn't blanked holds most of the error of several coils, whose
        noise has a mean there: the head has many more decibels then.

    Returns
    -------
    versions : ndarray of float32, shape (len(steps) + 1, slices, rows, columns)
    strengths : list of (float or None, float)
        dB, and the strength of ``coil_noise`` that gives it; None and 0 for the image itself.

    Raises
    ------
    InputError
        No strength is noisy enough.
    """
    import torch

    from bidsqa.simulation.artifact import head_level, rough_foreground
    from bidsqa.simulation.noise import SIGMA_AT_1, draw_normal

    image = torch.from_numpy(np.ascontiguousarray(stack))[:, None]
    # of several coils noisy² = x² + 2xσA + σ²B, so that the draw is made once for all versions
    along, power = np.empty_like(stack), np.empty_like(stack)
    for number in range(len(stack)):
        deviates = draw_normal(image[:1], torch.tensor([seed + number]), 2 * coils)[0]
        along[number] = (deviates[:coils].sum(dim=0) / coils**0.5).numpy()
        power[number] = deviates.square().sum(dim=0).numpy()
    whole = torch.from_numpy(np.ascontiguousarray(stack))[None, None]
    level = SIGMA_AT_1 * float(head_level(whole, rough_foreground(whole))[0])
    counted = np.ones(stack.shape, dtype=bool) if region is None else region
    signal = float(np.square(stack[counted], dtype=np.float64).sum())

    def noisy(strength: float) -> Array:
        sigma = np.float32(strength * level)
        return np.sqrt(np.maximum(stack**2 + 2 * sigma * stack * along + sigma**2 * power, 0))

    def ratio(version: Array) -> float:
        error = float(np.square((version - stack)[counted], dtype=np.float64).sum())
        return 10 * math.log10(signal / error) if error > 0 else math.inf

    made, strengths = [], []
    strength = 0.1
    for step in steps:
        for _ in range(MOST_TRIES):
            version = noisy(strength)
            apart = ratio(version) - step
            if abs(apart) < CLOSE_DB or not math.isfinite(apart):
                break
            strength *= 10 ** (apart / 20)
        if strength > 1 or abs(apart) >= CLOSE_DB:
            raise InputError(f"noise of {step:g} dB can't be put on this image", "leave it out")
        made.append(version)
        strengths.append((step, strength))
    return np.stack([*made, stack]), [*strengths, (None, 0.0)]


def encode(picture: Array, window: Sequence[float]) -> bytes:
    """A grey PNG: ``window[0]`` is black, ``window[1]`` white."""
    from PIL import Image

    low, high = window
    grey = np.clip(np.rint((picture - low) * (255.0 / (high - low))), 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(content, "PNG", compress_level=1)
    return content.getvalue()
