# SPDX-License-Identifier: Apache-2.0
"""The voxel values that several metrics read, each gathered once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from bidsqa.anatomy import TISSUES, Anatomy
from bidsqa.anatomy.measured_air import MAXIMUM_ZEROS, field_of_view
from bidsqa.errors import NotComputable
from bidsqa.image import Volume, head_extent
from bidsqa.metrics.statistics import Distribution, describe, weighted_quantiles

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")
Box = tuple[slice, slice, slice]

# a voxel belongs to the tissue that holds more than half of it ...
TISSUE_SHARE = 0.5
# ... and is pure white matter, for the intensity unit, above this
PURE_SHARE = 0.9
MINIMUM_VOXELS = 30
WHITE_MATTER_UNITS = 1000.0
# where less of the background than this was measured, its remnants don't stand for it
MINIMUM_BACKGROUND_SHARE = 0.5


@dataclass(frozen=True)
class Samples:
    """A scan with its anatomy, and the samples drawn from both.

    Intensities are the stored values divided by the bias field inside the head. Outside the head they are the stored
    values: thermal noise isn't shaped by the field, and a field extrapolated from tissue means nothing there. Nothing
    is clipped or rounded.

    Parameters
    ----------
    volume : Volume
    anatomy : Anatomy
        On the volume's grid.
    grid : tuple of int, optional
        Shape of the scan with its padding, where ``volume`` is the block without (:func:`bidsqa.image.measured_block`).
    """

    volume: Volume
    anatomy: Anatomy
    grid: tuple[int, int, int] | None = None
    _kept: dict[Callable[[Samples], Any], Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, compute: Callable[[Samples], Result]) -> Result:
        """What ``compute(self)`` returns, computed at the first call; for what two rows of the table share."""
        if compute not in self._kept:
            self._kept[compute] = compute(self)
        result: Result = self._kept[compute]
        return result

    @cached_property
    def corrected(self) -> Array:
        """The image divided by the bias field inside the head, the stored values outside; float32, shape (X, Y, Z)."""
        field = self.anatomy.bias_field
        image = self.volume.data.copy()
        np.divide(image, field, out=image, where=self.head & (field > 0))
        return image

    @cached_property
    def head(self) -> Array:
        """Head mask as bool, shape (X, Y, Z)."""
        return self.anatomy.head != 0

    @cached_property
    def box(self) -> Box:
        """The smallest block of the grid that holds the brain."""
        brain = self.anatomy.brain != 0
        if not brain.any():
            raise NotComputable("the brain mask is empty")
        x, y, z = (slice(*head_extent(brain, axis)) for axis in range(3))
        return x, y, z

    @cached_property
    def field_of_view(self) -> Box:
        """The block of the grid that was measured (:func:`bidsqa.anatomy.measured_air.field_of_view`)."""
        return field_of_view(self.volume.data, self.anatomy.frame != 0, self.head)

    @cached_property
    def brain(self) -> Array:
        """Brain mask as bool inside :attr:`box`."""
        return self.anatomy.brain[self.box] != 0

    @cached_property
    def brain_median(self) -> float:
        """Median of the corrected image in the brain, above 0."""
        median = float(np.median(self.corrected[self.box][self.brain]))
        if not median > 0:
            raise NotComputable("the median of the brain is not above zero")
        return median

    @cached_property
    def head_values(self) -> Array:
        """Corrected values of the head, 1D."""
        values = self.corrected[self.head]
        if values.size == 0:
            raise NotComputable("the head mask is empty")
        return values

    @cached_property
    def background_values(self) -> Array:
        """Stored values outside the head and outside the frame, 1D: what the scanner measured there."""
        outside = ~self.head
        kept = outside & (self.anatomy.frame == 0)
        count, possible = int(np.count_nonzero(kept)), int(np.count_nonzero(outside))
        if count < MINIMUM_VOXELS:
            raise NotComputable("no background was measured: the head or a filled-in constant takes the whole grid")
        if count < MINIMUM_BACKGROUND_SHARE * possible:
            filled = 100.0 * (1.0 - count / possible)
            raise NotComputable(f"{filled:.0f} % of the background is filled in with a constant")
        return self.volume.data[kept]

    @cached_property
    def air_values(self) -> Array:
        """Stored values of the air mask, 1D: pure noise, not cut off at a threshold."""
        values = self.volume.data[self.anatomy.air != 0]
        if values.size < MINIMUM_VOXELS:
            raise NotComputable("the air mask is empty")
        zeros = float(np.mean(values == 0))
        if zeros > MAXIMUM_ZEROS:
            raise NotComputable(f"{100 * zeros:.0f} % of the air is exactly zero: its noise was cut off or removed")
        return values

    @cached_property
    def air(self) -> Distribution:
        """Statistics of the air, in stored units."""
        return describe(self.air_values)

    @cached_property
    def _tissues(self) -> Mapping[str, Distribution | NotComputable]:
        return {name: self._describe_tissue(index, name) for index, name in enumerate(TISSUES)}

    def _describe_tissue(self, index: int, name: str) -> Distribution | NotComputable:
        share = self.anatomy.posteriors[index][self.box]
        kept = share > np.float16(TISSUE_SHARE)
        if np.count_nonzero(kept) < MINIMUM_VOXELS:
            return NotComputable(f"fewer than {MINIMUM_VOXELS} voxels are mostly {name}")
        return describe(self.corrected[self.box][kept], share[kept].astype(np.float32))

    def tissue(self, name: str) -> Distribution:
        """Statistics of ``csf``, ``gm`` or ``wm`` in stored units.

        The sample holds the voxels where the tissue's posterior is above 0.5, each weighted by its posterior.

        Raises
        ------
        NotComputable
            If the tissue has fewer than 30 such voxels.
        """
        found = self._tissues[name]
        if isinstance(found, NotComputable):
            raise found
        return found

    @cached_property
    def unit(self) -> float:
        """Factor to the unit of the ``summary_*`` metrics, in which pure white matter has the median 1000.

        Pure means a posterior of 0.9 or more; where fewer than 30 voxels are that pure, the tissue sample is used, and
        where white matter is absent altogether, the brain.
        """
        white = self.anatomy.posteriors[TISSUES.index("wm")][self.box]
        pure = white >= np.float16(PURE_SHARE)
        if np.count_nonzero(pure) >= MINIMUM_VOXELS:
            (median,) = weighted_quantiles(self.corrected[self.box][pure], None, (0.5,))
        else:
            found = self._tissues["wm"]
            median = self.brain_median if isinstance(found, NotComputable) else found.median
        if not median > 0:
            raise NotComputable("the median of white matter is not above zero")
        return WHITE_MATTER_UNITS / median
