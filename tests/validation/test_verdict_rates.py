# SPDX-License-Identifier: Apache-2.0
"""How often each verdict is given: what is judged, what is kept, what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsqa.simulation.phantom import make_phantom
from bidsqa.training.pool import Clean
from bidsqa.validation import verdicts
from bidsqa.validation.example_records import example_record


def clean(side: str, site: str = "amsterdam") -> Clean:
    volume = make_phantom(seed=0, spacing=(4.0, 4.0, 4.0)).image("T1w", seed=1)
    return Clean("sub-a_T1w", "a", site, "T1w", side, volume)


def test_scans_that_were_trained_on_have_no_copies() -> None:
    assert list(verdicts.wanted(clean("train"))) == [("none", 0.0)]
    found = list(verdicts.wanted(clean("test")))
    assert len(found) == len(set(found)) == 1 + 6 * len(verdicts.STRENGTHS)
    assert "noise" not in {artifact for artifact, _ in verdicts.wanted(clean("test", "martinos"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        record = example_record(f"sub-{number}_T1w", seed=number)
        (tmp_path / f"sub-{number}_T1w+none+0+test.json").write_text(record.dumps())
        for strength, damage in ((0.3, 0.0), (1.0, 3.0)):
            record = example_record(f"sub-{number}_T1w", seed=number, damage=damage)
            record.scores["severity"]["families"] = {"noise": 3.0, "motion": 0.1}
            (tmp_path / f"sub-{number}_T1w+noise+{strength:g}+test.json").write_text(record.dumps())
    return tmp_path


def test_tables_count_what_the_rules_decide(folder: Path) -> None:
    given = verdicts.judge_records(folder)
    assert [row.decision for row in given if row.strength == 0.3] == ["pass"] * 4
    made = verdicts.verdict_tables(given)
    names, numbers = zip(*((row[0], row[1]) for row in made["verdicts_clean"].rows), strict=True)
    assert names == ("T1w, not trained on", "all, not trained on") and numbers == (4, 4)
    assert all(row[2].startswith("100 %") for row in made["verdicts_clean"].rows)
    mild, strong = made["verdicts_degraded"].rows
    assert mild[:4] == ["noise", "0.3", 4, mild[3]] and mild[3].startswith("100 %")
    assert strong[5].startswith("100 %")
    assert strong[6].startswith("100 %")


def test_other_rules_are_judged_without_the_images(folder: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text('version = "strict"\n[rules.ssim]\nreview_below = 1.0\nfail_below = 0.999\n')
    assert {row.decision for row in verdicts.judge_records(folder, str(strict))} == {"fail"}


@pytest.mark.slow
def test_a_volume_in_memory_gets_the_record_of_the_main_job() -> None:
    record = verdicts.assess_volume(clean("test").volume, "sub-a_T1w", "T1w")
    assert record.verdict["decision"] in ("pass", "review", "fail")
    assert set(record.scores) == {"severity", "ssim"}
    assert record.metrics["size_x"] == clean("test").volume.shape[0]
