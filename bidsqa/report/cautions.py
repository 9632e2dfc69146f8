# SPDX-License-Identifier: Apache-2.0
"""What a verdict could not take into account, in words: an odd file, the air around the head, the field of view."""

from __future__ import annotations

from bidsqa.record import Record
from bidsqa.verdict.reading import entries, number
from bidsqa.verdict.reasons import plain

# a brain that only touches the border loses nothing worth a word
CUT_SHARE = 0.02


def cautions(record: Record) -> list[str]:
    """Sentences for the top of a scan's page, the record's own warnings first.

    Parameters
    ----------
    record : Record
        Of a scan that was assessed; texts in it are data.

    Returns
    -------
    list of str
        Empty where nothing limits what could be judged.
    """
    found = [str(text) for text in entries(record.warnings)]
    anatomy = record.image.get("anatomy")
    problems = anatomy.get("problems") if isinstance(anatomy, dict) else None
    air = problems.get("air") if isinstance(problems, dict) else None
    background = record.image.get("background")
    if air:
        empty = sum(value is None for value in record.metrics.values())
        told = f", and {empty} metrics are empty" if empty > 1 else ""
        found.append(f"Noise, ghosts and wrap-around in the air around the head were not judged{told}: {air}.")
    if background == "denoised":
        found.append(
            "A filter changed or removed the noise of the air, so that noise and faint ghosts may be understated."
        )
    if background == "wrapped":
        share = number(record.metrics.get("wrap_around"))
        told = "" if share is None else f" ({plain(100 * share, 2)} % of its largest cross-section)"
        found.append(
            f"The head is folded over the border of the field of view{told}: look whether it reaches the brain."
        )
    cut = number(record.metrics.get("brain_cut"))
    if cut is not None and cut > CUT_SHARE:
        part = plain(100 * cut, 2)
        found.append(
            f"The field of view may cut the brain: {part} % of its surface lies on the border. Look at the mosaic."
        )
    return found
