# SPDX-License-Identifier: Apache-2.0
"""From a site's answers to "which is better?" to pairs that the ranking networks learn from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.errors import InputError, UsageError
from bidsqa.models.ssim_inputs import CEILING, PIXEL_MM, WINDOW
from bidsqa.models.windows import resampling_matrix
from bidsqa.rating import read_items, read_ratings
from bidsqa.rating.pictures import CLEAN, Gallery
from bidsqa.simulation.visible_damage import damage_batch
from bidsqa.training.ranking_pairs import CLASSES, FIRST_BETTER, SECOND_BETTER, SIMILAR, RankedPairs
from bidsqa.training.rated_model import check_unchanged

Array = np.ndarray[Any, Any]
JUDGEMENTS = {"second": SECOND_BETTER, "similar": SIMILAR, "first": FIRST_BETTER}
HEAD_SHARE = 0.1


def count_votes(table: Any) -> dict[str, Array]:
    """Votes (3,) by rated pair (``<item>:<first version>:<second version>``), skipped answers left out.

    Parameters
    ----------
    table : DataFrame
        Of :func:`bidsqa.rating.read_ratings` for the task ``pairwise``.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for rated, judgement in zip(table["rated"], table["judgement"], strict=True):
        if judgement in JUDGEMENTS:
            counts[str(rated)][str(judgement)] += 1
    found = {}
    for rated, told in counts.items():
        votes = np.zeros(CLASSES, dtype=np.float32)
        for judgement, number in told.items():
            votes[JUDGEMENTS[judgement]] = number
        found[rated] = votes
    return found


def windows_of(clean: Array, others: tuple[Array, ...], edges: tuple[float, float]) -> tuple[Array, tuple[Array, ...]]:
    """Pictures of one slice at 1 mm in windows around the clean one's head, on the clean head's scale.

    Parameters
    ----------
    clean : ndarray, shape (rows, columns)
    others : tuple of ndarray
        Of the same shape.
    edges : tuple of float
        Pixel edges in mm, rows and columns.

    Returns
    -------
    clean : ndarray of float32, shape (224, 224)
    others : tuple of ndarray, the same
    """
    head = clean > HEAD_SHARE * np.percentile(clean, 99)
    matrices = []
    for axis in (0, 1):
        touched = np.flatnonzero(head.any(axis=1 - axis))
        middle = 0.5 * (touched[0] + touched[-1]) if touched.size else (clean.shape[axis] - 1) / 2
        matrices.append(resampling_matrix(clean.shape[axis], edges[axis], float(middle), WINDOW, PIXEL_MM))
    inside = clean[head] if head.any() else clean
    scale = max(float(np.percentile(inside, 99)), 1e-20)
    pictures = [
        np.clip(matrices[0] @ (picture / scale) @ matrices[1].T, 0, CEILING).astype(np.float32)
        for picture in (clean, *others)
    ]
    return pictures[0], tuple(pictures[1:])


def rated_pairs(
    ratings: Path, root: Path, skipped: Callable[[str, str], None], reading: Callable[[int, int, str], None]
) -> RankedPairs:
    """All rated pairs with their votes.

    Parameters
    ----------
    ratings : Path
        RATINGS of ``bidsqa-rate``.
    root : Path
        The dataset that was rated.
    skipped : callable
        Told scan and reason of what can't be read any more.
    reading : callable
        Told number, total and name before each item.

    Raises
    ------
    UsageError
        No usable answer.
    """
    table = read_ratings(ratings, "pairwise")
    votes, items = count_votes(table), read_items(ratings)
    by_item: dict[str, list[str]] = defaultdict(list)
    for rated in votes:
        by_item[rated.rsplit(":", 2)[0]].append(rated)
    gallery = Gallery(root)
    rows: list[tuple[Any, ...]] = []
    for number, (code, own) in enumerate(sorted(by_item.items()), start=1):
        reading(number, len(by_item), code)
        content = items.get(code)
        if content is None or "path" not in content:
            skipped(code, "the items file doesn't tell how its pictures were made")
            continue
        try:
            rows += _item_rows(gallery, content, own, votes)
        except (InputError, OSError, KeyError, IndexError) as error:
            skipped(str(content["path"]), str(error))
    if not rows:
        raise UsageError(
            f"{ratings} holds no answer on pairs that can be used.",
            "Rank pairs first: bidsqa-rate BIDS_DIR RATINGS --tasks pairwise",
        )
    return _together(rows)


def _item_rows(
    gallery: Gallery, content: Mapping[str, Any], rated: list[str], votes: Mapping[str, Array]
) -> list[tuple[Any, ...]]:
    """One row a pair: first, second, reference, votes, subject."""
    about = gallery.look(content)["image"]
    check_unchanged(content, about)
    versions = {name: tuple(int(part) for part in name.rsplit(":", 2)[1:]) for name in rated}
    middle = len(about["slices"]) // 2
    numbers = sorted({number for pair in versions.values() for number in pair} - {CLEAN})
    clean = gallery.floats(content, CLEAN)[middle]
    others = tuple(gallery.floats(content, number)[middle] for number in numbers)
    reference, windows = windows_of(clean, others, tuple(about["edges"]))
    pictures = {CLEAN: reference, **dict(zip(numbers, windows, strict=True))}
    subject = str(content.get("subject") or content["path"])
    return [
        (pictures[first], pictures[second], reference, votes[name], subject)
        for name, (first, second) in versions.items()
    ]


def _together(rows: list[tuple[Any, ...]]) -> RankedPairs:
    first, second, reference = (torch.from_numpy(np.stack([row[place] for row in rows]))[:, None] for place in range(3))
    head = reference > HEAD_SHARE
    ssim = torch.stack([damage_batch(reference, image, head)["ssim_head"] for image in (first, second)], dim=1)
    return RankedPairs(
        first=first.to(torch.complex64),
        second=second.to(torch.complex64),
        reference=reference.to(torch.complex64),
        votes=torch.from_numpy(np.stack([row[3] for row in rows])),
        subject=tuple(row[4] for row in rows),
        difference=torch.full((len(rows),), float("nan")),
        ssim=ssim,
    )
