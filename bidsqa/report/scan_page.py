# SPDX-License-Identifier: Apache-2.0
"""The page of one scan, from its record and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bidsqa.models import SCORES, Model
from bidsqa.record import Record
from bidsqa.report import charts, cohort_place, facts, page
from bidsqa.report.cautions import cautions
from bidsqa.report.figures import OUTLINES
from bidsqa.report.local_maps import local_maps
from bidsqa.report.metric_tables import metric_groups
from bidsqa.report.rating_form import rating_form
from bidsqa.report.ruler_strip import ruler_readings, ruler_view
from bidsqa.report.score_words import leading_kind
from bidsqa.report.slice_viewer import place_in, slice_viewer
from bidsqa.verdict.reading import entries, number, suffix_of
from bidsqa.verdict.reasons import plain

PLANES = ("axial", "coronal", "sagittal")
OUTLINE_NAMES = {"brain": "brain", "white": "white matter", "head": "head", "air": "air used for noise"}
HEADLINES = {
    "pass": "Nothing speaks against this scan.",
    "review": "Look at this scan before using it.",
    "fail": "Don't use this scan as it is.",
}
EXTRAS = {
    "median": "median of the slices",
    "p10": "worst tenth of the slices below",
    "p90": "worst tenth of the slices above",
    "share_below_060": "share of slices below 0.60",
    "share_below_085": "share of slices below 0.85",
    "clinical_class": "clinical class",
    "cause": "likely cause",
    "p_motion": "probability of motion (median of the slices)",
    "moved_share": "share of slices that look moved",
    "p_better_than_clean": "chance that a reader calls it better than a typical clean scan",
    "share_non_diagnostic": "share of slices that are more likely non-diagnostic than not",
    "label_source": "whose opinion was learned",
    **{f"families {name}": f"severity by {name}" for name in ("noise", "motion", "ghosting", "bias", "blur")},
}
# of words that stand for more than they say
IN_WORDS = {
    ("label_source", "synthetic"): "synthetic readers: a formula, no person",
    ("label_source", "readers"): "readers of the site that trained it",
}
EXTRA_DIGITS = 3  # as the score itself has
STUDY_PAGE = "group.html"
STYLES = ("page.css", "scan.css", "viewer.css")
SCRIPTS = ("scan.js", "viewer.js", "place.js", "rating.js")


def render_scan(record: Record, figures: Mapping[str, bytes]) -> str:
    """The scan's page: one HTML file that needs nothing beside it.

    Parameters
    ----------
    record : Record
        Also that of a failed scan. Texts in it are data: they appear as they are, whatever they hold.
    figures : dict of str to bytes
        As :func:`bidsqa.report.draw_figures` gives them; may be empty.

    Returns
    -------
    str
        Complete, readable and printable without JavaScript; allowed to load nothing from outside.
    """
    decision = record.verdict.get("decision")
    decision = decision if decision in HEADLINES else "review"
    failed = record.status == "failed"
    colours = "".join(f"--{name}:rgb{colour};" for name, colour in OUTLINES.items())
    styles = f":root{{{colours}}}\n{''.join(map(page.static, STYLES))}"
    ready = _ready(figures)
    planes = _planes(ready)
    local = local_maps(ready, record.scores, planes) if not failed else []
    reasons = _reasons(record)
    viewer = slice_viewer(ready, record.scores, local, reasons) if not failed else None
    rating = rating_form()
    return page.render(
        "scan.html",
        styles,
        "".join(map(page.static, SCRIPTS)),
        record=record,
        name=record.bids_name,
        suffix=suffix_of(record),
        decision=decision,
        headline="This scan could not be assessed." if failed else HEADLINES[decision],
        reasons=reasons,
        failure=record.failure if isinstance(record.failure, dict) else {},
        failed=failed,
        warnings=cautions(record),
        scores=[_score(name, record, ready) for name in _score_names(record)],
        pictures=_pictures(ready, planes),
        local=local,
        viewer=viewer,
        rating=rating,
        scored=any(isinstance(score, dict) and score.get("slices") for score in record.scores.values()),
        outlines=OUTLINE_NAMES,
        background=str(record.image.get("background") or "unknown"),
        groups=metric_groups(record) if not failed else [],
        image=facts.of_image(record),
        acquisition=facts.of_acquisition(record),
        provenance=facts.of_provenance(record),
        rules_version=str(record.verdict.get("rules_version", "")),
        study_page=STUDY_PAGE,
        cohort=cohort_place.empty_block(),
        about=page.data_block(
            _about(record, decision) | {"viewer": viewer and viewer["data"], "rating": rating["data"]}
        ),
        data=page.data_block(record.to_dict()),
    )


def _about(record: Record, decision: str) -> dict[str, Any]:
    """What the page's script needs to know of the scan: which it is, and what the page tells about it."""
    known = record.provenance.get("input")
    digest = known.get("sha256") if isinstance(known, dict) else None
    return {
        "bids_name": record.bids_name,
        "image_sha256": digest if isinstance(digest, str) else None,
        "bidsqa": str(record.provenance.get("bidsqa", "")),
        "decision": decision,
        "rules_version": str(record.verdict.get("rules_version", "")),
    }


def _reasons(record: Record) -> list[dict[str, Any]]:
    """The verdict's reasons as texts, each with the level it stands for and the slices that it names."""
    found = [entry for entry in entries(record.verdict.get("reasons")) if isinstance(entry, dict)]
    return [
        {
            "level": entry["level"] if entry.get("level") in HEADLINES else "review",
            "text": str(entry.get("text", "")),
            "advice": str(entry.get("advice", "")),
            "rule": str(entry.get("rule", "")),
            "where": place_in(str(entry.get("text", "")), str(entry.get("name", "")), record.scores),
        }
        for entry in found
    ]


def _score_names(record: Record) -> list[str]:
    """Scores in the table's order, those the table doesn't know last, and those that should be there but aren't."""
    missing = [name for name in SCORES if name in record.reasons_missing]
    wanted = {*record.scores, *missing}
    return [name for name in SCORES if name in wanted] + sorted(wanted - set(SCORES))


def _score(name: str, record: Record, ready: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says about one score."""
    row = SCORES.get(name)
    score = record.scores.get(name)
    score = score if isinstance(score, dict) else {}
    value, uncertainty = number(score.get("value")), number(score.get("uncertainty"))
    ruler = ruler_view(score, ready)
    reading = row.reading(value) if row is not None and value is not None and ruler is None else None
    model = record.provenance.get("models")
    used = model.get(name, {}) if isinstance(model, dict) else {}
    return {
        "name": name,
        "title": row.title if row else name,
        "value": plain(value) if value is not None else None,
        "uncertainty": plain(uncertainty, 2) if uncertainty is not None else None,
        "unit": str(score.get("unit") or ""),
        "why": str(record.reasons_missing.get(name, "no reason was recorded")),
        "reading": reading,
        # of a clean scan nothing leads
        "lead": leading_kind(score) if row is not None and reading not in row.readings[:1] else "",
        "ruler": ruler,
        "says": row.says if row else "",
        "limits": row.limits if row else "",
        "direction": row.direction if row else "",
        "source": f"{row.citation}; {row.source}" if row else "",
        "version": str(used.get("version", "")) if isinstance(used, dict) else "",
        "charts": _slice_charts(row, name, score),
        "warnings": [str(text) for text in entries(score.get("outside_domain"))],
        "extras": [(EXTRAS[key], IN_WORDS.get((key, text), text)) for key, text in _extras(score) if key in EXTRAS],
        "details": [(key.replace("_", " "), text) for key, text in _extras(score) if key not in EXTRAS],
    }


def _slice_charts(row: Model | None, name: str, score: Mapping[str, Any]) -> list[Any]:
    """A chart for each plane that was scored."""
    readings = ruler_readings(score) or ([(entry.name, entry.low, entry.high) for entry in row.readings] if row else [])
    drawn = []
    for part in entries(score.get("slices")):
        pairs = charts.slice_pairs(part)
        if not pairs:
            continue
        index, values = [at for at, _ in pairs], [value for _, value in pairs]
        plane = str(part.get("plane", ""))
        worst = max(values) if row and row.direction.startswith("lower") else min(values)
        title = (
            f"{row.title if row else name} of {len(values)} {plane} slices, from {plain(min(values))} to "
            f"{plain(max(values))}, worst at slice {index[values.index(worst)]:g}"
        )
        drawn.append(charts.slice_chart(plane, index, values, readings, title))
    return drawn


def _extras(score: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Further readings of a score: key and text; those of a group get its name in front."""
    found: list[tuple[str, str]] = []
    for key, entry in score.items():
        if key in ("value", "uncertainty", "unit", "slices") or entry is None:
            continue
        if isinstance(entry, dict):
            found.extend((f"{key} {name}", facts.text_of(inner, EXTRA_DIGITS)) for name, inner in entry.items())
        elif not isinstance(entry, (list, tuple)):
            found.append((key, facts.text_of(entry, EXTRA_DIGITS)))
    return found


def _ready(figures: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """The pictures as the page holds them, by file name; a damaged one is left out."""
    ready = {}
    for name, content in figures.items():
        try:
            ready[name] = page.picture(content)
        except ValueError:
            continue
    return ready


def _planes(ready: Mapping[str, Any]) -> list[str]:
    """All planes, the acquisition plane first."""
    first = [plane for plane in PLANES if f"worst-{plane}.webp" in ready]
    return [*first, *(plane for plane in PLANES if plane not in first)]


def _pictures(ready: Mapping[str, dict[str, Any]], planes: Sequence[str]) -> dict[str, Any]:
    """The pictures by kind."""
    mosaics = [
        {
            "plane": plane,
            "image": ready[f"mosaic-{plane}.webp"],
            "layers": {
                mask: ready[f"outline-{mask}-{plane}.png"]
                for mask in OUTLINES
                if f"outline-{mask}-{plane}.png" in ready
            },
        }
        for plane in planes
        if f"mosaic-{plane}.webp" in ready
    ]
    kept = {
        kind: [(plane, ready[f"{kind}-{plane}.webp"]) for plane in planes if f"{kind}-{plane}.webp" in ready]
        for kind in ("background", "worst")
    }
    present = [mask for mask in OUTLINE_NAMES if any(mask in mosaic["layers"] for mosaic in mosaics)]
    return {"mosaics": mosaics, "masks": present, **kept}
