# SPDX-License-Identifier: Apache-2.0
"""What the page of a study shows, from the rows of its scans: pictures, values with their limits, protocols."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bidsqa.bids import names
from bidsqa.bids.writing import write_atomic
from bidsqa.group import cohort, preferred, protocols, sites, tables
from bidsqa.group.rows import Row
from bidsqa.plain_files import read_bytes
from bidsqa.settings import RULER_MODEL
from bidsqa.verdict import Rules, load_rules
from bidsqa.verdict.rulers import BY_PERSON

if TYPE_CHECKING:
    from bidsqa.report.study_scan import Limit, StudyProtocols, StudyScan, StudyValue

THUMBNAILS = 60
# rows of the page's table of protocols, and sentences on missing scans
MOST_PROTOCOLS, FEWEST_DEVIATING, MOST_MISSING = 60, 20, 30
PAGE = "group.html"
LIMITS = ("review_above", "review_below", "fail_above", "fail_below")


def write_page(
    out: Path,
    rows: Sequence[Row],
    rules: Rules | None,
    *,
    missing: Sequence[protocols.MissingScan] = (),
    notes: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> list[Path]:
    """Pictures of the main plots and the page, which links them.

    Parameters
    ----------
    out : Path
        Output folder.
    rows : sequence of Row
        Compared and with their sites named.
    rules : Rules, optional
        By which every record was judged anew; the records' own verdicts and the package's rules by default.
    missing : sequence of MissingScan
    notes, problems : sequence of str
        What makes scans hard to compare; records that could not be used.

    Returns
    -------
    list of Path
        The files written, the page last.
    """
    from bidsqa.report import render_study
    from bidsqa.report.study_figures import draw_study_figures
    from bidsqa.report.study_scan import worst_first

    values = _values(rows, rules)
    far = sites.distances(rows)
    scans = worst_first(_scan(out, row, values, distance) for row, distance in zip(rows, far, strict=True))
    carried = [scan for scan in scans if scan.picture and scan.status == "ok"][:THUMBNAILS]
    pictures = {scan.name: _thumbnail(out / scan.picture) for scan in carried}
    scans = [replace(scan, thumbnail=pictures.get(scan.name)) for scan in scans]
    paths, addresses = [], {}
    for name, drawn in draw_study_figures(scans, values).items():
        path = names.study_figure_path(out, name)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, drawn)
        paths.append(path)
        addresses[path.name] = path.relative_to(out).as_posix()
    page = out / PAGE
    content = render_study(
        scans,
        values,
        notes=notes,
        problems=problems,
        protocols=_protocols(rows, rules or load_rules(), missing),
        figures=addresses,
        comparison=_comparison(rows, rules or load_rules()),
    )
    write_atomic(page, content)
    return [*paths, page]


def _comparison(rows: Sequence[Row], rules: Rules) -> str:
    """How many scans stand out from those of their suffix and site, and of how many that can't be told."""
    odd = sum(bool(row.outliers) for row in rows)
    few, least = cohort.uncompared(rows, rules)
    assessed = sum(row.status == "ok" for row in rows)
    if not assessed:
        return ""
    if few == assessed:
        return (
            f"Which scans stand out at their site can't be told here: that takes {least} scans of a suffix at a site."
        )
    told = {0: "No scan stands", 1: "1 scan stands"}.get(odd, f"{odd} scans stand")
    told += " out from the others of the same suffix and site" + (
        " (a star in the table of all scans)." if odd else "."
    )
    if few:
        told += f" Of {few} that can't be told: it takes {least} scans of a suffix at a site."
    return told


def _protocols(rows: Sequence[Row], rules: Rules, missing_scans: Sequence[protocols.MissingScan]) -> StudyProtocols:
    """Scanners, protocols and missing scans as the page shows them: the usual protocols and the first that deviate."""
    from bidsqa.report.study_scan import ProtocolRow, StudyProtocols

    found = protocols.protocol_rows(rows, rules)
    shown = [row for row in found if not row.deviating]
    shown += [row for row in found if row.deviating][: max(MOST_PROTOCOLS - len(shown), FEWEST_DEVIATING)]
    kept = [row for row in found if row in shown]
    columns = protocols.protocol_columns(found)
    missing = [scan.sentence() for scan in missing_scans]
    notes = [f"{len(found) - len(kept)} further rows stand in group_protocols.tsv."] if len(kept) < len(found) else []
    notes += [f"{len(missing) - MOST_MISSING} more stand in group_missing.tsv."] if len(missing) > MOST_MISSING else []
    return StudyProtocols(
        columns=columns,
        rows=[
            ProtocolRow(
                site=row.site,
                suffix=f"{row.suffix} {row.labels}".strip(),
                scans=row.scans,
                values=tuple(row.values.get(column, "") for column in columns),
                deviating=row.deviating,
                names=row.names if row.deviating else (),
            )
            for row in kept
        ],
        missing=[*missing[:MOST_MISSING], *notes],
        units=protocols.UNITS,
    )


def _scan(out: Path, row: Row, values: Sequence[StudyValue], distance: float) -> StudyScan:
    """A row as the page shows it."""
    from bidsqa.report.study_scan import StudyScan

    picture = names.figure_path(Path(), row.name, "thumbnail.webp")
    return StudyScan(
        name=row.name,
        suffix=row.suffix,
        site=row.site,
        entities=row.entities,
        status=row.status,
        decision=row.decision,
        reasons=[(str(reason.get("text", "")), str(reason.get("advice", ""))) for reason in row.reasons],
        outliers=list(row.outliers),
        values={value.key: row.values.get(value.key) for value in values},
        page=names.page_path(Path(), row.name).as_posix(),
        picture=picture.as_posix() if (out / picture).is_file() else "",
        acquired=row.acquired,
        distance=distance,
        unjudged=tables.proposal(row) == tables.UNJUDGED,
    )


def _values(rows: Sequence[Row], rules: Rules | None) -> list[StudyValue]:
    """Every score and metric of the study, the chief ones first, with the limits that the decisions were made by."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORE_VALUES
    from bidsqa.report.study_scan import StudyValue

    chief = sites.present_chief_values(rows)
    present = {key for row in rows for key, value in row.values.items() if value is not None}
    limits = _limits(rows, rules)
    found = []
    for key in [*chief, *(key for key in METRIC_KEYS if key in present and key not in chief)]:
        title, says, direction = _described(key)
        if key == preferred.SCORE and preferred.CHANCE in present:
            says = f"{says} {preferred.WHERE}"
        unit = SCORE_VALUES[key].unit if key in SCORE_VALUES else METRIC_KEYS[key].unit_of(key)
        found.append(StudyValue(key, title, says, direction, unit, key in chief, limits.get(key, ())))
        if key == preferred.SCORE and preferred.CHANCE in present:
            found.append(_chance_to_be_preferred())
    return found


def _chance_to_be_preferred() -> StudyValue:
    """Each scan beside the study's median scan, which only a study has."""
    from bidsqa.models import SCORES
    from bidsqa.report.study_scan import StudyValue

    says = SCORES[preferred.SCORE].parts["p_better"].partition(";")[0]
    return StudyValue(preferred.CHANCE, preferred.TITLE, f"{says}.", "higher is better", chief=False)


def _limits(rows: Sequence[Row], rules: Rules | None) -> dict[str, list[Limit]]:
    """Limits by score or metric, where all decisions were made by rules that are known here."""
    from bidsqa.models import SCORE_VALUES
    from bidsqa.report.study_scan import Limit

    rules = rules or load_rules()
    if {row.versions.get("rules") for row in rows} != {rules.version}:
        return {}
    found: dict[str, dict[Limit, None]] = defaultdict(dict)
    suffixes = sorted({row.suffix for row in rows})
    keys = {value.reads: key for key, value in SCORE_VALUES.items()}
    for suffix in suffixes:
        for rule in rules.for_suffix(suffix):
            kind, _, rest = rule.reads.partition(".")
            key = keys.get(rule.reads, rest)
            for name in LIMITS if kind in ("scores", "metrics") else ():
                limit = getattr(rule, name)
                if limit is not None:
                    found[key][Limit(float(limit), name.replace("_", " "), suffix)] = None
        standard = _standard([row for row in rows if row.suffix == suffix])
        if standard is not None:
            found[RULER_MODEL][Limit(standard, "accepts from", suffix)] = None
    return {key: _for_all(list(limits), suffixes) for key, limits in found.items()}


def _for_all(limits: Sequence[Limit], suffixes: Sequence[str]) -> list[Limit]:
    """The same limits, those of every suffix once and without its name."""
    shared = [limit for limit in limits if all(replace(limit, suffix=suffix) in limits for suffix in suffixes)]
    return [*dict.fromkeys(replace(limit, suffix="") for limit in shared), *(x for x in limits if x not in shared)]


def _standard(rows: Sequence[Row]) -> float | None:
    """The threshold that a person set on the ruler of all these scans; None where there isn't one for all."""
    told = {
        tuple(row.values.get(f"{RULER_MODEL}_ruler_{key}") for key in ("threshold", "name", "threshold_set_by"))
        for row in rows
        if row.values.get(RULER_MODEL) is not None
    }
    threshold, _, set_by = told.pop() if len(told) == 1 else (None, None, None)
    return threshold if isinstance(threshold, float) and set_by == BY_PERSON else None


def _described(key: str) -> tuple[str, str, str]:
    """Title, what it tells, direction."""
    from bidsqa.metrics import METRIC_KEYS
    from bidsqa.models import SCORE_VALUES

    if key in SCORE_VALUES:
        row = SCORE_VALUES[key]
        return row.title, row.says, row.direction
    metric = METRIC_KEYS[key]
    return key, metric.keys[key], {"higher": "higher is better", "lower": "lower is better"}.get(metric.direction, "")


def _thumbnail(path: Path) -> bytes | None:
    try:
        return read_bytes(path)
    except OSError:
        return None
