# SPDX-License-Identifier: Apache-2.0
"""The phantom's brain: lobes, folded cortex, ventricles, deep grey matter, cerebellum and brain stem as level sets.

Coordinates are head coordinates in mm (right, anterior, superior of a point near the anterior commissure). Sulci are
sheets where a random field, constant along the normals of the hemisphere's hull, crosses zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from bidsqa.simulation.phantom_fields import (
    CANVAS_MM,
    Canvas,
    Field,
    Point,
    band_noise,
    gradient_length,
    sample_at,
    smooth_noise,
    soft_intersection,
    soft_union,
)

FOLD_WAVE_MM = 24.0
SMALL_FOLD_WAVE_MM = 15.0
FOLD_REACH_MM = 34.0
FOLD_FAR_MM = 12.0
FISSURE_HALF_MM = 1.3


def draw_brain(canvas: Canvas, generator: np.random.Generator) -> dict[str, Field]:
    """Level sets of the brain's parts on the canvas.

    Parameters
    ----------
    canvas : Canvas
    generator : numpy Generator
        Decides the folds; the same state gives the same brain.

    Returns
    -------
    dict of ndarray
        ``hemispheres``, ``fold``, ``small_fold``, ``fold_depth``, ``sylvian_up``, ``cerebellum``, ``folia_angle``,
        ``folia_radius``, ``stem``, ``core``, ``ventricles``, ``deep_grey``, ``pallidum``, ``hull``, ``cord``; in mm,
        negative inside (``fold_depth`` is a depth, ``folia_angle`` radians).
    """
    fields = _draw_posterior_fossa(canvas, generator)
    cerebrum = _draw_cerebrum(canvas)
    hull = soft_union(soft_union(cerebrum, fields["cerebellum"], 9.0), fields["stem"], 9.0)
    cistern = canvas.blank()
    canvas.ellipsoid(cistern, (0, -2, -25), (17, 21, 12))
    cerebrum = soft_intersection(cerebrum, -cistern, 6.0)
    cerebrum = soft_intersection(cerebrum, np.float32(2.6) - fields["cerebellum"], 4.0)
    cerebrum += np.float32(0.5) * smooth_noise(generator, canvas.shape, 18.0)
    middle = canvas.x + np.float32(0.7) * smooth_noise(generator, canvas.shape, 30.0)
    hemispheres = soft_intersection(cerebrum, np.float32(FISSURE_HALF_MM) - np.abs(middle), 7.0)
    fields.update(hull=hull, hemispheres=hemispheres, middle=middle)
    fields.update(_draw_folds(canvas, hemispheres, generator))
    fields.update(_draw_sylvian(canvas, generator))
    fields.update(_draw_inside(canvas))
    return fields


def _draw_cerebrum(canvas: Canvas) -> Field:
    """Both hemispheres with their temporal lobes, unfolded."""
    x, y, z = canvas.x, canvas.y, canvas.z
    taper = np.float32(1.0) - np.float32(0.0020) * np.clip(y + 16, -30, 90)
    height = np.where(z > 10, np.float32(62.0), np.float32(34.0))
    u, v, w = x / (66.0 * taper), (y + 16) / 85.0, (z - 10) / height
    # exponents a little above 2 make the vault fuller than an ellipsoid
    reach = (np.abs(u) ** 2.3 + np.abs(v) ** 2.3 + np.abs(w) ** 2.3) ** np.float32(1 / 2.3)
    radius = np.sqrt(x * x + (y + 16) ** 2 + (z - 10) ** 2)
    lobes = np.asarray(radius - radius / np.maximum(reach, 0.05), dtype=np.float32)
    for side_points, radii in (
        ([(42, 20, -17), (44, 6, -20), (48, -20, -16), (46, -50, -6)], [12.0, 17.0, 18.0, 16.0]),
        ([(30, 0, -20), (30, -30, -14)], [11.0, 10.0]),
    ):
        points: list[Point] = [(float(a), float(b), float(c)) for a, b, c in side_points]
        canvas.tube(lobes, points, radii, blend=8.0, paired=True)
    return lobes


def _draw_posterior_fossa(canvas: Canvas, generator: np.random.Generator) -> dict[str, Field]:
    """Cerebellum with its folia, brain stem and cord."""
    cerebellum, stem, cord = canvas.blank(), canvas.blank(), canvas.blank()
    canvas.ellipsoid(cerebellum, (25, -62, -36), (29, 28, 20), blend=8.0, paired=True)
    canvas.ellipsoid(cerebellum, (0, -60, -30), (14, 25, 23), blend=10.0)
    canvas.tube(stem, [(8, -20, -8), (7, -24, -16), (5, -27, -24)], [9.0, 8.5, 10.0], blend=4.0, paired=True)
    canvas.ellipsoid(stem, (0, -24, -30), (16, 12, 14), blend=6.0)
    canvas.tube(stem, [(0, -30, -40), (0, -35, -52), (0, -41, -70)], [10.0, 8.0, 6.5], blend=5.0)
    canvas.tube(stem, [(12, -30, -32), (20, -48, -36)], [7.0, 6.0], blend=5.0, paired=True)
    canvas.tube(cord, [(0, -38, -62), (0, -42, -76), (0, -47, -100), (0, -47, -130)], [6.5, 5.5, 5.3, 5.5], flat=0.8)
    bent = canvas.y + np.float32(0.006) * canvas.x**2
    back, up = -(bent + 44), canvas.z + 35
    noise = smooth_noise(generator, canvas.shape, 14.0)
    return {
        "cerebellum": cerebellum,
        "stem": stem,
        "cord": cord,
        "folia_angle": np.asarray(np.arctan2(up, back) + 0.045 * noise, dtype=np.float32),
        "folia_radius": np.asarray(np.hypot(up, back), dtype=np.float32),
    }


def _draw_folds(canvas: Canvas, hemispheres: Field, generator: np.random.Generator) -> dict[str, Field]:
    """Signed distances to the sheets of large and small sulci, and how deep the large ones reach."""
    shape = canvas.shape
    paired, single = band_noise(generator, shape, FOLD_WAVE_MM), band_noise(generator, shape, FOLD_WAVE_MM)
    small = band_noise(generator, shape, SMALL_FOLD_WAVE_MM)
    bends = [smooth_noise(generator, shape, 15.0) for _ in range(3)]
    depth = 17.0 + 4.5 * smooth_noise(generator, shape, 17.0)
    part = canvas.box((-72, -108, -56), (72, 76, 84), margin=6.0)
    surface = hemispheres[part]
    near = np.nonzero((surface < 7.0) & (surface > -FOLD_REACH_MM))
    slopes, length = gradient_length(ndimage.gaussian_filter(surface, 1.6, truncate=3.0))
    scale = surface[near] / np.maximum(length[near], 0.4) ** 2
    foot = []
    for axis in range(3):
        world = canvas.origin[axis] + CANVAS_MM * (part[axis].start + near[axis])
        foot.append(world - scale * slopes[axis][near] + 1.8 * bends[axis][part][near])
    large = 0.75 * sample_at(paired, canvas, np.abs(foot[0]), foot[1], foot[2])
    large += 0.66 * sample_at(single, canvas, foot[0], foot[1], foot[2])
    fine = sample_at(small, canvas, foot[0], foot[1], foot[2])
    folds = {"fold": np.full(shape, FOLD_FAR_MM, np.float32), "small_fold": np.full(shape, FOLD_FAR_MM, np.float32)}
    folds["fold"][part] = _signed_distance(large, near, surface.shape, 0.03)
    folds["small_fold"][part] = _signed_distance(fine, near, surface.shape, 0.05)
    folds["fold_depth"] = np.asarray(np.clip(depth, 5.0, 24.0), dtype=np.float32)
    return folds


def _signed_distance(values: Field, near: tuple[Any, ...], shape: tuple[int, ...], flattest: float) -> Field:
    """About the distance in mm to the zero crossing; ``flattest`` keeps it finite where the field is flat."""
    field = np.zeros(shape, dtype=np.float32)
    field[near] = values
    # where normals of the hull meet deep inside, the folds would crowd below what the canvas can hold
    field = ndimage.gaussian_filter(field, 0.8, truncate=3.0)
    _, length = gradient_length(field)
    distance = np.full(shape, FOLD_FAR_MM, dtype=np.float32)
    distance[near] = np.clip(field[near] / np.hypot(length[near], flattest), -FOLD_FAR_MM, FOLD_FAR_MM)
    return distance


def _draw_inside(canvas: Canvas) -> dict[str, Field]:
    """White core with the corpus callosum, ventricles and deep grey matter."""
    core, ventricles, grey, pallidum = (canvas.blank() for _ in range(4))
    arch: list[Point] = [(0, 24, -3), (0, 31, 5), (0, 25, 15), (0, 6, 24), (0, -18, 24), (0, -34, 18), (0, -38, 11)]
    canvas.tube(core, arch, [2.5, 5.0, 4.0, 3.2, 3.2, 4.0, 5.5], blend=2.0, flat=0.22)
    canvas.ellipsoid(core, (0, -6, 4), (18, 33, 15), blend=3.0)
    horns: list[Point] = [(11, 30, 3), (9, 22, 9), (8, 4, 15.5), (10, -14, 17), (17, -31, 14), (22, -41, 8)]
    canvas.tube(ventricles, horns, [2.5, 4.5, 4.2, 4.0, 5.0, 6.5], paired=True, blend=2.0)
    canvas.tube(ventricles, [(22, -41, 8), (21, -62, 5)], [5.5, 1.8], paired=True, blend=2.0)
    canvas.tube(ventricles, [(23, -41, 5), (32, -28, -9), (31, -12, -16)], [4.5, 2.5, 2.0], paired=True)
    canvas.ellipsoid(ventricles, (0, -11, 2), (2.2, 13, 9))
    canvas.tube(ventricles, [(0, -24, -3), (0, -33, -16), (0, -40, -26)], [1.4, 1.2, 2.0])
    canvas.ellipsoid(ventricles, (0, -42, -32), (7, 4.5, 11))
    canvas.tube(grey, [(13, 20, 1), (14, 9, 9), (17, -10, 17), (20, -26, 16)], [6.0, 5.5, 3.0, 1.8], paired=True)
    canvas.ellipsoid(grey, (27, 3, 1), (5.0, 16, 10), paired=True)
    canvas.ellipsoid(grey, (11, -18, 6), (9.5, 14, 9), paired=True)
    canvas.tube(grey, [(25, -8, -20), (29, -25, -14), (24, -36, -4)], [5.5, 4.2, 2.8], paired=True)
    canvas.ellipsoid(grey, (24, -2, -19), (7, 7, 7), paired=True)
    canvas.ellipsoid(grey, (0, -12, -7), (5, 9, 5))
    canvas.ellipsoid(pallidum, (20, 0, 0), (3.6, 9, 7), paired=True)
    return {"core": core, "ventricles": ventricles, "deep_grey": grey, "pallidum": pallidum}


def _draw_sylvian(canvas: Canvas, generator: np.random.Generator) -> dict[str, Field]:
    """Signed distances to the sheets of the lateral fissure (``sylvian_up``) and of the island (``sylvian_side``)."""
    waves = [smooth_noise(generator, canvas.shape, 16.0) for _ in range(2)]
    up = canvas.z + np.float32(9.0) + np.float32(0.38) * np.minimum(canvas.y, 30) + np.float32(2.2) * waves[0]
    arch = np.float32(0.02) * (canvas.z - 2) ** 2 + np.float32(0.006) * (canvas.y + 8) ** 2
    side = np.abs(canvas.x) - np.float32(40.0) + np.minimum(arch, 7.0) + np.float32(1.5) * waves[1]
    return {"sylvian_up": np.asarray(up, dtype=np.float32), "sylvian_side": np.asarray(side, dtype=np.float32)}
