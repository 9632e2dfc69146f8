# SPDX-License-Identifier: Apache-2.0
"""What the study's page is told: its scans, the values it compares, and how the scans were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bidsqa.models import SCORE_VALUES
from bidsqa.settings import RULER_MODEL
from bidsqa.verdict.reading import number as finite

DECISIONS = ("fail", "review", "pass")


@dataclass(frozen=True)
class Limit:
    """A value at which a decision or a reading changes.

    Parameters
    ----------
    value : float
    says : str
        What begins there, in words, e.g. ``review above``.
    suffix : str
        Where it holds; empty for everywhere.
    """

    value: float
    says: str
    suffix: str = ""


@dataclass(frozen=True)
class StudyValue:
    """A score or metric that is compared between scans.

    Parameters
    ----------
    key : str
        Its name in :attr:`StudyScan.values`.
    title, says, direction : str
        For the reader; ``direction`` in words, e.g. ``higher is better``.
    unit : str
        Empty for a pure number.
    chief : bool
        Shown in the table and among the small distributions; the others can be chosen in the plots.
    limits : sequence of Limit
        Of the rules that judge by it; without any, a score's own readings take their place.
    """

    key: str
    title: str
    says: str
    direction: str
    unit: str = ""
    chief: bool = True
    limits: Sequence[Limit] = ()

    @property
    def drawn_limits(self) -> Sequence[Limit]:
        """The limits to draw: those of the rules, else where one reading of a score ends and the next begins.

        None on rulers where no person has set a standard: what their readings say of the versions is no limit.
        """
        if self.limits or self.key not in SCORE_VALUES or self.key == RULER_MODEL:
            return self.limits
        low, high = SCORE_VALUES[self.key].bounds
        readings = SCORE_VALUES[self.key].readings
        edges = {edge for reading in readings for edge in (reading.low, reading.high) if low < edge < high}
        return [Limit(edge, "limit") for edge in sorted(edges)]

    @property
    def is_score(self) -> bool:
        """A learned score or a part of one, not a metric."""
        return self.key in SCORE_VALUES

    @property
    def bad_side(self) -> int:
        """1 where high values are bad, -1 where low ones are, 0 where neither is."""
        return {"lower": 1, "higher": -1}.get(self.direction.partition(" ")[0], 0)


@dataclass(frozen=True)
class StudyScan:
    """What the study's page shows of one scan.

    Parameters
    ----------
    name, suffix, site, status, decision : str
    entities : dict of str to str
        BIDS key to label.
    reasons : list of (text, advice)
        The gravest first.
    outliers : list of str
        Keys of the values in which the scan stands out.
    values : dict of str to (float or None)
    page : str
        Relative address of the scan's page.
    picture : str
        Relative address of its thumbnail, empty where there is none.
    thumbnail : bytes or None
        The same picture, for scans that show it even where the page travels alone.
    acquired : str
        Date of the acquisition as ``YYYY-MM-DD``, perhaps with a time; empty where not known.
    distance : float
        How far the scan lies on the bad side of the others in any chief value, in robust standard deviations: orders
        scans without scores.
    unjudged : bool
        Nothing speaks against the scan, but there is too little that could.
    """

    name: str
    suffix: str
    site: str
    entities: Mapping[str, str]
    status: str
    decision: str
    reasons: Sequence[tuple[str, str]]
    outliers: Sequence[str]
    values: Mapping[str, Any]
    page: str
    picture: str = ""
    thumbnail: bytes | None = None
    acquired: str = ""
    distance: float = 0.0
    unjudged: bool = False


@dataclass(frozen=True)
class ProtocolRow:
    """How the scans of a site were made: one row for each set of settings found.

    Parameters
    ----------
    site, suffix : str
    scans : int
        How many scans have these settings.
    values : tuple of str
        One for each of :attr:`StudyProtocols.columns`, empty where not known.
    deviating : frozenset of str
        Columns in which the row deviates from the study's most common value.
    names : tuple of str
        The scans where they are few.
    """

    site: str
    suffix: str
    scans: int
    values: tuple[str, ...]
    deviating: frozenset[str] = field(default_factory=frozenset)
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyProtocols:
    """Scanners and protocols of a study.

    Parameters
    ----------
    columns : sequence of str
        Names of the settings.
    rows : sequence of ProtocolRow
    missing : sequence of str
        Sentences about scans that the study's plan has and the records lack.
    units : dict of str to str
        Of the settings that have one.
    """

    columns: Sequence[str]
    rows: Sequence[ProtocolRow]
    missing: Sequence[str] = ()
    units: Mapping[str, str] = field(default_factory=dict)


def worst_first(scans: Iterable[StudyScan]) -> list[StudyScan]:
    """Failures before reviews before passes, not assessed and unjudged ones last within these.

    Then scans with scores by severity less predicted SSIM; those without by their distance from the others.
    """

    def rank(scan: StudyScan) -> tuple[int, bool, bool, bool, float, str]:
        severity, ssim = finite(scan.values.get("severity")), finite(scan.values.get("ssim"))
        scored = severity is not None or ssim is not None
        place = (ssim or 0.0) - (severity or 0.0) if scored else -scan.distance
        return DECISIONS.index(scan.decision), scan.status == "failed", scan.unjudged, not scored, place, scan.name

    return sorted(scans, key=rank)
