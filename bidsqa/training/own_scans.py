# SPDX-License-Identifier: Apache-2.0
"""The scans of a user's own BIDS dataset as a pool to train on: sites, a split by subject and site, reading."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bidsqa.bids import Scan
from bidsqa.bids.participants import read_participants
from bidsqa.bids.selection import suggestion
from bidsqa.errors import InputError, UsageError
from bidsqa.group.participants import NO_COLUMN, site_column
from bidsqa.image import load_volume
from bidsqa.training.pool import DIGEST, Clean

MINIMUM_SUBJECTS = 4
WATCH_SHARE = 0.2
ONE_SITE = "all"
NO_SITE = "none"
FAIR_SHARE = 1 / 3
SIDES = {"train": "trained on", "watch": "watched", "test": "held out"}


@dataclass(frozen=True)
class Split:
    """Who is trained on, watched and held out; all scans of a subject stay together.

    Parameters
    ----------
    sides : Mapping of str
        ``train``, ``watch`` or ``test`` by subject.
    sites : Mapping of str
        Site by subject.
    held_out : str
        The site whose subjects are held out; empty for none.
    """

    sides: Mapping[str, str]
    sites: Mapping[str, str]
    held_out: str = ""

    def subjects(self, side: str) -> list[str]:
        """The subjects of a side, sorted."""
        return sorted(subject for subject, own in self.sides.items() if own == side)


@dataclass
class Reading:
    """What became of the scans that were to be read.

    Parameters
    ----------
    read : dict of str
        Side by scan.
    skipped : dict of str
        Reason by scan.
    digests : dict of str
        SHA-256 of the image data by scan.
    """

    read: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def learned(self) -> str:
        """Beginnings of the image data's checksums of the scans trained on or watched, for the weights' metadata."""
        own = {digest[:DIGEST] for name, digest in self.digests.items() if self.read.get(name) in ("train", "watch")}
        return " ".join(sorted(own))


def read_sites(root: Path, column: str | None = None) -> dict[str, str]:
    """Site by subject from ``participants.tsv``, read as the group level reads it.

    Parameters
    ----------
    root : Path
        The dataset.
    column : str, optional
        Where the site stands, or ``none``; if not given ``site`` or the like, which may be missing.

    Returns
    -------
    dict
        Subjects without a site are absent; empty where there is no such table or column.

    Raises
    ------
    UsageError
        The column that is asked for isn't there.
    """
    people = read_participants(root)
    if column not in (None, NO_COLUMN) and not people.columns:
        why = people.problems[0].rstrip(".") if people.problems else "there is none"
        raise UsageError(f"--site-column {column}: participants.tsv can't be read ({why}).", "Leave it away.")
    key = site_column(people, column)
    return {subject: row[key] for subject, row in people.rows.items() if row.get(key)}


def split_subjects(subjects: Sequence[str], sites: Mapping[str, str], seed: int, held_out: str | None = None) -> Split:
    """Split by subject, and hold out a whole site where there are several.

    A fifth of the subjects that are left is watched: the training sees them, but doesn't learn from them. Who that is
    follows from the seed and the label alone, site by site in turn.

    Parameters
    ----------
    subjects : sequence of str
        Labels without ``sub-``.
    sites : Mapping of str
        Site by subject; may lack some.
    seed : int
    held_out : str, optional
        The site to hold out, or ``none``. If not given: the largest site of at most a third of the subjects, or the
        smallest where all are larger; none where fewer than four subjects would be left.

    Raises
    ------
    UsageError
        Too few subjects; no such site.
    """
    known = sorted(set(subjects))
    named = {subject: sites.get(subject, "") or ONE_SITE for subject in known}
    site = _site_to_hold_out(named, sites, held_out)
    own = [subject for subject in known if named[subject] != site]
    if len(own) < MINIMUM_SUBJECTS:
        without = f" beside the site {site!r}" if site else ""
        raise UsageError(
            f"Training needs scans of at least {MINIMUM_SUBJECTS} subjects{without}; there are {len(own)}.",
            "Hold out another site, or none: --hold-out-site none" if site else "Add subjects to the dataset.",
        )
    watched = set(_watched(own, named, seed))
    sides = {
        subject: "test" if named[subject] == site else "watch" if subject in watched else "train" for subject in known
    }
    return Split(sides, named, site)


def _site_to_hold_out(named: Mapping[str, str], sites: Mapping[str, str], asked: str | None) -> str:
    counts = Counter(named.values())
    real = sorted({site for subject, site in named.items() if sites.get(subject)})
    if asked == NO_SITE:
        return ""
    if asked is not None:
        if not real:
            raise UsageError(
                f"--hold-out-site {asked}: the dataset names no sites.",
                "It takes them from the column site (or the like) of participants.tsv; --site-column names another.",
            )
        if asked not in real:
            raise UsageError(f"No subject is of the site {asked!r}.", suggestion(asked, real))
        return asked
    total = sum(counts.values())
    fit = [site for site in real if len(counts) > 1 and total - counts[site] >= MINIMUM_SUBJECTS]
    fair = [site for site in fit if counts[site] <= FAIR_SHARE * total]
    if fair:
        return min(fair, key=lambda site: (-counts[site], site))
    return min(fit, key=lambda site: (counts[site], site), default="")


def _watched(own: Sequence[str], named: Mapping[str, str], seed: int) -> list[str]:
    """A fifth of the subjects, at least one, drawn from the sites in turn."""
    queues: dict[str, list[str]] = {}
    for subject in sorted(own, key=lambda subject: _place(subject, seed)):
        queues.setdefault(named[subject], []).append(subject)
    order = sorted(queues, key=lambda site: (-len(queues[site]), site))
    turns = [subject for turn in range(len(own)) for site in order for subject in queues[site][turn : turn + 1]]
    return turns[: max(1, round(WATCH_SHARE * len(own)))]


def _place(label: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{label}".encode()).hexdigest()


def fingerprint(scans: Sequence[Scan]) -> str:
    """What tells this set of scans from another: names and sizes."""
    digest = hashlib.sha256()
    for scan in sorted(scans, key=lambda scan: scan.relative_path):
        try:
            size = scan.path.stat().st_size
        except OSError:
            size = -1
        digest.update(f"{scan.relative_path}\t{size}\n".encode())
    return digest.hexdigest()


def of_side(scans: Sequence[Scan], split: Split, side: str) -> list[Scan]:
    """The scans of a side."""
    return [scan for scan in scans if split.sides[scan.subject] == side]


def read_clean(
    scans: Sequence[Scan], split: Split, reading: Reading, progress: Callable[[int, int, str], None]
) -> Iterator[Clean]:
    """Read scans one at a time; those that can't be read are noted and passed over.

    Parameters
    ----------
    scans : sequence of Scan
    split : Split
    reading : Reading
        Takes the notes.
    progress : callable
        Told number, total and name before each scan.
    """
    for number, scan in enumerate(scans, start=1):
        progress(number, len(scans), scan.bids_name)
        side = split.sides[scan.subject]
        try:
            volume = load_volume(scan.path)
        except InputError as error:
            reading.skipped[scan.bids_name] = str(error)
            continue
        reading.read[scan.bids_name] = side
        reading.digests[scan.bids_name] = volume.facts.sha256
        # a prefix, since some names of sites stand for other sources of images
        site = f"site-{split.sites[scan.subject]}"
        yield Clean(scan.bids_name, scan.subject, site, scan.suffix, side, volume)


def evenly(scans: Sequence[Scan], most: int) -> list[Scan]:
    """At most so many scans, spread evenly."""
    if len(scans) <= most:
        return list(scans)
    return [scans[int((place + 0.5) * len(scans) / most)] for place in range(most)]
