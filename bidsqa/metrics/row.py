# SPDX-License-Identifier: Apache-2.0
"""One row of the metric table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bidsqa.errors import NotComputable
from bidsqa.metrics.samples import Samples

Value = float | NotComputable
MetricFunction = Callable[[Samples], "float | Mapping[str, Value]"]

SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw")


@dataclass(frozen=True)
class Metric:
    """A metric, or a family of metrics that one function computes together.

    Parameters
    ----------
    name : str
        The family's name; equals the key for a single metric.
    keys : dict of str to str
        Each record key with what the number tells, in one line of plain words.
    function : callable
        ``f(samples)``; a float for a single key, else a mapping with exactly these keys whose values are floats or,
        where one key alone can't be had, a ``NotComputable``. Raises ``NotComputable(reason)`` where none can be had.
    needs : tuple of str
        Of ``head``, ``brain``, ``tissue``, ``air``, ``bias_field``, ``template``: what must be trustworthy.
    unit : str
        Empty for a pure number.
    direction : str
        ``higher`` or ``lower`` is better, or ``none``.
    bounds : tuple
        Smallest and largest possible value, None where open.
    source : str
        Reference with DOI and equation.
    formula : str
        In words or plain maths, as computed here.
    version : int
        Raised whenever the definition changes.
    mriqc : str
        How MRIQC's number of this name differs, or ``same``.
    suffixes : tuple of str
        Where the metric applies.
    units : dict of str to str
        Of keys whose unit is another one.
    """

    name: str
    keys: Mapping[str, str]
    function: MetricFunction
    needs: tuple[str, ...]
    unit: str
    direction: str
    bounds: tuple[float | None, float | None]
    source: str
    formula: str
    version: int = 1
    mriqc: str = "same"
    suffixes: tuple[str, ...] = SUFFIXES
    units: Mapping[str, str] = field(default_factory=dict)

    def unit_of(self, key: str) -> str:
        """The unit of one of the keys; empty for a pure number."""
        return self.units.get(key, self.unit)
