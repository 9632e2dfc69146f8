# SPDX-License-Identifier: Apache-2.0
"""Which images, or records of images, a selection asks for, and what in it fits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bidsqa.bids.folders import Found
from bidsqa.bids.names import name_of_record, record_paths
from bidsqa.bids.scan import ENTITIES, EXTENSIONS, INDEX_KEYS, split_name
from bidsqa.bids.selection import ENTITY_KEYS, Selection, Token, suggestion
from bidsqa.errors import UsageError


def choose(images: Sequence[Found], asked: Selection, layout: Any = None) -> tuple[set[str], list[str]]:
    """The images that a selection asks for, by PyBIDS.

    Parameters
    ----------
    images : sequence of Found
    asked : Selection
        Its labels exist (see `check_labels`).
    layout : bids.BIDSLayout, optional
        An index that knows the images; by default one is made in memory.

    Returns
    -------
    paths : set of str
    warnings : list of str
        One sentence for each part of the filter file that fits no image.
    """
    from bidsqa.bids import index

    known = index.index_images(images) if layout is None else layout
    chosen: set[str] = set()
    warnings: list[str] = []
    for suffix in asked.suffixes:
        labels, filters = _labels(asked), asked.filters.get(suffix, {})
        wanted = {**labels, **filters, "suffix": [suffix], "datatype": ["anat"]}
        paths = set(index.query(known, wanted))
        chosen |= paths
        if filters:
            told = {entity: values for entity, values in labels.items() if entity not in filters}
            members = [image for image in images if image.suffix == suffix and _fits_all(image, told)]
            found = any(str(image.path) in paths for image in members)
            warnings += _unmatched(suffix, filters, members, found)
    return chosen, warnings


def choose_records(out: Path, asked: Selection) -> tuple[list[Path], list[str]]:
    """The records of an output folder that a selection asks for.

    Parameters
    ----------
    out : Path
    asked : Selection
        Applied to the names of the records; the filter file's ``extension`` is an image's and not looked at.

    Returns
    -------
    paths : list of Path
        Sorted.
    warnings : list of str
        As `choose` gives them.

    Raises
    ------
    UsageError
        A label that no record has.
    """
    records = []
    for path in record_paths(out):
        with suppress(ValueError):
            entities, suffix, _ = split_name(name_of_record(path))
            if "sub" in entities:
                records.append(Found(path, path.relative_to(out).as_posix(), entities, suffix, EXTENSIONS[0]))
    if not records:
        return [], []
    check_labels(records, asked, "record")
    filters = {
        suffix: {entity: values for entity, values in wanted.items() if entity != "extension"}
        for suffix, wanted in asked.filters.items()
    }
    wanted = set(asked.participants)
    records = [image for image in records if not wanted or image.entities["sub"] in wanted]
    chosen, warnings = choose(records, replace(asked, filters=filters))
    return [image.path for image in records if str(image.path) in chosen], warnings


def check_labels(found: Iterable[Found], asked: Selection, what: str = "anatomical image") -> None:
    """Name the labels that no image has.

    Parameters
    ----------
    found : iterable of Found
    asked : Selection
    what : str
        What an entry of `found` is, in words.

    Raises
    ------
    UsageError
    """
    images = list(found)
    for key, word, labels in (
        ("sub", "participant", asked.participants if what == "record" else ()),
        ("ses", "session", asked.sessions),
        ("run", "run", asked.runs),
        ("task", "task", asked.tasks),
    ):
        known = {image.entities[key] for image in images if key in image.entities} if labels else set()
        comparable = {_comparable(key, label) for label in known}
        for label in labels:
            if _comparable(key, label) not in comparable:
                raise UsageError(f"No {what} has the {word} {label!r}.", suggestion(label, known))


def _labels(asked: Selection) -> dict[str, list[Any]]:
    """The labels of the command line by PyBIDS entity; the filter file has the last word over them."""
    labels = (("ses", asked.sessions), ("run", asked.runs), ("task", asked.tasks))
    return {ENTITIES[key]: list(wanted) for key, wanted in labels if wanted}


def _unmatched(suffix: str, filters: Mapping[str, list[Any]], members: Sequence[Found], found: bool) -> list[str]:
    """Sentences about the filters of one suffix that drop what they can't have meant to drop."""
    if not members:
        return []
    told = []
    for entity, values in filters.items():
        for value in values:
            if not any(_fits(image, entity, value) for image in members):
                known = {label for image in members if (label := _label(image, entity)) is not None}
                shown = f"Query.{value.name}" if isinstance(value, Token) else repr(str(value))
                hint = suggestion("" if isinstance(value, Token) else str(value), known)
                told.append(f"The filter {suffix.lower()}, {entity} {shown}, fits no {suffix} image. {hint}")
    if not told and not found:
        names = ", ".join(filters)
        told.append(f"The filter {suffix.lower()} ({names} together) fits none of the {suffix} images.")
    return told


def _fits_all(image: Found, wanted: Mapping[str, list[Any]]) -> bool:
    return all(any(_fits(image, entity, value) for value in values) for entity, values in wanted.items())


def _fits(image: Found, entity: str, value: Any) -> bool:
    label = _label(image, entity)
    if isinstance(value, Token):
        return {"NONE": label is None, "REQUIRED": label is not None}.get(value.name, True)
    key = ENTITY_KEYS.get(entity, entity)
    return label is not None and _comparable(key, label) == _comparable(key, str(value))


def _label(image: Found, entity: str) -> str | None:
    plain = {"suffix": image.suffix, "extension": image.extension, "datatype": "anat"}
    return plain[entity] if entity in plain else image.entities.get(ENTITY_KEYS[entity])


def _comparable(key: str, label: str) -> str:
    return label.lstrip("0") or "0" if key in INDEX_KEYS and label.isdigit() else label
