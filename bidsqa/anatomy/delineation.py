# SPDX-License-Identifier: Apache-2.0
"""From a scan to its anatomy: the steps in order, each allowed to fail alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bidsqa.anatomy import background, bias_field, measured_air, plausibility, tissue
from bidsqa.anatomy.brain import brain_mask, coarse_brain
from bidsqa.anatomy.grids import Box, Grid, bounding_box, coarsen, covering, refine
from bidsqa.anatomy.head import coarse_head, face_line, foreground, head_mask
from bidsqa.anatomy.masks import TISSUES, Anatomy
from bidsqa.anatomy.segmenting import STEP_MM, Parts, segment
from bidsqa.errors import NotComputable
from bidsqa.image import Volume, measured_block

Array = np.ndarray[Any, Any]
LABELS = np.array([3, 1, 2], dtype=np.uint8)  # BIDS: csf 3, grey 1, white 2
# fewer constant voxels than this share of the grid are chance, no frame
MINIMUM_FRAME = 0.002


class Clock:
    """Seconds a step, for benchmarks.

    Parameters
    ----------
    now : callable
        Tells the time in s: of the wall, or ``time.process_time``, which a busy machine doesn't stretch as much.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._now = now
        self._last = now()

    def note(self, step: str) -> None:
        """Book the time since the last note to ``step``."""
        now = self._now()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


def delineate(volume: Volume, threads: int = 1, clock: Clock | None = None, classical: bool = False) -> Anatomy:
    """Brain, head, tissues, bias field, air and background of one scan of any contrast.

    Never raises for a bad scan: what can't be trusted is named in ``problems`` with the reason.

    Parameters
    ----------
    volume : Volume
        T1w, T2w, FLAIR or PDw; whole, cropped, defaced or stripped; any voxel size.
    threads : int
        For the network. Masks don't depend on it beyond rounding, metrics by less than 1e-5.
    clock : Clock, optional
        Notes the seconds of each step.
    classical : bool
        Without the network, for comparison: see :func:`bidsqa.anatomy.segmenting.segment`.

    Returns
    -------
    Anatomy
    """
    clock = clock or Clock()
    box = measured_block(volume.data)
    inner = volume.part(box)
    if inner.shape == volume.shape:
        return _delineated(volume, threads, clock, classical)
    return _delineated(inner, threads, clock, classical).within(volume.shape, box)


def _delineated(volume: Volume, threads: int, clock: Clock, classical: bool) -> Anatomy:
    """As :func:`delineate`, of a scan without padding."""
    grid = covering(volume.shape, volume.spacing, STEP_MM)
    coarse = coarsen(volume.data, volume.spacing, grid)
    rough = foreground(coarse)
    clock.note("coarse")
    parts = segment(coarse, rough, grid, threads, classical)
    clock.note("classes")
    frame = background.find_frame(volume)
    clock.note("frame")
    core = coarse_brain(parts)
    brain, box = brain_mask(volume, parts, core, frame)
    clock.note("brain")
    problems: dict[str, str] = {}
    facts = _brain_facts(volume, brain, box, parts)
    _add(problems, "brain", plausibility.brain_problem(facts))
    field = _bias(volume, coarse[parts.box], parts, core, problems)
    clock.note("bias")
    dseg, posteriors = _tissues(volume, field, brain, box, parts, facts, problems)
    clock.note("tissue")
    masks = _surroundings(volume, grid, parts, rough, core, brain, frame, facts, problems)
    clock.note("background")
    return Anatomy(
        head=masks["head"],
        brain=brain,
        hat=masks["hat"],
        air=masks["air"],
        frame=masks["frame"],
        dseg=dseg,
        posteriors=posteriors,
        bias_field=field,
        background=facts.pop("background"),
        problems=problems,
        facts={key: round(value, 4) if isinstance(value, float) else value for key, value in facts.items()},
    )


def _add(problems: dict[str, str], name: str, reason: str) -> None:
    if reason and name not in problems:
        problems[name] = reason


def _brain_facts(volume: Volume, brain: Array, box: Box, parts: Parts) -> dict[str, Any]:
    """Volume, shape, share at the border and certainty of the brain."""
    inner = brain[box] != 0
    count = int(np.count_nonzero(inner))
    tight = bounding_box(inner)
    sizes = [window.stop - window.start for window in tight]
    faces = [brain[0], brain[-1], brain[:, 0], brain[:, -1], brain[:, :, 0], brain[:, :, -1]]
    surface = 6.0 * count ** (2 / 3) if count else 1.0
    wide = parts.brain > 0.5
    certainty = float(parts.brain[wide].mean()) if wide.any() else 0.0
    return {
        "brain_ml": count * volume.voxel_volume / 1000,
        "brain_cut": float(sum(int(np.count_nonzero(face)) for face in faces)) / surface,
        "brain_fill": count / float(np.prod(sizes)) if count else 0.0,
        "brain_certainty": certainty,
        "atlas_information": parts.information,
    }


def _bias(volume: Volume, coarse: Array, parts: Parts, core: Array, problems: dict[str, str]) -> Array:
    """The bias field, or ones with the reason."""
    try:
        if not core.any():
            raise NotComputable("no brain was found")
        return bias_field.estimate(volume, coarse, parts.grid, core, parts.shading)
    except NotComputable as error:
        _add(problems, "bias_field", error.reason)
    except RuntimeError as error:  # SimpleITK's only error type
        _add(problems, "bias_field", f"N4 found no field: {str(error).splitlines()[-1][:120]}")
    return np.ones(volume.shape, dtype=np.float32)


def _tissues(
    volume: Volume, field: Array, brain: Array, box: Box, parts: Parts, facts: dict[str, Any], problems: dict[str, str]
) -> tuple[Array, Array]:
    """Labels and posteriors on the scan's grid."""
    dseg = np.zeros(volume.shape, dtype=np.uint8)
    posteriors = np.zeros((3, *volume.shape), dtype=np.float16)
    inside = brain[box] != 0
    if np.count_nonzero(inside) < 1000:
        _add(problems, "tissue", problems.get("brain", "the brain mask is too small for tissues"))
        return dseg, posteriors
    values = (volume.data[box] / field[box])[inside]
    shares = np.stack([refine(parts.shares[2 + k], parts.grid, volume.spacing, box)[inside] for k in range(3)])
    shares /= np.maximum(shares.sum(axis=0, keepdims=True), 1e-6)
    mixture = tissue.fit(values, shares)
    final = tissue.posterior(values, shares, mixture)
    labels = np.argmax(final, axis=0)
    block = dseg[box]
    block[inside] = LABELS[labels]
    for k in range(3):
        part = posteriors[k][box]
        part[inside] = final[k]
    by_place = np.argmax(shares, axis=0)
    facts["tissue_agreement"] = float(np.mean([plausibility.dice(labels == k, by_place == k) for k in (1, 2)]))
    pooled = float(np.hypot(mixture.deviations[1], mixture.deviations[2])) + 1e-12
    facts["tissue_contrast"] = abs(float(mixture.means[2] - mixture.means[1])) / pooled
    for k, name in enumerate(TISSUES):
        facts[f"{name}_share"] = float(np.mean(labels == k))
    _add(problems, "tissue", problems.get("brain", "") or plausibility.tissue_problem(facts))
    return dseg, posteriors


def _surroundings(
    volume: Volume,
    grid: Grid,
    parts: Parts,
    rough: Array,
    core: Array,
    brain: Array,
    frame: Array,
    facts: dict[str, Any],
    problems: dict[str, str],
) -> dict[str, Array]:
    """Head, frame, hat and air, and the kind of background."""
    wide = np.zeros(grid.shape, dtype=bool)
    wide[parts.box] = core
    coarse = coarse_head(rough, parts, core)
    head, _ = head_mask(volume, coarse, grid, brain)
    frame = frame & (head == 0)
    if np.count_nonzero(frame) < MINIMUM_FRAME * frame.size:
        frame[...] = False
    facts["head_ml"] = float(np.count_nonzero(head)) * volume.voxel_volume / 1000
    facts["frame_share"] = float(np.count_nonzero(frame)) / max(frame.size - int(np.count_nonzero(head)), 1)
    missing = bool(core.any()) and background.face_is_missing(coarse, wide, grid)
    facts["background"] = background.judge(volume, head, brain, frame, missing)
    _add(problems, "head", plausibility.head_problem(facts, facts["background"]))
    hat = np.zeros(volume.shape, dtype=bool)
    air, possible = hat, 0
    if core.any():
        line = face_line(core, parts.grid, parts.tilt)
        everything = background.find_hat(volume, head, np.zeros((1, 1, 1), dtype=bool), line)
        possible = int(np.count_nonzero(everything))
        hat = everything & ~frame
        air = hat & ~background.find_artifacts(volume, hat, coarse, grid)
    denoised = measured_air.is_denoised(volume.data, air)
    if facts["background"] == "natural":
        wrapped = measured_air.is_wrapped(volume, frame, head != 0, brain != 0)
        facts["background"] = "wrapped" if wrapped else "denoised" if denoised else "natural"
    reason = plausibility.air_problem(
        int(np.count_nonzero(hat)),
        possible,
        int(np.count_nonzero(air)),
        background.MINIMUM_AIR,
        background.reach(volume, hat, coarse, grid),
        facts["background"],
        denoised,
        float(np.mean(volume.data[air] < 0)) if air.any() else 0.0,
    )
    _add(problems, "air", reason)
    as_bytes = {"head": head, "frame": frame, "hat": hat, "air": air}
    return {name: mask.astype(np.uint8) for name, mask in as_bytes.items()}
