# SPDX-License-Identifier: Apache-2.0
"""What is to be rated: from the scans of a dataset to items, each a recipe from which its pictures can be made again.

The content of an item is plain JSON:

- ``path`` (below the dataset), ``subject``, ``suffix``; or ``ruler`` with the name of a folder of images;
- ``unit`` (slice or volume), ``plane`` (or null: the plane of acquisition), ``position`` of the slice as a share of the
  head's extent;
- ``versions``: for each version a list of artifacts ``{"name", "strength", "seed"}``, put on one after the other;
- ``series``: a noise series, ``{"db", "coils", "seed"}``, with ``"over": "bright"`` where the decibels are those of the
  head's bright part, not of all pixels, and, where it shows another scan than the image, ``path``,
  ``subject``, ``suffix`` and ``position`` of its own; or ``{"ruler"}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.errors import UsageError
from bidsqa.rating.pictures import BRIGHT
from bidsqa.rating.planning import Pool
from bidsqa.rating.store import Store
from bidsqa.rating.tasks import RULER_VERSIONS, SERIES_VERSIONS, TASKS, Task, diagnostic

if TYPE_CHECKING:
    from bidsqa.bids import Scan

UNITS = ("slice", "volume")
ARTIFACTS = ("coil_noise", "motion", "blur", "ghosting", "undersampling")
# signal-to-noise of the noisy versions; the last version is the image as acquired
SERIES_DB = (18.0, 22.0, 26.0, 30.0)
RULER_DB = (12.0, 15.0, 18.0, 21.0, 24.0, 27.0, 30.0)
COILS = 8
SERIES_SEED_MOST = 2**31
WORST = ("coil_noise", "blur")
# of the items to warm up with: very bad, good, between; repeated where more are wanted
PRACTICE_STRENGTHS = (1.0, 0.05, 0.4)
# what a catch trial must be answered with, where more than one answer is right the words are parted by a bar
EXPECTED = {"diagnostic": "0", "likert": "1|2"}
WITH_CATCH = ("pairwise", "diagnostic", "likert")


@dataclass(frozen=True)
class Settings:
    """How a rating is set up; all of it is kept in the store.

    Parameters
    ----------
    tasks : tuple of str
        Keys of ``TASKS``.
    unit : str
        Of `UNITS`.
    plane : str or None
        ``"sagittal"``, ``"coronal"``, ``"axial"``, or None for the plane of acquisition.
    per_scan : int
        Slices (or stacks) taken from each scan.
    versions : int
        Degraded versions of each source of pairs.
    artifacts : tuple of str
        What versions are degraded with, keys of ``bidsqa.simulation.ARTIFACTS``.
    degraded : float
        Share of the single images (diagnostic, likert) that are degraded, 0-1.
    classes : int
        2 or 3 diagnostic classes.
    reference : bool
        Show the clean image beside a pair.
    practice : int
        Items at the beginning that don't count.
    goal : int or None
        Items a reader shall rate in each task; the task's minimum, or as many as there are, if None.
    seed : int
    """

    tasks: tuple[str, ...] = ("pairwise",)
    unit: str = "slice"
    plane: str | None = None
    per_scan: int = 1
    versions: int = 6
    artifacts: tuple[str, ...] = ARTIFACTS
    degraded: float = 0.0
    classes: int = 3
    reference: bool = False
    practice: int = 3
    goal: int | None = None
    seed: int = 0

    def task(self, name: str) -> Task:
        """The task of that name, with the number of classes that was asked for."""
        return diagnostic(self.classes) if name == "diagnostic" else TASKS[name]


Content = dict[str, Any]


Rulers = Mapping[str, str]
NO_RULERS: Rulers = {}
Nearest = Mapping[str, Sequence[str]]
NO_NEAREST: Nearest = {}


@dataclass(frozen=True)
class Plan:
    """What a task will ask: the recipes of its items, by what they are for."""

    main: tuple[Content, ...]
    practice: tuple[Content, ...]
    catch: tuple[Content, ...]


def make_pool(
    store: Store,
    task: str,
    scans: Sequence[Scan],
    settings: Settings,
    rulers: Rulers = NO_RULERS,
    nearest: Nearest = NO_NEAREST,
) -> Pool:
    """The items of a task, made where the store doesn't have them; the arguments are those of :func:`plan_items`."""
    return stored_pool(store, task, plan_items(task, scans, settings, rulers, nearest), settings)


def stored_pool(store: Store, task: str, plan: Plan, settings: Settings) -> Pool:
    """The items of a plan, made where the store doesn't have them."""
    items = [tuple(store.add_items(task, contents)) for contents in (plan.main, plan.practice, plan.catch)]
    return Pool(items[0], items[1], items[2], _goal(task, plan.main, settings))


def plan_items(
    task: str, scans: Sequence[Scan], settings: Settings, rulers: Rulers = NO_RULERS, nearest: Nearest = NO_NEAREST
) -> Plan:
    """What a task will ask; nothing is written.

    Parameters
    ----------
    task : str
    scans : sequence of Scan
    settings : Settings
    rulers : mapping of str to str
        Suffix of each ruler by its name, empty where not known; where there are none, rulers are made of the scans.
    nearest : mapping of str to sequence of str
        Names of the rulers that a scan may be read against, by the scan's path in the dataset; for scans that aren't
        in it, the rulers of its suffix.

    Raises
    ------
    UsageError
        Nothing to be shown.
    """
    if not scans and not (rulers and task == "ruler_threshold"):
        raise UsageError("There is no structural scan to be rated.", "T1w, T2w, FLAIR and PDw images are looked for.")
    sources = [source for scan in scans for source in _sources(scan, settings)]

    def contents(wanted: Sequence[Content]) -> Iterable[Content]:
        if task != "ruler_score" or not rulers:
            return _CONTENTS[task](wanted, settings, rulers)
        each = ((one, _at_hand(one, rulers, nearest)) for one in wanted)
        return (item for one, own in each if own for item in _CONTENTS[task]([one], settings, own))

    main = list(contents(sources))
    if not main:
        raise UsageError(
            "None of the rulers is of a kind of image that is to be rated.",
            "Give others with --rulers DIR, or make them of the scans: --rulers-from-scans",
        )
    shown = {content["path"] for content in main if "path" in content}
    sources = [source for source in sources if not shown or source["path"] in shown]
    practice = [
        _spoilt(task, source, settings, "practice", PRACTICE_STRENGTHS[number % len(PRACTICE_STRENGTHS)])
        if task in WITH_CATCH
        else {**next(iter(contents([source]))), "purpose": "practice"}
        for number, source in enumerate(sources[: settings.practice])
    ]
    catch = [_catch(task, source, settings) for source in sources[:20]] if task in WITH_CATCH else []
    return Plan(tuple(main), tuple(practice), tuple(catch))


def _at_hand(source: Content, rulers: Rulers, nearest: Nearest) -> Rulers:
    """The rulers that an image of a scan may be shown with."""
    fitting = nearest.get(source["path"], tuple(rulers))
    return {name: rulers[name] for name in fitting if rulers[name] in ("", source["suffix"])}


def _goal(task: str, main: Sequence[Content], settings: Settings) -> int:
    if task == "pairwise":
        there = sum(len(list(combinations(content["versions"], 2))) for content in main)
    else:
        there = len(main)
    # single images are few: all of them; pairs soon tell nothing new
    wanted = settings.goal or (settings.task(task).minimum if task == "pairwise" else there)
    return min(wanted, there)


def _sources(scan: Scan, settings: Settings) -> Iterable[Content]:
    """The places of a scan that are shown; the middle half of the head, one in each equal part of it."""
    chance = _chance(settings, "place", scan.relative_path)
    for number in range(settings.per_scan):
        place = 0.25 + 0.5 * (number + chance.uniform(0.2, 0.8)) / settings.per_scan
        yield {
            "path": scan.relative_path,
            "subject": scan.subject,
            "suffix": scan.suffix,
            "unit": settings.unit,
            "plane": settings.plane,
            "position": round(float(place), 4),
        }


def _chance(settings: Settings, *words: Any) -> np.random.Generator:
    """A source of chance of its own for each thing, so that scans that come later change nothing of the others."""
    text = "\0".join(map(str, (settings.seed, *words)))
    return np.random.default_rng(list(text.encode("utf-8")))


def _seed(chance: np.random.Generator) -> int:
    return int(chance.integers(SERIES_SEED_MOST - 1))


def _recipe(chance: np.random.Generator, settings: Settings) -> list[Content]:
    """One or two artifacts of different kinds and any strength."""
    count = min(1 + int(chance.random() < 0.4), len(settings.artifacts))
    names = chance.choice(np.array(settings.artifacts), size=count, replace=False)
    return [
        {"name": str(name), "strength": round(float(chance.uniform(0.05, 0.6)), 3), "seed": _seed(chance)}
        for name in names
    ]


def _pairwise(sources: Sequence[Content], settings: Settings, rulers: Rulers) -> Iterable[Content]:
    for source in sources:
        chance = _chance(settings, "pairwise", source["path"], source["position"])
        yield {**source, "versions": [_recipe(chance, settings) for _ in range(settings.versions)]}


def _single(task: str) -> Any:
    def contents(sources: Sequence[Content], settings: Settings, rulers: Rulers) -> Iterable[Content]:
        for source in sources:
            chance = _chance(settings, task, source["path"], source["position"])
            spoilt = chance.random() < settings.degraded
            classes = {"classes": settings.classes} if task == "diagnostic" else {}
            yield {**source, **classes, "versions": [_recipe(chance, settings) if spoilt else []]}

    return contents


def _noise_series(chance: np.random.Generator, steps: Sequence[float]) -> Content:
    return {"db": list(steps), "coils": COILS, "seed": _seed(chance)}


def _min_acceptable(sources: Sequence[Content], settings: Settings, rulers: Rulers) -> Iterable[Content]:
    assert len(SERIES_DB) + 1 == SERIES_VERSIONS
    for source in sources:
        chance = _chance(settings, "min_acceptable", source["path"], source["position"])
        yield {**source, "versions": [[]], "series": {**_noise_series(chance, SERIES_DB), "over": BRIGHT}}


def _own_ruler(source: Content, settings: Settings) -> Content:
    assert len(RULER_DB) + 1 == RULER_VERSIONS
    return _noise_series(_chance(settings, "ruler", source["path"], source["position"]), RULER_DB)


def _ruler_threshold(sources: Sequence[Content], settings: Settings, rulers: Rulers) -> Iterable[Content]:
    if rulers:
        yield from ({"series": {"ruler": name}, "versions": [[]], "unit": "slice"} for name in rulers)
        return
    seen = set()
    for source in sources:  # one ruler a contrast and participant is enough to set a threshold
        if (source["suffix"], source["subject"]) not in seen:
            seen.add((source["suffix"], source["subject"]))
            yield {**source, "unit": "slice", "versions": [[]], "series": _own_ruler(source, settings)}


def _ruler_score(sources: Sequence[Content], settings: Settings, rulers: Rulers) -> Iterable[Content]:
    for source in sources:
        chance = _chance(settings, "ruler_score", source["path"], source["position"])
        strength = round(float(chance.uniform(0.02, 0.6)), 3)
        recipe = [{"name": "coil_noise", "strength": strength, "seed": _seed(chance)}]
        if rulers:
            series: Content = {"ruler": str(chance.choice(np.array(list(rulers))))}
        else:
            others = [other for other in sources if other["suffix"] == source["suffix"]]
            strangers = [other for other in others if other["subject"] != source["subject"]] or others
            other = strangers[int(chance.integers(len(strangers)))]
            place = {key: other[key] for key in ("path", "subject", "suffix", "position")}
            series = {**place, **_own_ruler(other, settings)}
        yield {**source, "unit": "slice", "versions": [recipe], "series": series}


_CONTENTS: Mapping[str, Any] = {
    "pairwise": _pairwise,
    "min_acceptable": _min_acceptable,
    "ruler_threshold": _ruler_threshold,
    "ruler_score": _ruler_score,
    "diagnostic": _single("diagnostic"),
    "likert": _single("likert"),
}


def _catch(task: str, source: Content, settings: Settings) -> Content:
    """An item so bad that everybody sees it, with the answer that is expected."""
    content = _spoilt(task, source, settings, "catch", 1.0)
    return {**content, "expected": EXPECTED[task]} if task in EXPECTED else content


def _spoilt(task: str, source: Content, settings: Settings, purpose: str, strength: float) -> Content:
    chance = _chance(settings, purpose, task, source["path"], source["position"])
    recipe = [{"name": name, "strength": strength, "seed": _seed(chance)} for name in WORST]
    content = {**source, "purpose": purpose, "versions": [recipe]}
    return {**content, "classes": settings.classes} if task == "diagnostic" else content
