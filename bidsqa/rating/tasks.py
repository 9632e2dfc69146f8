# SPDX-License-Identifier: Apache-2.0
"""The tasks of the rating app: what is shown, what may be answered, and what an answer means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bidsqa.report.rating_form import ARTIFACTS, CONFIDENCE

LONGEST_COMMENT = 4000
LONGEST_NAME = 100
SKIP = "skip"
SERIES_VERSIONS = 5
RULER_VERSIONS = 8
# keys of the app that no artifact may take
RESERVED_KEYS = "szuck?"
LEVELS_OF_CONFIDENCE = CONFIDENCE


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Parameters
    ----------
    name, title : str
        Key and words for people.
    question : str
        What the reader is asked.
    values : tuple of str
        Answers as they are stored, in order.
    levels : mapping
        Value to what it means, for the data dictionary and the buttons.
    measure : str
        Level of measurement: ``"nominal"``, ``"ordinal"`` or ``"interval"``.
    slots : tuple of str
        Pictures on the screen: ``"left"``, ``"right"``, ``"image"``, ``"series"``.
    advice : str
        Shown once before the first item.
    minimum : int
        Items that make the ratings worth learning from; the default goal of a reader.
    """

    name: str
    title: str
    question: str
    values: tuple[str, ...]
    levels: Mapping[str, str]
    measure: str
    slots: tuple[str, ...]
    advice: str
    minimum: int


PAIRWISE = Task(
    name="pairwise",
    title="Compare two images",
    question="Which of the two images is better?",
    values=("left", "similar", "right"),
    levels={
        "left": "the left image is better",
        "similar": "they are about equally good",
        "right": "the right image is better",
    },
    measure="nominal",
    slots=("left", "right"),
    advice="Both show the same slice, damaged in different ways. Choose the one that you would rather read from.",
    minimum=400,
)
MIN_ACCEPTABLE = Task(
    name="min_acceptable",
    title="Worst version still acceptable",
    question="Which is the noisiest version that is still acceptable?",
    values=tuple(str(value) for value in range(SERIES_VERSIONS + 2)),
    levels={
        "0": "even worse than version 1 would do",
        **{str(value): f"version {value}" for value in range(1, SERIES_VERSIONS + 1)},
        str(SERIES_VERSIONS + 1): "none will do",
    },
    measure="ordinal",
    slots=("series",),
    advice="Version 1 is the noisiest, version 5 the image as it was acquired. All have the same grey scale.",
    minimum=100,
)
RULER_THRESHOLD = Task(
    name="ruler_threshold",
    title="Threshold of a ruler",
    question="From which point of this ruler on is an image acceptable?",
    values=tuple(f"{0.5 * value:g}" for value in range(2 * RULER_VERSIONS - 1)),
    levels={
        f"{0.5 * value:g}": f"image {value // 2} and better"
        if value % 2 == 0
        else f"between {value // 2} and {value // 2 + 1}"
        for value in range(2 * RULER_VERSIONS - 1)
    },
    measure="interval",
    slots=("series",),
    advice="A ruler is one slice in eight qualities, 0 the worst, 7 the original. Half steps lie between two images.",
    minimum=9,
)
RULER_SCORE = Task(
    name="ruler_score",
    title="Place on a ruler",
    question="Which image of the ruler has the same quality as this image, and is this image acceptable?",
    values=tuple(str(value) for value in range(RULER_VERSIONS)),
    levels={str(value): f"as good as image {value} of the ruler" for value in range(RULER_VERSIONS)},
    measure="interval",
    slots=("image", "series"),
    advice="Judge noise and sharpness, not the anatomy: the ruler may show another head.",
    minimum=150,
)
LIKERT = Task(
    name="likert",
    title="Quality 1 to 5",
    question="How good is this image?",
    values=("1", "2", "3", "4", "5"),
    levels={
        "1": "unusable",
        "2": "poor: much is lost",
        "3": "fair: usable with care",
        "4": "good: small faults",
        "5": "excellent",
    },
    measure="ordinal",
    slots=("image",),
    advice="Mark the artifacts that you see first, then give the number.",
    minimum=100,
)


def diagnostic(classes: int) -> Task:
    """The task of diagnostic classes with 2 or 3 of them."""
    three = {
        "0": "non-diagnostic: repeat it",
        "1": "diagnostic",
        "2": "excellent",
    }
    levels = three if classes == 3 else {"0": three["0"], "1": three["1"]}
    return Task(
        name="diagnostic",
        title="Diagnostic quality",
        question="Could you answer the clinical question with this image?",
        values=tuple(levels),
        levels=levels,
        measure="ordinal",
        slots=("image",),
        advice="Judge the whole image, or all slices of a stack. Small faults that hide nothing are diagnostic.",
        minimum=300,
    )


TASKS: dict[str, Task] = {
    task.name: task for task in (PAIRWISE, MIN_ACCEPTABLE, RULER_THRESHOLD, RULER_SCORE, diagnostic(3), LIKERT)
}


def readers_name(told: Any) -> str:
    """A reader's name without needless blanks.

    Raises
    ------
    ValueError
        It is no name, in words.
    """
    name = " ".join(told.split()) if isinstance(told, str) else ""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"Give 1 to {LONGEST_NAME} letters.")
    return name


@dataclass(frozen=True)
class ArtifactChoice:
    """An entry of the artifact list: its name in the file, the words, and the key that marks it."""

    name: str
    words: str
    key: str


def artifact_choices(words: Mapping[str, str] | None = None) -> tuple[ArtifactChoice, ...]:
    """The artifact list with a key each; that of the scan's page where none is given.

    Parameters
    ----------
    words : mapping of str to str, optional
        Name to words, in order.

    Returns
    -------
    tuple of ArtifactChoice
        The key is that of the scan's page where it is free, else the first free letter of the words, else any free one;
        empty where letters have run out.
    """
    own = words is not None
    listed = dict(words) if words is not None else {name: title for name, title, _ in ARTIFACTS}
    keys = {} if own else {name: key for name, _, key in ARTIFACTS if key not in RESERVED_KEYS}
    for name, title in listed.items():
        letters = [*(letter for letter in title.lower() if "a" <= letter <= "z"), *"abcdefghijklmnopqrstuvwxyz"]
        taken = {*RESERVED_KEYS, *keys.values()}
        keys.setdefault(name, next((letter for letter in letters if letter not in taken), ""))
    return tuple(ArtifactChoice(name, title, keys[name]) for name, title in listed.items())


@dataclass(frozen=True)
class Given:
    """An answer as it came from the browser, checked.

    Parameters
    ----------
    value : str
        One of the task's values or ``"skip"``.
    acceptable : bool or None
        Only for places on a ruler.
    artifacts : tuple of str
        Names of what was marked.
    rt_ms : float or None
        Time from the last picture being on the screen to the answer, milliseconds.
    idle : bool
        The reader was away: a minute without any input, or another window in front.
    confidence : int or None
        0 to 4.
    comment : str
    view : tuple of dict
        What was done to the pictures: ``{"ms": 1200, "what": "zoom", "value": 2}``.
    nonce : str
        Made by the browser for this answer, so that sending it twice stores it once.
    supersedes : int or None
        The answer that the reader was correcting.
    """

    value: str
    nonce: str
    acceptable: bool | None = None
    artifacts: tuple[str, ...] = ()
    rt_ms: float | None = None
    idle: bool = False
    confidence: int | None = None
    comment: str = ""
    view: tuple[dict[str, Any], ...] = ()
    supersedes: int | None = None


MOST_VIEW_EVENTS = 500


def check_answer(task: Task, given: Mapping[str, Any], artifacts: tuple[str, ...]) -> Given:
    """Check what a browser sent.

    Raises
    ------
    ValueError
        In words; nothing is stored then.
    """
    value = given.get("value")
    if value != SKIP and value not in task.values:
        raise ValueError(f"{value!r} is no answer of {task.name}")
    nonce = given.get("nonce")
    if not isinstance(nonce, str) or not 8 <= len(nonce) <= 64:
        raise ValueError("the answer has no number of its own")
    acceptable = given.get("acceptable")
    if acceptable is not None and not isinstance(acceptable, bool):
        raise ValueError("'acceptable' is neither yes nor no")
    if task.name == "ruler_score" and value != SKIP and acceptable is None:
        raise ValueError("say whether the image is acceptable")
    marked = given.get("artifacts") or []
    if not isinstance(marked, list) or not all(name in artifacts for name in marked):
        raise ValueError("an artifact is none of the list")
    confidence = given.get("confidence")
    if confidence is not None and (type(confidence) is not int or not 0 <= confidence < len(LEVELS_OF_CONFIDENCE)):
        raise ValueError("the confidence is none of 0 to 4")
    comment = given.get("comment") or ""
    if not isinstance(comment, str) or len(comment) > LONGEST_COMMENT:
        raise ValueError(f"the comment is longer than {LONGEST_COMMENT} letters")
    supersedes = given.get("supersedes")
    if supersedes is not None and type(supersedes) is not int:
        raise ValueError("the corrected answer is no number")
    return Given(
        value=str(value),
        nonce=nonce,
        acceptable=acceptable if task.name == "ruler_score" else None,
        artifacts=tuple(dict.fromkeys(marked)) if task.name == "likert" else (),
        rt_ms=_time(given.get("rt_ms")),
        idle=given.get("idle") is True,
        confidence=confidence,
        # a browser may cut a letter of two halves in the middle; no file takes the half
        comment=comment.encode("utf-8", "replace").decode("utf-8"),
        view=_events(given.get("view")),
        supersedes=supersedes,
    )


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:  # JSON's whole numbers have any length
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _events(given: Any) -> tuple[dict[str, Any], ...]:
    """Zooms and slices looked at; what is odd is left out, since a log must not cost an answer."""
    if not isinstance(given, list):
        return ()
    kept = []
    for event in given[:MOST_VIEW_EVENTS]:
        if isinstance(event, dict) and event.get("what") in ("zoom", "slice") and _time(event.get("ms")) is not None:
            value = _time(event.get("value"))
            if value is not None:
                kept.append({"ms": round(float(event["ms"])), "what": event["what"], "value": value})
    return tuple(kept)
