# SPDX-License-Identifier: Apache-2.0
"""The phantom's head around the brain: skull, scalp, face, eyes, air cavities, spine and neck as level sets."""

from __future__ import annotations

import numpy as np

from bidsqa.simulation.phantom_fields import Canvas, Field, smooth_noise, soft_intersection, soft_union

SUBARACHNOID_MM = 1.1


def draw_head(canvas: Canvas, hull: Field, generator: np.random.Generator) -> dict[str, Field]:
    """Level sets of everything outside the brain.

    Parameters
    ----------
    canvas : Canvas
    hull : ndarray
        Smooth hull of the brain, mm, negative inside.
    generator : numpy Generator

    Returns
    -------
    dict of ndarray
        Fields in mm, negative inside: ``intracranial``, ``skull`` (outer surface), ``outside`` (skin), ``air``,
        ``eyes``, ``lenses``, ``orbits``, ``strings`` (eye muscles), ``nerves``, ``bones``, ``canal``, ``muscle``;
        and ``septa``, ``cells``: noise that divides muscle from fat and the air cells.
    """
    fields = _draw_skull(canvas, hull, generator)
    fields.update(_draw_face(canvas))
    fields.update(_draw_bones(canvas))
    fields["outside"] = _draw_surface(canvas, fields["scalp"], generator)
    fields["septa"] = smooth_noise(generator, canvas.shape, 9.0, stretch=(1.0, 1.3, 4.0))
    fields["cells"] = smooth_noise(generator, canvas.shape, 6.0)
    return fields


def _draw_skull(canvas: Canvas, hull: Field, generator: np.random.Generator) -> dict[str, Field]:
    noise = smooth_noise(generator, canvas.shape, 28.0)
    intracranial = hull - np.float32(SUBARACHNOID_MM) - np.float32(0.5) * noise
    intracranial = soft_intersection(intracranial, -62.0 - canvas.z, 4.0)
    temple = np.exp(-(((np.abs(canvas.x) - 66) / 16) ** 2) - ((canvas.y - 6) / 28) ** 2 - ((canvas.z + 4) / 24) ** 2)
    thickness = 6.8 - 3.0 * temple + 0.9 * smooth_noise(generator, canvas.shape, 32.0)
    thickness += 2.5 * np.exp(-((canvas.x / 30) ** 2) - ((canvas.y - 74) / 14) ** 2 - ((canvas.z + 2) / 16) ** 2)
    skull = intracranial - np.clip(thickness, 3.2, 13.0)
    scalp = skull - (6.0 + 7.0 * temple + 0.8 * smooth_noise(generator, canvas.shape, 26.0))
    shapes = {"intracranial": intracranial, "skull": skull, "scalp": scalp, "thickness": thickness}
    return {name: np.asarray(field, dtype=np.float32) for name, field in shapes.items()}


def _draw_surface(canvas: Canvas, scalp: Field, generator: np.random.Generator) -> Field:
    """The skin: scalp, face, nose, ears and neck in one smooth surface."""
    face = canvas.blank()
    canvas.ellipsoid(face, (0, 34, -46), (62, 52, 46))
    canvas.ellipsoid(face, (32, 50, -28), (27, 29, 26), blend=10.0, paired=True)
    canvas.ellipsoid(face, (0, 38, -88), (46, 46, 32), blend=14.0)
    canvas.ellipsoid(face, (0, 73, -106), (17, 18, 13), blend=10.0)
    canvas.ellipsoid(face, (0, 80, -74), (22, 12, 15), blend=9.0)
    surface = soft_union(scalp, face, 12.0)
    neck = canvas.blank()
    points = [(0.0, -28.0, -50.0), (0.0, -26.0, -80.0), (0.0, -30.0, -112.0), (0.0, -38.0, -175.0)]
    canvas.tube(neck, points, [56.0, 55.0, 56.0, 66.0], flat=1.02)
    canvas.ellipsoid(neck, (0, -66, -62), (46, 36, 34), blend=20.0)
    surface = soft_union(surface, neck, 22.0)
    canvas.tube(surface, [(0, 80, -12), (0, 90, -30), (0, 100, -46)], [6.0, 6.0, 7.5], blend=9.0)
    canvas.ellipsoid(surface, (9, 91, -49), (7, 9, 6), blend=6.0, paired=True)
    canvas.ellipsoid(surface, (0, 89, -68), (19, 7, 5), blend=4.0)
    canvas.ellipsoid(surface, (0, 87, -81), (17, 7.5, 5.5), blend=4.0)
    # the ears lean inward as the head does below them, or they would float beside the jaw
    ear = [(82.0, -31.0, -8.0), (80.0, -28.0, -26.0), (65.0, -22.0, -44.0)]
    canvas.tube(surface, ear, [12.0, 14.0, 8.0], blend=5.0, paired=True, flat=3.0)
    sockets = canvas.blank()
    canvas.ellipsoid(sockets, (31, 92, -22), (15, 13, 9), paired=True)
    surface = soft_intersection(surface, -sockets, 10.0)
    surface += np.float32(0.6) * smooth_noise(generator, canvas.shape, 24.0)
    return surface


def _draw_face(canvas: Canvas) -> dict[str, Field]:
    """Eyes with their muscles and nerves, and the air of nose, sinuses, throat and ears."""
    eyes, lenses, orbits, strings, nerves, air = (canvas.blank() for _ in range(6))
    canvas.ellipsoid(eyes, (32, 58, -24), (12, 12.3, 12), paired=True)
    canvas.ellipsoid(lenses, (32, 66.5, -24), (4.8, 2.4, 4.8), paired=True)
    canvas.tube(orbits, [(32, 64, -24), (24, 40, -22), (14, 20, -19)], [16.5, 14.0, 5.0], paired=True)
    for shift_x, shift_z in ((9.5, 0.0), (-9.5, 0.0), (0.0, 9.5), (0.0, -9.5)):
        points = [(31 + shift_x, 58.0, -24 + shift_z), (26 + shift_x, 44.0, -22 + shift_z), (14.0, 20.0, -19.0)]
        canvas.tube(strings, points, [1.2, 2.4, 1.6], paired=True)
    canvas.tube(nerves, [(30, 49, -24), (22, 36, -21), (12, 17, -17), (3, 6, -13)], [2.0, 1.9, 2.0, 2.2], paired=True)
    canvas.ellipsoid(air, (7.5, 56, -36), (5.0, 27, 17), paired=True)
    canvas.tube(air, [(8, 80, -46), (8, 94, -54)], [5.0, 4.0], paired=True, blend=3.0)
    canvas.ellipsoid(air, (30, 48, -49), (13, 15, 15), paired=True)
    canvas.ellipsoid(air, (8, 14, -27), (7.2, 10, 9), paired=True)
    canvas.ellipsoid(air, (9, 74, -4), (7.5, 2.6, 7.5), paired=True)
    canvas.tube(air, [(0, 28, -48), (0, 14, -62), (0, 4, -88), (0, 2, -135)], [9.0, 7.0, 7.0, 9.5], blend=4.0)
    canvas.tube(air, [(0, 72, -75), (0, 48, -69), (0, 22, -74)], [1.5, 2.2, 2.5], flat=0.35)
    canvas.tube(air, [(69, -24, -30), (58, -24, -30)], [2.4, 2.0], paired=True)
    shelf = canvas.blank()
    canvas.tube(shelf, [(8, 76, -31), (8, 40, -29)], [2.8, 3.4], paired=True)
    canvas.tube(shelf, [(8, 78, -43), (8, 36, -42)], [3.2, 4.0], paired=True)
    air = soft_intersection(air, -shelf, 1.5)
    cells = canvas.blank()
    canvas.ellipsoid(cells, (8, 46, -16), (6, 17, 7), paired=True)
    canvas.ellipsoid(cells, (56, -36, -46), (9, 11, 14), paired=True)
    return {
        "eyes": eyes, "lenses": lenses, "orbits": orbits, "strings": strings, "nerves": nerves, "air": air,
        "air_cells": cells,
    }  # fmt: skip


def _draw_bones(canvas: Canvas) -> dict[str, Field]:
    """Bones of face, skull base and neck, and the spinal canal."""
    bones, canal, teeth = canvas.blank(), canvas.blank(), canvas.blank()
    canvas.tube(bones, [(0, 8, -34), (0, -10, -46), (0, -20, -58)], [7.0, 5.5, 4.0], flat=0.6)
    canvas.tube(bones, [(48, -22, -34), (24, -10, -32)], [9.0, 6.0], paired=True)
    canvas.ellipsoid(bones, (56, -36, -46), (12, 14, 17), paired=True)
    canvas.tube(bones, [(46, 58, -34), (60, 30, -36), (66, 2, -32)], [4.5, 3.2, 3.0], paired=True)
    canvas.tube(bones, [(0, 74, -60), (0, 44, -59)], [2.6, 2.4], flat=0.14)
    for height, thick in ((-69.0, 4.5), (-104.0, 6.5)):
        arch = [(0.0, 82.0, height), (18.0, 74.0, height), (30.0, 54.0, height), (37.0, 36.0, height + 2)]
        canvas.tube(bones, arch if height < -90 else arch[:3], [thick] * (4 if height < -90 else 3), paired=True)
    canvas.tube(bones, [(37, 36, -102), (49, 14, -88), (52, 4, -44)], [6.0, 5.0, 4.5], paired=True)
    arch = [(0.0, 84.0, -75.0), (16.0, 77.0, -75.0), (28.0, 56.0, -75.0)]
    canvas.tube(teeth, arch, [3.5, 3.8, 4.2], paired=True)
    arch = [(0.0, 83.0, -91.0), (16.0, 76.0, -91.0), (28.0, 56.0, -91.0)]
    canvas.tube(teeth, arch, [3.0, 3.6, 4.2], paired=True)
    for height in (-72.0, -90.0, -108.0, -126.0):
        canvas.ellipsoid(bones, (0, -25 + 0.06 * (height + 72), height), (13, 9, 7.6))
        canvas.tube(
            bones, [(13, -34, height + 4), (15, -46, height + 4), (0, -61, height)], [4.0, 3.0, 3.0], paired=True
        )
        canvas.tube(bones, [(0, -62, height), (0, -76, height - 8)], [2.8, 3.4])
    canvas.tube(canal, [(0, -36, -58), (0, -42, -76), (0, -47, -100), (0, -47, -130)], [12.0, 9.5, 8.8, 9.0], flat=0.85)
    return {"bones": bones, "teeth": teeth, "canal": canal}
