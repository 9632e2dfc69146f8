# SPDX-License-Identifier: Apache-2.0
"""Judge a severity network on scans it was not trained on: raw readings, calibration, what the score makes of them.

Every scan is judged with a calibration made from clean scans of the *other* sites. What is chosen (how readings are
joined, the model of the kinds) is chosen on the development scans, never on the sites that the tables are about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.models.severity import SeverityScorer, volume_readings
from bidsqa.models.severity_scale import READINGS_OF, Kinds, Scale, slice_readings
from bidsqa.validation.severity_cases import DEVELOPMENT, Case, read_case
from bidsqa.validation.severity_kinds import fit_kinds
from bidsqa.validation.statistics import prediction_limit

Array = np.ndarray[Any, Any]
# no limit lies closer to the clean median than this, nor than what the weakest visible artifact of its kind adds
SMALLEST_STEP = {
    "noise": 0.03,
    "motion": 0.03,
    "ghosting": 0.03,
    "bias": 0.03,
    "blur": 0.06,
    "overall": 0.06,
    "field": 0.25,
    "echo": 0.04,
    "grain": 0.03,
}
VISIBLE = 0.35
# all: with the network's estimate of the damage of all together (overall), and with its bias beside the field's range,
# the copies of the development scans are in better order than without
USED = ("noise", "motion", "ghosting", "bias", "blur", "field", "echo", "grain", "overall")
UNTRAINED = frozenset({"field", "echo", "grain"})


@dataclass(frozen=True)
class Judged:
    """A case with its raw readings (the network's and the volume's).

    Parameters
    ----------
    case : Case
    readings : dict of float
    plain : float or None
        Mean slice score of the published network, where it was judged too.
    errors : dict of float
        Standard errors of the readings, from slices and halves of the scan.
    """

    case: Case
    readings: dict[str, float]
    plain: float | None = None
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Not degraded."""
        return self.case.artifact == "none"


def judge(folder: Path, scorer: SeverityScorer, published: SeverityScorer | None = None) -> list[Judged]:
    """Raw readings of every case in a folder.

    Parameters
    ----------
    folder : Path
        Filled by :func:`bidsqa.validation.severity_cases.build_cases`.
    scorer : SeverityScorer
        Of the compact network.
    published : SeverityScorer, optional
        Of the published network, trained on the same data, for comparison.
    """
    return [judge_case(read_case(path), scorer, published) for path in sorted(folder.glob("*.npz"))]


def judge_case(case: Case, scorer: SeverityScorer, published: SeverityScorer | None = None) -> Judged:
    """Raw readings of one case, without its pictures: hundreds of cases would fill the memory."""
    raw = [slice_readings(output) for output in scorer.outputs(case.prepared)]
    plain = None
    if published is not None and case.tested:
        # far slower than the compact network (benchmarks/inference.py): every other slice has to do
        planes = tuple(
            (axis, rows[::2], {"image": inputs["image"][::2]}) for axis, rows, inputs in case.prepared.planes
        )
        plain = float(np.concatenate(published.outputs(replace(case.prepared, planes=planes))).mean())
    readings, errors = volume_readings(raw, case.prepared)
    return Judged(replace(case, prepared=replace(case.prepared, planes=())), readings, plain, errors)


def visible_steps(judged: Sequence[Judged]) -> dict[str, float]:
    """What an artifact of strength 0.35, which can just be seen, adds to the reading of its kind: the median rise.

    Few sites tell little about how much clean scans of other sites differ; but differences that can't be seen make no
    scan suspect. From the real development scans; empty without such copies.

    Returns
    -------
    dict of float
        By reading, 0 and more.
    """
    own = [row for row in judged if row.case.real and not row.case.tested]
    origin = {row.case.scan: row for row in own if row.clean}
    steps = {}
    for family, names in READINGS_OF.items():
        copies = [row for row in own if row.case.family == family and row.case.strength == VISIBLE]
        for name in names if copies else ():
            rises = [row.readings[name] - origin[row.case.scan].readings[name] for row in copies]
            steps[name] = max(0.0, float(np.median(rises)))
    copies = [row for row in own if row.case.strength == VISIBLE]
    if copies:
        rises = [row.readings["overall"] - origin[row.case.scan].readings["overall"] for row in copies]
        steps["overall"] = max(0.0, float(np.median(rises)))
    return steps


def calibrate(
    clean: Sequence[Judged],
    used: Sequence[str] = USED,
    kinds: Kinds | None = None,
    steps: Mapping[str, float] | None = None,
) -> Scale:
    """Scale of a scorer from clean scans.

    Each reading goes to 0 at the median of the clean scans and to 1 at their 95th percentile, or as far above as an
    artifact that can just be seen brings it, whichever is further; the whole is then divided
    so that the next clean scan lies under 1 with a chance of 95 % (:func:`prediction_limit`). What the network reads is
    calibrated on scans of sites or subjects that it was not trained on; what needs no training on all scans. Images
    drawn from label maps serve neither.

    Parameters
    ----------
    clean : sequence of Judged
    used : sequence of str
        Readings that count.
    kinds : Kinds, optional
    steps : Mapping of float, optional
        From :func:`visible_steps`.
    """
    smallest = {name: max(SMALLEST_STEP.get(name, 0.05), (steps or {}).get(name, 0.0)) for name in clean[0].readings}
    real = [row for row in clean if row.case.real]
    unseen = [row for row in real if row.case.side != "train"]
    centre, limit = {}, {}
    for name in clean[0].readings:
        values = np.array([row.readings[name] for row in (real if name in UNTRAINED else unseen)])
        centre[name] = float(np.median(values))
        limit[name] = float(max(np.percentile(values, 95), centre[name] + smallest[name]))
    scale = Scale(centre, limit, tuple(used), kinds=kinds)
    values = np.array([float(scale.uncompressed(row.readings)) for row in unseen])
    return replace(scale, scale=max(1.0, float(np.percentile(values, 95)), prediction_limit(values)))


@dataclass(frozen=True)
class Found:
    """A case judged with a calibration that its site had no part in.

    Parameters
    ----------
    row : Judged
    value : float
        Severity.
    families : dict of float
        Severity by family.
    kind : str
        Most probable kind, ``"none"`` included.
    parts : dict of float
        Severity that each reading alone would give, of those that count.
    error : float
        Standard error of the value, from those of the readings.
    """

    row: Judged
    value: float
    families: dict[str, float]
    kind: str
    parts: dict[str, float] = field(default_factory=dict)
    error: float = 0.0

    @property
    def leading(self) -> str:
        """The three readings that say most, in words."""
        first = sorted(self.parts.items(), key=lambda item: -item[1])[:3]
        return ", ".join(f"{name} {value:.2f}" for name, value in first)


def find(row: Judged, scale: Scale) -> Found:
    """One case on a scale."""
    families = scale.families(row.readings)
    shares = scale.probabilities(row.readings) or families
    return Found(
        row,
        float(scale.joined(row.readings)),
        families,
        max(shares, key=lambda name: shares[name]),
        {name: float(scale.severity(name, row.readings[name])) for name in scale.used(row.readings)},
        scale.error(row.readings, row.errors),
    )


def left_out(judged: Sequence[Judged], used: Sequence[str] = USED, kinds: Kinds | None = None) -> list[Found]:
    """Each case of the test sites, calibrated on clean scans of the other sites."""
    clean, steps = [row for row in judged if row.clean], visible_steps(judged)
    result = []
    for site in sorted({row.case.site for row in judged if row.case.tested}):
        group = {"boston", "fnndsc"} if site in {"boston", "fnndsc"} else {site}
        scale = calibrate([row for row in clean if row.case.site not in group], used, kinds, steps)
        result += [find(row, scale) for row in judged if row.case.site == site and row.case.tested]
    return result


def clean_left_out(judged: Sequence[Judged], used: Sequence[str] = USED) -> list[Found]:
    """Clean scans that the network was not trained on, each calibrated without its own site; drawn ones as well.

    A site whose other subjects were trained on is left out by subject.
    """
    return beyond([row for row in judged if row.clean and row.case.side != "train"], judged, used)


def beyond(rows: Sequence[Judged], judged: Sequence[Judged], used: Sequence[str] = USED) -> list[Found]:
    """Cases calibrated on the clean scans among ``judged`` but those of their own site (watched ones: subject)."""
    clean, steps = [row for row in judged if row.clean], visible_steps(judged)
    scales: dict[tuple[str, ...], Scale] = {}
    found = []
    for row in rows:
        case = row.case
        group = ("boston", "fnndsc") if case.site in {"boston", "fnndsc"} else (case.site,)
        key = ("subject", case.subject) if case.side == "watch" else group
        if key not in scales:
            others = [
                other
                for other in clean
                if (other.case.subject != case.subject if case.side == "watch" else other.case.site not in group)
            ]
            scales[key] = calibrate(others, used, steps=steps)
        found.append(find(row, scales[key]))
    return found


def kinds_of(judged: Sequence[Judged]) -> Kinds | None:
    """The model of the kinds, fitted on the development cases on the scale of all clean scans but the test sites'."""
    own = [row for row in judged if not row.case.tested]
    degraded = [row for row in own if not row.clean]
    if len({row.case.family for row in degraded}) < 2:
        return None
    scale = calibrate([row for row in own if row.clean], steps=visible_steps(own))
    places = [{name: float(scale.place(name, value)) for name, value in row.readings.items()} for row in own]
    return fit_kinds(places, [row.case.family for row in own], [row.case.strength for row in own])


def model_error(judged: Sequence[Judged]) -> float:
    """How far severities of different scans with one artifact of one strength lie apart beyond their standard errors.

    What no spread over the slices of one scan can tell: the root of the mean variance between the development scans,
    clean or with one artifact that can just be seen (strength 0.35), less the mean square of their standard errors.
    Drawn scans and sites that the tables are about have no part in it.
    """
    own = [row for row in judged if row.case.real and row.case.subject in DEVELOPMENT]
    own = [row for row in own if row.clean or row.case.strength == VISIBLE]
    groups: dict[tuple[str, float], list[Found]] = {}
    for found in beyond(own, [row for row in judged if not row.case.tested]):
        groups.setdefault((found.row.case.artifact, found.row.case.strength), []).append(found)
    several = [group for group in groups.values() if len(group) > 1]
    if not several:
        return 0.0
    between = np.mean([np.var([found.value for found in group], ddof=1) for group in several])
    within = np.mean([np.mean([found.error**2 for found in group]) for group in several])
    return float(np.sqrt(max(between - within, 0.0)))
