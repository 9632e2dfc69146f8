# SPDX-License-Identifier: Apache-2.0
"""Images of any contrast from label maps, in batches: draw what each tissue looks like, then paint.

Drawing an intensity for each tissue is SynthSeg's idea (Billot et al. 2023, doi 10.1016/j.media.2023.102789); named
contrasts take the signals of :mod:`bidsqa.simulation.contrast`. The images are clean: noise and field are artifacts.
:func:`bidsqa.simulation.draw_scan` makes whole scans with all that belongs to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bidsqa.simulation.artifact import Parameters, Spacing, per_sample, seeds, spatial, uniform
from bidsqa.simulation.contrast import PROTOCOLS, TISSUE_INDEX, TISSUES, WHITE_MATTER_LEVEL, signal_levels
from bidsqa.simulation.noise import draw_normal
from bidsqa.simulation.resolution import apply_blur

RANDOM = "random"
LEVELS = (0.1, 1.1)
JITTER = 0.1
TEXTURES = (0.01, 0.04)
GRAIN_MM = 2.0
POINT_SPREAD_MM = (0.5, 1.0)
# labels of FreeSurfer and the tissue they are closest to
FREESURFER: dict[int, str] = {
    **dict.fromkeys((2, 7, 16, 28, 41, 46, 60, 85), "white"),
    **dict.fromkeys((3, 8, 17, 18, 42, 47, 53, 54), "cortex"),
    **dict.fromkeys((10, 11, 12, 26, 49, 50, 51, 58), "deep_grey"),
    **dict.fromkeys((13, 52), "pallidum"),
    **dict.fromkeys((4, 5, 14, 15, 24, 43, 44, 72), "csf"),
    **dict.fromkeys((30, 62), "vessel"),
    165: "bone",
    258: "muscle",
}


def sample_contrast(
    generator: torch.Generator,
    contrast: str | Sequence[str],
    spacing: Spacing = (1.0, 1.0),
    tissues: Mapping[int, str] | None = None,
) -> Parameters:
    """Draw how tissues look, once a batch element.

    Parameters
    ----------
    generator : torch.Generator
        On the CPU; the only source of chance.
    contrast : str or sequence of str, length B
        ``"T1w"``, ``"T2w"``, ``"FLAIR"``, ``"PDw"`` (signals within ± 10 %) or ``"random"`` (any, each tissue).
    spacing : sequence of float or tensor, shape (dims,) or (B, dims)
        Voxel edges in mm.
    tissues : mapping of int to str, optional
        Label to tissue, a name in :data:`bidsqa.simulation.contrast.TISSUES`; FreeSurfer's labels if not given. Labels
        that aren't named are background.

    Returns
    -------
    dict of tensors
        ``signal`` (B, L) of each label (white matter has 1 in named contrasts before the jitter), ``texture`` (B,) the
        relative standard deviation inside a tissue, ``grain`` and ``fwhm`` (B, dims) the widths of the texture and of
        the point spread in samples, ``texture_seed`` (B,).

    Raises
    ------
    ValueError
        For an unknown contrast or tissue.
    """
    names = [contrast] if isinstance(contrast, str) else list(contrast)
    homes = FREESURFER if tissues is None else tissues
    wrong = sorted({*names} - {*PROTOCOLS, RANDOM}) + sorted({*homes.values()} - {*TISSUE_INDEX})
    if wrong:
        raise ValueError(
            f"no contrast or tissue {wrong[0]!r}; there are {', '.join((*PROTOCOLS, RANDOM, *TISSUE_INDEX))}"
        )
    edges = torch.as_tensor(spacing, dtype=torch.float32, device="cpu")
    edges = edges.expand(len(names), -1) if edges.ndim == 1 else edges
    free = uniform(generator, (len(names), len(TISSUES)), *LEVELS)
    near = uniform(generator, (len(names), len(TISSUES)), 1 - JITTER, 1 + JITTER)
    dark = torch.tensor([tissue.density == 0 for tissue in TISSUES])
    signal = torch.zeros((len(names), max(homes, default=0) + 1))
    places = torch.tensor(list(homes), dtype=torch.long)
    kinds = torch.tensor([TISSUE_INDEX[name] for name in homes.values()], dtype=torch.long)
    for row, name in enumerate(names):
        if name == RANDOM:
            levels = torch.where(dark, torch.zeros_like(free[row]), free[row])
        else:
            levels = torch.from_numpy(signal_levels(name)) / WHITE_MATTER_LEVEL * near[row]
        signal[row, places] = levels[kinds]
    width = uniform(generator, len(names), *POINT_SPREAD_MM)[:, None]
    return {
        "signal": signal,
        "texture": uniform(generator, len(names), *TEXTURES),
        "grain": GRAIN_MM / edges,
        "fwhm": width / edges,
        "texture_seed": seeds(generator, len(names)),
    }


def paint_contrast(labels: Tensor, parameters: Parameters) -> Tensor:
    """Paint label maps.

    Parameters
    ----------
    labels : tensor of whole numbers, shape (B, 1, H, W) or (B, 1, X, Y, Z)
        Not negative, on any device.
    parameters : dict of tensors
        From :func:`sample_contrast` with the same B and number of axes; edited at will.

    Returns
    -------
    tensor of float32, same shape
        0 or more: signal of the label times its texture, after the point spread.
    """
    here = {key: value.to(labels.device) for key, value in parameters.items()}
    count = here["signal"].shape[1]
    known = torch.where(labels < count, labels, torch.zeros_like(labels)).long()
    image = torch.stack([table[one] for table, one in zip(here["signal"], known, strict=True)])
    image = torch.where(labels < count, image, torch.zeros_like(image))
    grain = apply_blur(draw_normal(image, here["texture_seed"], 1), {"fwhm": here["grain"]}, labels > 0)
    grain = grain / grain.std(dim=spatial(image), keepdim=True).clamp(min=1e-6)
    image = (image * (1 + per_sample(here["texture"], image) * grain)).clamp(min=0)
    return apply_blur(image, {"fwhm": here["fwhm"]}, labels > 0)
