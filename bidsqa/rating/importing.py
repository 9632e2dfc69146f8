# SPDX-License-Identifier: Apache-2.0
"""Take in ratings that were made elsewhere: JSON files of MRIQC's widget and of the form on bidsqa's pages."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsqa.bids.scan import split_name
from bidsqa.rating.imported_tasks import MRIQC, PAGE
from bidsqa.rating.store import AlreadyAnswered, Proposal, Store
from bidsqa.rating.tasks import LONGEST_COMMENT, LONGEST_NAME, Given
from bidsqa.report.rating_form import rating_schema

LARGEST_FILE = 1_000_000
UNKNOWN_READER = "unnamed"


@dataclass
class Imported:
    """What became of the files.

    Parameters
    ----------
    taken, known : int
        Ratings that are new, and that were in the store already.
    refused : dict of str to str
        File name to why it is no rating.
    """

    taken: int = 0
    known: int = 0
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """A rating from a file."""

    task: str
    rater: str
    name: str
    given: Given
    about: dict[str, Any]


def import_ratings(store: Store, files: Sequence[Path], rater: str | None = None) -> Imported:
    """Add the ratings of files; the same file twice counts once.

    Parameters
    ----------
    store : Store
    files : sequence of Path
        JSON files, each of one rating or of a list of them.
    rater : str, optional
        Who rated, where the files don't tell.
    """
    ratings, refused = read_files(files, rater)
    return add_ratings(store, ratings, refused)


def read_files(files: Sequence[Path], rater: str | None = None) -> tuple[list[Outside], dict[str, str]]:
    """The ratings in files, and why a file holds none, by its name."""
    found: list[Outside] = []
    refused: dict[str, str] = {}
    for path in files:
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError("the file is far too large")
            content = json.loads(path.read_text(encoding="utf-8-sig"))
            found += [read_outside(entry, rater) for entry in (content if isinstance(content, list) else [content])]
        except OSError as error:
            refused[path.name] = error.strerror or "it can't be read"
        except (ValueError, RecursionError) as error:
            refused[path.name] = "it is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
    return found, refused


def add_ratings(store: Store, ratings: Sequence[Outside], refused: dict[str, str]) -> Imported:
    """Put ratings into the store, each once."""
    done = Imported(refused=refused)
    for rating in ratings:
        new = _add(store, rating)
        done.taken, done.known = done.taken + new, done.known + (not new)
    return done


def read_outside(content: Any, rater: str | None = None) -> Outside:
    """A rating from the content of a file.

    Raises
    ------
    ValueError
        It is no rating, in words.
    """
    if not isinstance(content, Mapping):
        raise ValueError("it holds no rating")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    if content.get("kind") == rating_schema()["properties"]["kind"]["const"]:
        return _from_page(content, digest[:64], rater)
    if {"rating", "subject"} <= content.keys():
        return _from_mriqc(content, digest[:64], rater)
    raise ValueError("it is neither a rating of MRIQC's widget nor of a bidsqa page")


def _from_page(content: Mapping[str, Any], digest: str, rater: str | None) -> Outside:
    properties = rating_schema()["properties"]
    missing = [key for key in rating_schema()["required"] if key not in content]
    if missing:
        raise ValueError(f"the rating has no {missing[0]}")
    if content["schema_version"] != properties["schema_version"]["const"]:
        raise ValueError("it was saved by another version")
    if content["decision"] not in PAGE.values:
        raise ValueError("its decision is none")
    known = properties["artifacts"]["items"]["enum"]
    marked = content["artifacts"]
    if not isinstance(marked, list) or not all(name in known for name in marked):
        raise ValueError("its artifacts are none")
    given = Given(
        value=content["decision"],
        nonce=digest,
        artifacts=tuple(marked),
        rt_ms=_milliseconds(content["seconds"]),
        confidence=_confidence(content["confidence"]),
        comment=_text(content["comment"], LONGEST_COMMENT),
    )
    about = {"time": _text(content["time"], 40), "shown": content["shown"], "sha256": content["image_sha256"]}
    name = _text(content["bids_name"], 300)
    return Outside(PAGE.name, _text(content["rater"], LONGEST_NAME) or rater or UNKNOWN_READER, name, given, about)


def _from_mriqc(content: Mapping[str, Any], digest: str, rater: str | None) -> Outside:
    value = content["rating"]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("its rating is no number") from None
    if not 1 <= number <= 4:
        raise ValueError("its rating is not between 1 and 4")
    marked = content.get("artifacts") or []
    if not isinstance(marked, list):
        raise ValueError("its artifacts are no list")
    given = Given(
        value=f"{number:g}",
        nonce=digest,
        artifacts=tuple(_text(name, 100) for name in marked),
        rt_ms=_milliseconds(content.get("time_sec")),
        confidence=_confidence(content.get("confidence")),
        comment=_text(content.get("comments") or "", LONGEST_COMMENT),
    )
    about = {"dataset": _text(content.get("dataset") or "", 300)}
    return Outside(MRIQC.name, rater or UNKNOWN_READER, _text(content["subject"], 300), given, about)


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} should be a text")
    return "".join(letter if letter.isprintable() else " " for letter in value)[:longest].strip()


def _milliseconds(seconds: Any) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        return None
    return 1000.0 * seconds


def _confidence(value: Any) -> int | None:
    try:
        number = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= 4 else None


def _add(store: Store, rating: Outside) -> bool:
    """Whether it was new."""
    if store.rows("SELECT id FROM answers WHERE nonce = ?", (rating.given.nonce,)):
        return False
    try:
        subject = split_name(rating.name)[0].get("sub", rating.name)
    except ValueError:
        subject = rating.name.removeprefix("sub-")
    reader = store.reader(rating.rater)
    item = store.add_items(rating.task, [{"path": rating.name, "subject": subject}])[0]
    shown = {"time": rating.about["time"]} if rating.about.get("time") else {}
    proposal, shown = Proposal(item, "imported", "fixed", 0), {**shown, "import": rating.about}
    place = len(store.trials(rating.task, reader.id))
    while not store.issue(reader.id, rating.task, place, proposal, shown):
        place += 1  # another import of this reader's ratings was faster
    trial = next(one for one in store.trials(rating.task, reader.id) if one.position == place)
    try:
        store.answer(trial, rating.given)
    except AlreadyAnswered:  # the same file is being imported by another process
        return False
    return True
