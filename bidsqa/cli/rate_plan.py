# SPDX-License-Identifier: Apache-2.0
"""What ``bidsqa-rate`` will ask, found before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bidsqa.cli.rate_options import RULER_TASKS
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.bids import Scan
    from bidsqa.rating.items import Plan, Settings
    from bidsqa.rating.ruler_images import RulerImages


def check_ruler_options(tasks: Sequence[str], options: dict[str, Any]) -> None:
    """What is said of rulers is of use.

    Raises
    ------
    UsageError
        Both ways to get rulers, or one of them where no task shows a ruler.
    """
    given = [name for name in ("--rulers", "--rulers-from-scans") if options[name[2:].replace("-", "_")]]
    if len(given) > 1:
        raise UsageError("--rulers and --rulers-from-scans can't both tell the rulers.", "Give one of them.")
    if given and not set(tasks) & set(RULER_TASKS):
        raise UsageError(
            f"{given[0]} would do nothing: no task shows a ruler.",
            f"Ask for one: --tasks {' '.join([*(options['tasks'] or ()), RULER_TASKS[0]])}",
        )


def plan_rating(
    scans: Sequence[Scan], settings: Settings, options: dict[str, Any]
) -> tuple[RulerImages | None, dict[str, Plan]]:
    """The rulers that tasks show, and what each task will ask; nothing is written.

    Raises
    ------
    UsageError, InputError
        There is nothing to be shown, or a ruler can't be used.
    """
    from bidsqa.rating.items import plan_items
    from bidsqa.rating.ruler_images import RulerImages

    if not set(settings.tasks) & set(RULER_TASKS) or options["rulers_from_scans"]:
        return None, {task: plan_items(task, scans, settings) for task in settings.tasks}
    rulers = RulerImages(options["rulers"], {scan.suffix for scan in scans})
    read = "ruler_score" in settings.tasks
    nearest = {scan.relative_path: rulers.nearest(scan) for scan in scans} if read else {}
    return rulers, {task: plan_items(task, scans, settings, rulers.suffixes, nearest) for task in settings.tasks}
