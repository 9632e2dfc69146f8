# SPDX-License-Identifier: Apache-2.0
"""Artifact severity of a scan: slices at native pixels through a small network, the field by a polynomial.

After Hays et al. (MIDL 2025): 0 is clean, 1 the review threshold. The network reads the strength of noise, motion,
ghosting, bias and blur and the damage of all together from each slice. Three readings need no training: the field of
the whole head, since one slice can't tell a field from anatomy, the echo that a ghost leaves in the spectrum, and the
grain of the pixels. Every reading is set against clean scans of sites not trained on (0 at their median, 1 at their
95th percentile), and those that count are joined so that the worst decides (:mod:`bidsqa.models.severity_scale`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.image import Volume, rough_head, take_slice
from bidsqa.models.aggregation import choose_slices, plane_scores, standard_error
from bidsqa.models.loading import Network
from bidsqa.models.score import Score, SliceScores
from bidsqa.models.severity_scale import FAMILIES, Scale
from bidsqa.models.severity_volume import field_range, ghost_echo, grain
from bidsqa.models.windows import plane_edges

if TYPE_CHECKING:
    from bidsqa.models.saliency import LocalMap

Array = np.ndarray[Any, Any]
PRESENCE, ERROR = "_presence", "_error"
NAMED_FROM = 0.5
WINDOW = 160
HAYS_WINDOW = 224
BATCH = 8
SLICES_PER_PLANE = 10
CEILING = 6.0


def window_middle(outline: Array, window: int) -> tuple[float, float]:
    """Row and column that a window is centred on: the head's middle; a head taller than the window loses its lower end.

    Parameters
    ----------
    outline : ndarray of bool, shape (rows, columns)
        Shadow of the head in the slice's plane, superior (or anterior) on top.
    window : int
        Pixels a side.
    """
    middle = []
    for side in (0, 1):
        touched = np.flatnonzero(outline.any(axis=1 - side))
        low, high = (int(touched[0]), int(touched[-1])) if touched.size else (0, outline.shape[side] - 1)
        if side == 0 and high - low + 1 > window and outline.shape[0] > 1.15 * outline.shape[1]:
            middle.append(low + 0.48 * window)
        else:
            middle.append(0.5 * (low + high))
    return middle[0], middle[1]


def cut_native(picture: Array, middle: tuple[float, float], window: int) -> Array:
    """Window of (window, window) pixels around a position, zero outside the picture; nothing is resampled."""
    result = np.zeros((window, window), dtype=picture.dtype)
    source, target = [], []
    for side in (0, 1):
        start = round(middle[side] - (window - 1) / 2)
        low, high = max(start, 0), min(start + window, picture.shape[side])
        source.append(slice(low, max(high, low)))
        target.append(slice(low - start, low - start + max(high - low, 0)))
    result[target[0], target[1]] = picture[source[0], source[1]]
    return result


def native_windows(volume: Volume, head: Array, axis: int, indices: Array, window: int) -> tuple[Array, Array]:
    """Slices and their head masks as windows at native pixels.

    Parameters
    ----------
    volume : Volume
    head : ndarray of bool, shape (X, Y, Z)
    axis : int
        Normal of the slices.
    indices : ndarray of int
    window : int

    Returns
    -------
    windows : ndarray of float32, shape (N, window, window)
    heads : ndarray of bool, shape (N, window, window)
    """
    outline = take_slice(np.any(head, axis=axis, keepdims=True), axis, 0)
    middle = window_middle(outline, window)
    windows = [cut_native(take_slice(volume.data, axis, int(index)), middle, window) for index in indices]
    heads = [cut_native(take_slice(head, axis, int(index)), middle, window) for index in indices]
    return np.stack(windows), np.stack(heads)


def normalise(windows: Array, heads: Array) -> Array:
    """Slices in units of their head's mean, clipped at 6; negative values become their magnitude."""
    size = np.abs(windows)
    counts = np.maximum(heads.sum(axis=(1, 2)), 1)
    level = (size * heads).sum(axis=(1, 2)) / counts
    whole = size.mean(axis=(1, 2))
    level = np.where(level > 0, level, np.where(whole > 0, whole, 1.0))
    scaled: Array = np.clip(size / level[:, None, None], 0, CEILING).astype(np.float32)
    return scaled


def slice_scalars(windows: Array, heads: Array, edges: Array) -> Array:
    """Seven numbers a slice that a window can't show or a network can't count.

    Parameters
    ----------
    windows : ndarray of float32, shape (N, H, W)
        From :func:`normalise`.
    heads : ndarray of bool, shape (N, H, W)
    edges : ndarray, shape (N, 3)
        Pixel height and width, slice distance, mm.

    Returns
    -------
    ndarray of float32, shape (N, 7)
        Logarithm of the three edges; mean and SD of the air times 5 (up to 5); share of pixels below 1 % of the head's
        mean;
        share of head. All zero for air where the window has none.
    """
    air = ~heads
    counts = air.sum(axis=(1, 2))
    safe = np.maximum(counts, 1)
    mean = (windows * air).sum(axis=(1, 2)) / safe
    square = (windows**2 * air).sum(axis=(1, 2)) / safe
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    known = counts > 50
    dark = (windows < 0.01).mean(axis=(1, 2))
    return np.column_stack(
        [
            np.log(edges),
            np.clip(5 * mean, 0, 5) * known,
            np.clip(5 * spread, 0, 5) * known,
            dark,
            heads.mean(axis=(1, 2)),
        ]
    ).astype(np.float32)


def network_inputs(volume: Volume, head: Array, axis: int, indices: Array) -> dict[str, Array]:
    """Inputs of the compact network for some slices of one plane.

    Returns
    -------
    dict of ndarray of float32
        ``image`` and ``head`` (N, 1, 160, 160), ``scalars`` (N, 7).
    """
    windows, heads = native_windows(volume, head, axis, indices, WINDOW)
    windows = normalise(windows, heads)
    edges = np.tile([*plane_edges(volume.spacing, axis), volume.spacing[axis]], (len(indices), 1))
    return {
        "image": windows[:, None],
        "head": heads[:, None].astype(np.float32),
        "scalars": slice_scalars(windows, heads, edges),
    }


def hays_inputs(volume: Volume, head: Array, axis: int, indices: Array) -> dict[str, Array]:
    """Input of the published network: the volume's 0.5th-99.5th percentile to 0-1, native pixels, 224 x 224.

    Returns
    -------
    dict of ndarray
        ``image``, float32, shape (N, 1, 224, 224).
    """
    low, high = np.percentile(volume.data[::2, ::2, ::2], (0.5, 99.5))
    windows, _ = native_windows(volume, head, axis, indices, HAYS_WINDOW)
    scaled = np.clip((windows - low) / max(float(high - low), 1e-20), 0, 1)
    return {"image": scaled[:, None].astype(np.float32)}


@dataclass(frozen=True)
class Prepared:
    """All that the score needs of a volume.

    Parameters
    ----------
    planes : tuple of (axis, indices, inputs)
        Network inputs by plane, the acquisition plane first.
    volume : dict of float
        Readings of the whole volume: ``field``, ``echo`` and their standard errors ``field_error``, ``echo_error``
        (empty for the published network).
    """

    planes: tuple[tuple[int, Array, dict[str, Array]], ...]
    volume: dict[str, float]


def prepare(volume: Volume, slice_fraction: float = 0.6, compact: bool = True, head: Array | None = None) -> Prepared:
    """Cut the slices and take the volume's own readings.

    Parameters
    ----------
    volume : Volume
    slice_fraction : float
        Middle share of the head's slices, 0-1.
    compact : bool
        For the compact network, else for the published one.
    head : ndarray of bool, shape (X, Y, Z), optional
        ``rough_head(volume)``, where it is known already.
    """
    head = rough_head(volume) if head is None else head
    cut = network_inputs if compact else hays_inputs
    planes = tuple(
        (axis, indices, cut(volume, head, axis, indices))
        for axis, indices in choose_slices(volume, head, slice_fraction, SLICES_PER_PLANE)
    )
    if not compact:
        return Prepared(planes, {})
    field, field_error = field_range(volume, head)
    echo, echo_error = ghost_echo(volume, head)
    return Prepared(planes, {"field": field, f"field{ERROR}": field_error, "echo": echo, f"echo{ERROR}": echo_error})


class SeverityScorer:
    """Scores volumes with a severity network.

    Parameters
    ----------
    network : Network
        The compact network (inputs ``image``, ``head``, ``scalars``; output (N, 12)) or the published one (``image``;
        output (N,)). Its settings may hold ``calibration``: a :class:`Scale` as JSON.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._scale = Scale.from_json(network.settings.get("calibration", ""))

    def provenance(self) -> dict[str, str]:
        """``{name, version, sha256}``."""
        return self._network.provenance()

    def score(self, volume: Volume, slice_fraction: float = 0.6, head: Array | None = None) -> Score:
        """Severity of a volume.

        Parameters
        ----------
        volume : Volume
        slice_fraction : float
            Middle share of the head's slices, 0-1.
        head : ndarray of bool, shape (X, Y, Z), optional
            ``rough_head(volume)``, where it is known already.

        Returns
        -------
        Score
            ``value`` near 0 (clean) and up, 1 = the review threshold; slices are on the same scale (field and echo are
            no slice's, so that only the volume's value counts them). ``extra``: ``median``, ``p90``, ``sd``,
            ``n_slices``, ``planes`` (mean by plane), and for the compact network ``families`` (severity by kind on the
            same scale), ``probabilities`` (of ``none`` and each kind), ``family`` (the most probable kind) and
            ``readings`` (raw values).
        """
        return self.score_prepared(prepare(volume, slice_fraction, "scalars" in self._network.inputs, head))

    def local_maps(self, volume: Volume, head: Array, score: Score) -> tuple[LocalMap, ...]:
        """Maps of the worst slices (:func:`bidsqa.models.saliency.severity_maps`)."""
        from bidsqa.models.saliency import severity_maps

        return severity_maps(self._network, self._scale, volume, head, score)

    def outputs(self, prepared: Prepared) -> list[Array]:
        """Network outputs by plane, (N, 12) or (N, 1)."""
        planes = []
        for _, indices, inputs in prepared.planes:
            parts = [
                self._network.run({name: value[start : start + BATCH] for name, value in inputs.items()})[0]
                for start in range(0, len(indices), BATCH)
            ]
            planes.append(np.concatenate(parts).reshape(len(indices), -1))
        return planes

    def score_prepared(self, prepared: Prepared) -> Score:
        """As :meth:`score`, of what :func:`prepare` gave."""
        outputs = self.outputs(prepared)
        places = [(axis, indices) for axis, indices, _ in prepared.planes]
        if outputs[0].shape[1] == 1:
            return self._plain(places, outputs)
        return self._by_family(places, outputs, prepared)

    def _plain(self, places: Sequence[tuple[int, Array]], outputs: Sequence[Array]) -> Score:
        slices = tuple(
            plane_scores(axis, indices, output[:, 0] / self._scale.scale)
            for (axis, indices), output in zip(places, outputs, strict=True)
        )
        values = [np.asarray(part.value) for part in slices]
        joined = np.concatenate(values)
        return Score(float(joined.mean()), standard_error(values), "", slices, _spread(slices, joined))

    def _by_family(self, places: Sequence[tuple[int, Array]], outputs: Sequence[Array], prepared: Prepared) -> Score:
        scale = self._scale
        raw = [slice_readings(output) for output in outputs]
        readings, errors = volume_readings(raw, prepared)
        value = float(scale.joined(readings))
        within = [name for name in scale.used(readings) if name in raw[0]]
        slices = tuple(
            plane_scores(axis, indices, scale.joined(part, within))
            for (axis, indices), part in zip(places, raw, strict=True)
        )
        families = scale.families(readings)
        probabilities = scale.probabilities(readings)
        worst = max(families, key=lambda name: families[name])
        likeliest = max(probabilities, key=lambda name: probabilities[name], default=worst)
        extra = {
            **_spread(slices, np.concatenate([np.asarray(part.value) for part in slices])),
            "families": families,
            "probabilities": probabilities,
            "family": likeliest if value >= NAMED_FROM else "none",
            "readings": readings,
        }
        return Score(value, scale.error(readings, errors), "", slices, extra)


def volume_readings(raw: Sequence[dict[str, Array]], prepared: Prepared) -> tuple[dict[str, float], dict[str, float]]:
    """Readings of a volume and their standard errors.

    A slice reading's is its mean over all slices of all planes, with :func:`standard_error`; the readings of the whole
    volume bring their own.
    """
    inputs = prepared.planes[0][2]
    noise, noise_error = grain(inputs["image"][:, 0], inputs["head"][:, 0] > 0.5)
    whole = {name: value for name, value in prepared.volume.items() if not name.endswith(ERROR)}
    means = {name: float(np.concatenate([part[name] for part in raw]).mean()) for name in raw[0]}
    errors = {name: standard_error([part[name] for part in raw]) for name in raw[0]}
    errors |= {name: prepared.volume.get(f"{name}{ERROR}", 0.0) for name in whole}
    return {**means, **whole, "grain": noise}, {**errors, "grain": noise_error}


def slice_readings(output: Array) -> dict[str, Array]:
    """Named readings of slices from the network's output (N, 12).

    ``overall`` (damage + NRMSE), the strength of each family, and ``<family>_presence`` (probability, 0-1).
    """
    readings = {"overall": output[:, 0] + output[:, 1]}
    for place, name in enumerate(FAMILIES):
        readings[name] = output[:, 2 + place]
    for place, name in enumerate(FAMILIES):
        readings[f"{name}{PRESENCE}"] = 1 / (1 + np.exp(-output[:, 2 + len(FAMILIES) + place]))
    return readings


def _spread(slices: Sequence[SliceScores], joined: Array) -> dict[str, Any]:
    return {
        "median": float(np.median(joined)),
        "p90": float(np.percentile(joined, 90)),
        "sd": float(joined.std(ddof=1)) if joined.size > 1 else 0.0,
        "n_slices": int(joined.size),
        "planes": {part.plane: float(np.mean(part.value)) for part in slices},
    }


def make_scorer(network: Network) -> SeverityScorer:
    """Scorer for the model table."""
    return SeverityScorer(network)
