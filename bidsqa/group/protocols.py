# SPDX-License-Identifier: Apache-2.0
"""Protocols of a study: the usual one of each site and suffix, scans that differ from it, and scans that lack."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bidsqa.bids.sidecar import UNITS as SIDECAR_UNITS
from bidsqa.group.rows import Row, table_label
from bidsqa.verdict import ProtocolRule, Rules, load_rules

# labels by which BIDS itself tells protocols of one suffix apart
VARIANT_KEYS = ("acq", "ce", "rec", "echo")
FEW_NAMES = 5
CANDIDATES = 4
SMALLEST_COHORT = 4
MOST = 0.5  # a suffix is expected where more than this share of the visits of one kind have it
VARIES = "varies"
UNITS = {**SIDECAR_UNITS, "VoxelSize": "mm"}
_AXES = str.maketrans("RLAPSI", "xxyyzz")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")

Group = tuple[str, str, str]


@dataclass(frozen=True)
class Usual:
    """The value that most scans of a group have for a key.

    Parameters
    ----------
    value : str
    scans : int
        How many scans have it, within the tolerance.
    known : int
        How many tell a value at all.
    """

    value: str
    scans: int
    known: int


@dataclass(frozen=True)
class ProtocolRow:
    """One protocol of a site and suffix.

    Parameters
    ----------
    site, suffix : str
    labels : str
        The labels by which BIDS tells it apart, e.g. ``acq-highres``; empty for none.
    scans : int
    values : dict of str to str
        By key: the usual value of the group, the scans' own where it deviates, ``varies`` where no value is usual;
        keys that the scans don't tell are absent.
    deviating : frozenset of str
        Keys in which it differs from the usual protocol of its group; empty for the usual one.
    names : tuple of str
        ``bids_name`` of some of the scans, at most five.
    """

    site: str
    suffix: str
    labels: str
    scans: int
    values: Mapping[str, str]
    deviating: frozenset[str]
    names: tuple[str, ...]


@dataclass(frozen=True)
class MissingScan:
    """A participant's visit without a kind of scan that most of the study have, or somebody without any scan.

    Parameters
    ----------
    participant, session : str
        Labels with their prefix; the session is empty where there are none.
    suffix : str
        Empty for somebody whom only participants.tsv knows.
    having, visits : int
        How many of how many visits of that session label have the suffix.
    """

    participant: str
    session: str
    suffix: str
    having: int
    visits: int

    def sentence(self) -> str:
        """For the reader."""
        if not self.suffix:
            return f"{self.participant} stands in participants.tsv and has no scan here."
        visit = f"{self.participant} {self.session}".strip()
        return f"{visit} has no {self.suffix} scan; {self.having} of {self.visits} visits have one."


def missing_table(found: Iterable[MissingScan]) -> tuple[list[str], list[list[Any]]]:
    """``group_missing.tsv``: header and body."""
    header = ["participant_id", "session_id", "modality", "having", "visits"]
    return header, [[gap.participant, gap.session, gap.suffix, gap.having or None, gap.visits or None] for gap in found]


def group_of(row: Row) -> Group:
    """Suffix, site and labels of the scans that a scan's protocol is compared with."""
    labels = " ".join(f"{key}-{row.entities[key]}" for key in VARIANT_KEYS if key in row.entities)
    return row.suffix, row.site, labels


def groups(rows: Iterable[Row]) -> dict[Group, list[Row]]:
    """The rows by the group in which protocols are compared, sorted."""
    found: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        found[group_of(row)].append(row)
    return dict(sorted(found.items()))


def usual_values(members: Sequence[Row], rule: ProtocolRule) -> dict[str, Usual]:
    """The usual value of each key of a rule in a group; keys that have none are absent."""
    found = {}
    for key in rule.keys:
        counts = Counter(row.protocol[key] for row in members if key in row.protocol)
        known = counts.total()
        if known < rule.smallest_group:
            continue
        best = max(
            (
                (sum(count for other, count in counts.items() if same(key, value, other, rule.tolerance)), value)
                for value in _candidates(counts)
            ),
            key=lambda pair: pair[0],
        )
        if best[0] >= rule.share * known:
            found[key] = Usual(best[1], best[0], known)
    return found


def _candidates(counts: Counter[str]) -> list[str]:
    """Values that may be the usual one: the most frequent, and the middle one of numbers that all differ a little."""
    common = [value for value, _ in counts.most_common(CANDIDATES)]
    ordered = sorted((numbers[0], value) for value in counts if len(numbers := _numbers(value)) == 1)
    return [*common, ordered[len(ordered) // 2][1]] if ordered else common


def same(key: str, one: str, other: str, tolerance: float) -> bool:
    """Whether two values of a key are the same but for rounding; of an orientation the axes count, not their signs."""
    if one == other:
        return True
    if key == "Orientation":
        return one.translate(_AXES) == other.translate(_AXES)
    first, second = _numbers(one), _numbers(other)
    if not first or len(first) != len(second):
        return False
    return all(abs(a - b) <= tolerance * max(abs(a), abs(b)) for a, b in zip(first, second, strict=True))


def _numbers(text: str) -> list[float]:
    """The numbers of a value that consists of numbers; empty for words."""
    parts = re.split(r" x |, ", text)
    return [float(part) for part in parts] if all(map(_NUMBER.fullmatch, parts)) else []


def deviations(row: Row, usual: Mapping[str, Usual], rule: ProtocolRule) -> dict[str, str]:
    """The scan's own values by key where they differ from the usual ones."""
    return {
        key: row.protocol[key]
        for key, known in usual.items()
        if key in row.protocol and not same(key, row.protocol[key], known.value, rule.tolerance)
    }


def with_unit(key: str, value: str) -> str:
    """A value as the reader needs it: numbers with the unit of their key."""
    return f"{value} {UNITS[key]}" if key in UNITS and _numbers(value) else value


def protocol_rows(rows: Sequence[Row], rules: Rules | None = None) -> list[ProtocolRow]:
    """Every protocol of a study: by suffix, site and labels, the usual one first, then by number of scans.

    Parameters
    ----------
    rows : sequence of Row
        With their sites named.
    rules : Rules, optional
        Whose ``[cohort.protocol]`` tells keys and tolerance; the package's by default. Where the rule is off for a
        suffix, its scans are left out.

    Returns
    -------
    list of ProtocolRow
    """
    chosen = rules or load_rules()
    found: list[ProtocolRow] = []
    for (suffix, site, labels), members in groups(rows).items():
        rule = chosen.protocol_rule(suffix)
        if rule is None:
            continue
        usual = usual_values(members, rule)
        variants: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
        for row in members:
            variants[tuple(deviations(row, usual, rule).items())].append(row)
        for own, part in sorted(variants.items(), key=lambda item: (bool(item[0]), -len(item[1]), item[0])):
            values = {key: value for key in rule.keys if (value := _shown(key, part, usual))} | dict(own)
            names = tuple(row.name for row in part[:FEW_NAMES])
            found.append(ProtocolRow(site, suffix, labels, len(part), values, frozenset(dict(own)), names))
    return found


def _shown(key: str, part: Sequence[Row], usual: Mapping[str, Usual]) -> str:
    told = {row.protocol[key] for row in part if key in row.protocol}
    if key in usual and told:
        return usual[key].value
    return VARIES if len(told) > 1 else "".join(told)


def protocol_columns(found: Iterable[ProtocolRow]) -> list[str]:
    """The keys that any protocol tells, in the rules' order."""
    return list(dict.fromkeys(key for row in found for key in row.values))


def protocol_table(rows: Sequence[Row], rules: Rules | None = None) -> tuple[list[str], list[list[Any]]]:
    """``group_protocols.tsv``: header and body."""
    found = protocol_rows(rows, rules)
    columns = protocol_columns(found)
    header = ["modality", "site", "labels", "scans", "deviates", *columns, "examples"]
    body = [
        [
            row.suffix,
            row.site,
            row.labels,
            row.scans,
            ", ".join(key for key in columns if key in row.deviating),
            *(row.values.get(key) for key in columns),
            ", ".join(row.names),
        ]
        for row in found
    ]
    return header, body


def missing_scans(rows: Sequence[Row], listed: Iterable[str] = ()) -> list[MissingScan]:
    """Visits that lack a suffix which most visits of the same session label have, and participants without any scan.

    Parameters
    ----------
    rows : sequence of Row
        With four visits of a session label or more, or nothing is expected of it.
    listed : iterable of str
        Labels that ``participants.tsv`` has, without ``sub-``.
    """
    visits: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        participant = table_label("sub", row.entities["sub"]) or ""
        session = table_label("ses", row.entities.get("ses")) or ""
        visits[session][participant].add(row.suffix)
    present = {row.entities["sub"] for row in rows}
    found = [MissingScan(f"sub-{label}", "", "", 0, 0) for label in listed if label not in present]
    for session, members in visits.items():
        if len(members) < SMALLEST_COHORT:
            continue
        having = Counter(suffix for known in members.values() for suffix in known)
        for suffix in sorted(having):
            if having[suffix] > MOST * len(members):
                lacking = (name for name, known in members.items() if suffix not in known)
                found += [MissingScan(name, session, suffix, having[suffix], len(members)) for name in lacking]
    return sorted(found, key=lambda gap: (gap.participant, gap.session, gap.suffix))
