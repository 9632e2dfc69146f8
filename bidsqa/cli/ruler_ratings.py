# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-ruler set RULER --from-ratings RATINGS``: the threshold that a site's readers agree on."""

from __future__ import annotations

from pathlib import Path

from bidsqa.rulers import Ruler, Threshold


def readers_threshold(ruler: Ruler, ratings: Path, by: str = "") -> Threshold:
    """The readers' threshold of a ruler; how it came about is printed and goes into ``set_by``.

    Parameters
    ----------
    ruler : Ruler
    ratings : Path
        RATINGS of ``bidsqa-rate``, or an export of it.
    by : str
        Who says so, put before how many readers there were.

    Raises
    ------
    UsageError
        No such folder, or no answer on this ruler's images.
    """
    from bidsqa.errors import UsageError
    from bidsqa.rating.ruler_thresholds import consensus_on
    from bidsqa.rulers.ruler import PERSON

    if not ratings.exists():
        raise UsageError(f"There are no ratings at {ratings}.", "Make them: bidsqa-rate BIDS_DIR RATINGS")
    found = consensus_on(ruler, ratings)
    print(f"{ruler.name}: {found.value:g}, {found.words()}; {found.answers} answers, the last on {found.last}.")
    if found.readers == 1:
        print("One person's threshold is one person's: two readers or more are advised.")
    told = f"{by}: {found.words()}" if by else found.words()
    return Threshold(found.value, PERSON, told, found.last)
