# SPDX-License-Identifier: Apache-2.0
"""A site's own rulers are looked at before the first scan: what is wrong with one concerns the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bidsqa.errors import InputError, UsageError
from bidsqa.settings import RULER_MODEL


def check_rulers(shelf: Path | None, models: Sequence[str], weights: Sequence[tuple[str, str]]) -> None:
    """The folder of rulers can be read, and the network orders the versions of each.

    Parameters
    ----------
    shelf : path or None
        The site's own rulers.
    models : sequence of str
        Those of the run; rulers serve ``noise_motion`` alone.
    weights : sequence of (str, str)
        The user's own, by model.

    Raises
    ------
    UsageError
        One can't be used, or nothing would use them.
    """
    if shelf is None:
        return
    if RULER_MODEL not in models:
        raise UsageError(
            f"--rulers {shelf} would do nothing: the score {RULER_MODEL} reads them, and it isn't asked for.",
            f"Ask for it: --models {' '.join([*models, RULER_MODEL])}",
        )
    from bidsqa import models as networks
    from bidsqa.rulers import own_rulers, ruler_levels

    try:
        rulers = own_rulers(shelf)
        own = dict(weights).get(RULER_MODEL)
        scorer = networks.load(RULER_MODEL, weights=Path(own) if own else None)
        for ruler in rulers:
            ruler_levels(scorer, ruler)  # type: ignore[arg-type]
    except InputError as error:
        raise UsageError(error.cause, error.hint) from error
