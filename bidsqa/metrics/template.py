# SPDX-License-Identifier: Apache-2.0
"""Agreement of the tissue maps with a template's, where a TemplateFlow home with that template is at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.anatomy import TISSUES
from bidsqa.errors import InputError, NotComputable
from bidsqa.image import Volume, load_volume
from bidsqa.metrics.samples import Array, Samples

TEMPLATE = "MNI152NLin2009cAsym"
# a coarse grid is enough: the affine has 12 parameters
REGISTRATION_MM = 4.0
COARSER_FIRST = ("02", "01")
GREYS = (1.0, 2.0, 3.0)
# this much of the grid around the brain is compared, mm
MARGIN_MM = 10.0


def template_home() -> Path:
    """Where TemplateFlow keeps its files: ``TEMPLATEFLOW_HOME``, else its folder among the user's caches."""
    named = os.environ.get("TEMPLATEFLOW_HOME")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "templateflow"
    except RuntimeError as error:  # a user without an entry in the system, as containers have
        raise NotComputable("no TemplateFlow home: set TEMPLATEFLOW_HOME") from error


def find_priors(home: Path) -> dict[str, Path]:
    """The template's tissue maps in a TemplateFlow home; the network is never asked.

    TemplateFlow leaves empty files where nothing was fetched yet, so only files with content count. Its own client
    isn't asked: it indexes the whole home first, 3 seconds in every process, and fills an empty home.

    Raises
    ------
    NotComputable
        If a map is missing; tells how to fetch it.
    """
    folder = home / f"tpl-{TEMPLATE}"
    for resolution in COARSER_FIRST:
        found = {
            tissue: folder / f"tpl-{TEMPLATE}_res-{resolution}_label-{tissue.upper()}_probseg.nii.gz"
            for tissue in TISSUES
        }
        try:
            if all(path.is_file() and path.stat().st_size > 0 for path in found.values()):
                return found
        except OSError as error:
            raise NotComputable(f"the TemplateFlow home can't be read: {error.strerror}") from error
    raise NotComputable(
        f'the template {TEMPLATE} is not in the TemplateFlow home; where there is a network, run: python -c "from '
        f"templateflow import api; api.get('{TEMPLATE}', resolution=1, suffix='probseg')\", and set TEMPLATEFLOW_HOME"
    )


def read_priors(paths: dict[str, Path]) -> list[Volume]:
    """Tissue maps as volumes in the order of ``TISSUES``.

    Raises
    ------
    NotComputable
        If a file can't be read.
    """
    try:
        return [load_volume(paths[tissue]) for tissue in TISSUES]
    except InputError as error:
        raise NotComputable(f"the template can't be read: {error.cause}") from error


def _to_sitk(data: Array, affine: Array, spacing: tuple[float, float, float]) -> Any:
    """An image in RAS world coordinates (SimpleITK is told RAS for both, so no axis needs a sign)."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0), dtype=np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    # rounding of the header's quaternion must not make the axes fail the orthogonality check
    left, _, right = np.linalg.svd(affine[:3, :3] / np.array(spacing))
    image.SetDirection([float(value) for value in (left @ right).ravel()])
    return image


def _coarse(image: Any) -> Any:
    import SimpleITK

    factors = [max(1, round(REGISTRATION_MM / edge)) for edge in image.GetSpacing()]
    return SimpleITK.DiscreteGaussian(SimpleITK.BinShrink(image, factors), 4.0)


def _register(fixed: Any, moving: Any) -> Any:
    """Affine from the scan's world to the template's, by least squares of the two grey pictures of the tissues."""
    import SimpleITK

    start = SimpleITK.CenteredTransformInitializer(
        fixed, moving, SimpleITK.AffineTransform(3), SimpleITK.CenteredTransformInitializerFilter.MOMENTS
    )
    method = SimpleITK.ImageRegistrationMethod()
    # all voxels and one thread: nothing is drawn by chance, the same bits each time
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetNumberOfThreads(1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-3, numberOfIterations=100, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def overlap(first: Array, second: Array) -> float:
    """Fuzzy Jaccard index of two maps in 0-1, sum of the minima over sum of the maxima (Crum 2006, Eq. 4)."""
    larger = float(np.sum(np.maximum(first, second), dtype=np.float64))
    if larger == 0:
        raise NotComputable("both tissue maps are empty")
    return float(np.sum(np.minimum(first, second), dtype=np.float64)) / larger


def _picture(maps: list[Array]) -> Array:
    """One grey level a tissue, mixed by the tissues' shares."""
    total = np.zeros(maps[0].shape, dtype=np.float32)
    for grey, share in zip(GREYS, maps, strict=True):
        total += np.float32(grey) * share
    return total


def template_overlap(samples: Samples) -> dict[str, float]:
    """Overlap of each tissue's posterior with the template's prior brought to the scan by an affine.

    The affine starts at the moments of both brains and minimises the squared difference of the pictures
    csf + 2 gm + 3 wm at 4 mm; so it doesn't depend on the scan's contrast.

    Raises
    ------
    NotComputable
        If the template is not at hand.
    """
    import SimpleITK

    priors = read_priors(find_priors(template_home()))
    volume, posteriors = samples.volume, samples.anatomy.posteriors
    margin = [round(MARGIN_MM / edge) for edge in volume.spacing]
    box = tuple(
        slice(max(0, part.start - pad), min(size, part.stop + pad))
        for part, pad, size in zip(samples.box, margin, volume.shape, strict=True)
    )
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box])
    own = [posteriors[index][box].astype(np.float32) for index in range(len(TISSUES))]

    fixed = _to_sitk(_picture(own), affine, volume.spacing)
    moving = _to_sitk(_picture([prior.data for prior in priors]), priors[0].affine, priors[0].spacing)
    try:
        transform = _register(_coarse(fixed), _coarse(moving))
    except RuntimeError as error:
        raise NotComputable("the brain could not be aligned with the template") from error
    values: dict[str, float] = {}
    for tissue, posterior, prior in zip(TISSUES, own, priors, strict=True):
        native = SimpleITK.Resample(
            _to_sitk(prior.data, prior.affine, prior.spacing), fixed, transform, SimpleITK.sitkLinear, 0.0
        )
        values[f"tpm_overlap_{tissue}"] = overlap(posterior, SimpleITK.GetArrayViewFromImage(native).transpose(2, 1, 0))
    return values
