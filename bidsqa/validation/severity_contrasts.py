# SPDX-License-Identifier: Apache-2.0
"""The severity contrast by contrast: where no site to be tested on has one, on development subjects and drawn scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bidsqa.validation.separation import STRONG, percent, plain, separation
from bidsqa.validation.severity_cases import JUDGED
from bidsqa.validation.severity_judging import Found
from bidsqa.validation.tables import Table

TESTED, DEVELOPED, DRAWN = "sites not trained on", "development subjects", "drawn from label maps"
ORDER = (TESTED, DEVELOPED, DRAWN)
LEVEL = 95


def source_of(found: Found) -> str:
    """Where a case is from."""
    case = found.row.case
    if not case.real:
        return DRAWN
    return TESTED if case.tested else DEVELOPED


def by_contrast(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Numbers of each source and contrast.

    Parameters
    ----------
    found : sequence of Found
        Clean scans not trained on and copies of them, each on a scale made without its site or subject.

    Returns
    -------
    list of dict
        ``source``, ``contrast``, ``clean`` (severities of the clean scans), ``highest`` (the highest of them with its
        scan and leading readings), ``caught`` (of the copies at 0.6 and more
        those above 1: count and number) and ``areas`` by artifact, against the clean scans of all contrasts and
        sources but the same subject's: one threshold for all.
    """
    clean = [(row.row.case, row.value) for row in found if row.row.clean]
    groups = sorted({(ORDER.index(source_of(row)), row.row.case.contrast) for row in found})
    result = []
    for place, contrast in groups:
        own = [row for row in found if source_of(row) == ORDER[place] and row.row.case.contrast == contrast]
        strong = [row for row in own if not row.row.clean and row.row.case.strength >= STRONG]
        result.append(
            {
                "source": ORDER[place],
                "contrast": contrast,
                "clean": [row.value for row in own if row.row.clean],
                "highest": max(
                    ((row.value, row.row.case.scan, row.leading) for row in own if row.row.clean), default=()
                ),
                "caught": (sum(row.value > 1 for row in strong), len(strong)),
                "areas": {
                    artifact: separation(
                        [(row.row.case, row.value) for row in strong if row.row.case.artifact == artifact], clean
                    )
                    for artifact in JUDGED
                },
            }
        )
    return result


def clean_limits(groups: Sequence[dict[str, Any]]) -> Iterator[tuple[str, float, str]]:
    """95th percentile of the clean scans of each contrast, real and drawn ones apart, and which reads highest."""
    for contrast in sorted({group["contrast"] for group in groups}):
        own = [group for group in groups if group["contrast"] == contrast and group["clean"]]
        drawn = [group for group in own if group["source"] == DRAWN]
        for parts, word in (([group for group in own if group not in drawn], "scans"), (drawn, "drawn")):
            values = [value for group in parts for value in group["clean"]]
            if values and not (drawn is parts and contrast == "random"):
                value, scan, readings = max(group["highest"] for group in parts)
                why = f"highest: {scan} {value:.2f} ({readings})"
                yield f"{contrast} ({len(values)} {word})", float(np.percentile(values, LEVEL)), why


def contrast_table(groups: Sequence[dict[str, Any]], note: str, command: str) -> Table:
    """One row a source and contrast, from :func:`by_contrast`."""
    rows = []
    for group in groups:
        clean = np.array(group["clean"])
        told = [f"{np.median(clean):.2f}", f"{np.percentile(clean, LEVEL):.2f}"] if len(clean) else ["", ""]
        rows.append(
            [
                group["source"],
                group["contrast"],
                len(clean),
                *told,
                percent((int((clean > 1).sum()), len(clean))),
                *(plain(group["areas"][artifact]) for artifact in JUDGED),
                percent(group["caught"]),
            ]
        )
    columns = [
        "scans of", "contrast", "clean scans", "median", "95th percentile", "clean above 1",
        *(f"AUC {artifact}" for artifact in JUDGED), "copies above 1",
    ]  # fmt: skip
    text = (
        f"{note} AUC and copies: strength {STRONG:g} and more, against the clean scans of all rows but those of the "
        "same subject. Development subjects: the network was not trained on them, but on others of their site, and "
        "what was chosen by looking at results was chosen on them, so that their numbers flatter. Drawn from label "
        "maps: simulated images of heads that the network was not trained on; their clean scans have noise and fields "
        "of their own. A 95th percentile of few scans is close to the largest."
    )
    return Table("Severity by contrast", columns, rows, text, command)
