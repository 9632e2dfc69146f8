# SPDX-License-Identifier: Apache-2.0
"""The split of a user's scans: by subject, whole sites held out, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from bidsqa.bids import collect_scans
from bidsqa.errors import UsageError
from bidsqa.training.own_scans import Reading, evenly, fingerprint, of_side, read_clean, read_sites, split_subjects

TEN = [f"{number:02d}" for number in range(1, 11)]
SITES = {subject: "A" if int(subject) <= 7 else "B" for subject in TEN}


def test_a_fifth_is_watched_and_nobody_is_on_two_sides() -> None:
    split = split_subjects([*TEN, *TEN], {}, seed=0)
    assert len(split.subjects("watch")) == 2
    assert sorted(split.subjects("watch") + split.subjects("train")) == TEN
    assert split.subjects("test") == []
    assert split.held_out == ""
    assert len(split_subjects(TEN[:4], {}, 0).subjects("watch")) == 1


def test_the_split_follows_the_seed_and_labels_alone() -> None:
    first, again = split_subjects(TEN, {}, 3), split_subjects(list(reversed(TEN)), {}, 3)
    assert first.sides == again.sides
    assert any(split_subjects(TEN, {}, seed).sides != first.sides for seed in range(5))


def test_a_whole_site_is_held_out() -> None:
    split = split_subjects(TEN, SITES, 0)
    assert split.held_out == "B"
    assert split.subjects("test") == ["08", "09", "10"]
    assert len(split.subjects("watch")) == 1
    asked = split_subjects(TEN, {**SITES, "10": "C"}, 0, "C")
    assert asked.subjects("test") == ["10"]
    assert split_subjects(TEN, SITES, 0, "none").subjects("test") == []


def test_the_largest_site_of_a_third_is_held_out_and_training_keeps_four() -> None:
    assert split_subjects(TEN, {**SITES, "10": "C"}, 0).held_out == "B"
    assert split_subjects(TEN, {subject: "AB"[int(subject) % 2] for subject in TEN}, 0).held_out == "A"
    three = {**dict.fromkeys(TEN[:5], "A"), **dict.fromkeys(TEN[5:8], "B"), "09": "C", "10": "C"}
    assert split_subjects(TEN, three, 0).held_out == "B"
    # two and two: nothing could be held out
    assert split_subjects(TEN[:4], {"01": "A", "02": "A", "03": "B", "04": "B"}, 0).held_out == ""


def test_every_site_is_watched_in_turn() -> None:
    three = {subject: "ABC"[place % 3] for place, subject in enumerate(TEN)}
    many = [f"{number:02d}" for number in range(1, 31)]
    sites = {subject: "ABC"[place % 3] for place, subject in enumerate(many)}
    watched = split_subjects(many, sites, 0, "none").subjects("watch")
    assert {sites[subject] for subject in watched} == {"A", "B", "C"}
    assert split_subjects(TEN, three, 0).held_out == "B"


def test_too_few_subjects() -> None:
    with pytest.raises(UsageError, match="at least 4 subjects; there are 3"):
        split_subjects(TEN[:3], {}, 0)
    with pytest.raises(UsageError, match="names no sites"):
        split_subjects(TEN, {}, 0, "A")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"participant_id\tsite\nsub-01\tA\nsub-02\tn/a\n03\tB\n", {"01": "A", "03": "B"}),
        (b"\xef\xbb\xbfparticipant_id\tsite\r\nsub-01\t A \r\n", {"01": "A"}),
        (b"participant_id\tCentre\nsub-01\tA\n", {"01": "A"}),
        (b"participant_id\tsite\nsub-01\tA\nsub-01\tB\nsub-02\tA\nsub-02\tA\n", {"02": "A"}),
        (b"participant_id\tage\nsub-01\t3\n", {}),
        (b"site\nA\n", {}),
        (b"participant_id\tsite\nsub-01\n", {}),
        (b"\xff\xfe\x00", {}),
        (b"", {}),
        (None, {}),
    ],
)
def test_sites_come_from_the_participants_file(tmp_path: Path, content: bytes | None, expected: dict[str, str]) -> None:
    if content is not None:
        (tmp_path / "participants.tsv").write_bytes(content)
    assert read_sites(tmp_path) == expected


def test_unreadable_scans_are_noted(bids_dataset: Callable[..., Path]) -> None:
    root = bids_dataset(*[f"sub-{subject}_T1w" for subject in TEN[:4]])
    (root / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"broken")
    scans = list(collect_scans(root).scans)
    split = split_subjects([scan.subject for scan in scans], {"01": "labels"}, 0)
    reading, told = Reading(), []
    clean = list(read_clean(scans, split, reading, lambda *words: told.append(words)))
    assert [one.subject for one in clean] == ["01", "03", "04"]
    # names of sites must not be mistaken for other sources of images
    assert clean[0].site == "site-labels"
    assert list(reading.skipped) == ["sub-02_T1w"]
    assert told[0] == (1, 4, "sub-01_T1w")
    assert all(one.volume.facts.sha256[:16] in reading.learned() for one in clean)
    assert len(of_side(scans, split, "watch")) == 1


def test_the_fingerprint_knows_names_and_sizes(bids_dataset: Callable[..., Path]) -> None:
    root = bids_dataset("sub-01_T1w", "sub-02_T1w")
    scans = list(collect_scans(root).scans)
    first = fingerprint(scans)
    assert fingerprint(list(reversed(scans))) == first
    assert fingerprint(scans[:1]) != first
    scans[0].path.write_bytes(b"other")
    assert fingerprint(scans) != first
    scans[0].path.unlink()
    assert fingerprint(scans) != first


def test_evenly() -> None:
    assert evenly(list(range(3)), 5) == [0, 1, 2]  # type: ignore[arg-type]
    assert evenly(list(range(100)), 4) == [12, 37, 62, 87]  # type: ignore[arg-type]
