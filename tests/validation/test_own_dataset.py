# SPDX-License-Identifier: Apache-2.0
"""Judging weights on a user's dataset: the tables on known answers, the file of results, the plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from bidsqa.errors import UsageError
from bidsqa.image import Volume
from bidsqa.training.pool import Clean
from bidsqa.validation.own_dataset import Result, as_csv, describe, draw, judge, read_results, tables

WEIGHTS = {"severity": "0123456789abcdef", "ssim": "fedcba9876543210"}
STRENGTHS = (0.3, 0.75, 1.0)


def result(subject: str, site: str, artifact: str, strength: float, level: float) -> Result:
    return Result(
        f"sub-{subject}_T1w", subject, f"site-{site}", "T1w", artifact, strength, strength / 2,
        {"severity": level, "ssim": 1 - level / 2},
    )  # fmt: skip


def study(noise: Sequence[float] = (0.5, 1.2, 1.8)) -> list[Result]:
    """Three subjects of two sites: noise is seen, bias is not."""
    rows = []
    for place, (subject, site) in enumerate((("01", "A"), ("02", "A"), ("03", "B"))):
        base = 0.1 + 0.01 * place
        rows.append(result(subject, site, "none", 0.0, base))
        rows += [result(subject, site, "noise", s, base + n) for s, n in zip(STRENGTHS, noise, strict=True)]
        rows += [result(subject, site, "bias", strength, base) for strength in STRENGTHS]
    return rows


@pytest.mark.parametrize("model", WEIGHTS)
def test_what_is_seen_separates_and_what_is_not_doesn_t(model: str) -> None:
    made = tables(study(), model, "note")
    assert set(made) == {f"{model}_{kind}" for kind in ("artifacts", "contrasts", "sites", "clean")}
    noise, bias = made[f"{model}_artifacts"].rows
    assert noise[:4] == ["noise", "1.00", "1.00", "1.00"]
    assert noise[4] == "1.00 [1.00, 1.00]"
    assert noise[5].startswith("1.00")
    assert noise[6].startswith("100 %")
    assert bias[1:4] == ["0.50"] * 3
    assert bias[5].startswith("0.00")
    assert bias[6].startswith("0 %")
    assert all(table.note == "note" for table in made.values())


def test_limits_are_those_of_the_score() -> None:
    rows = tables(study(), "severity", "")["severity_artifacts"].rows
    assert rows[0][-1].startswith("100 %")
    assert rows[1][-1].startswith("0 %")
    assert tables(study((0.0, 0.05, 0.1)), "ssim", "")["ssim_artifacts"].rows[0][-1].startswith("0 %")


def test_a_site_stands_against_the_clean_scans_of_the_others() -> None:
    rows = study()
    # clean scans of site B look as bad as the worst degraded ones: site A can't be told from them any more
    strange = [row for row in rows if row.site == "site-A"] + [result("03", "B", "none", 0.0, 9.0)]
    first = tables(strange, "severity", "")["severity_sites"].rows
    assert [row[0] for row in first] == ["A", "B"]
    assert first[0][-1].startswith("0.00")
    assert first[1][4].startswith("100 %")
    one = tables([row for row in rows if row.site == "site-A"], "severity", "")["severity_sites"].rows
    assert one[0][-1] == "no other site"


def test_results_survive_their_file_and_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert read_results(path, WEIGHTS) == []
    path.write_text(as_csv(study(), WEIGHTS))
    assert read_results(path, WEIGHTS) == [
        Result(**{**row.__dict__, "scores": {name: float(f"{value:.6g}") for name, value in row.scores.items()}})
        for row in study()
    ]
    for other in ({"severity": "ffff"}, {**WEIGHTS, "severity": "ffff"}):
        with pytest.raises(UsageError, match="other models or weights"):
            read_results(path, other)


def test_the_note_tells_what_it_rests_on() -> None:
    note = describe(study(), "severity", WEIGHTS["severity"])
    assert "Weights 0123456789ab. 3 clean scans (T1w) of 3 subjects and 2 sites, and 18 degraded copies" in note


def test_the_plot_is_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw(study(), "severity", tmp_path / name)
    first, second = ((tmp_path / name).read_text() for name in ("a.svg", "b.svg"))
    assert first == second
    assert "<svg" in first


def test_nothing_is_judged_twice(t1w: Volume) -> None:
    class Scorer:
        asked = 0

        def score(self, volume: Volume, slice_fraction: float = 0.6) -> SimpleNamespace:
            self.asked += 1
            return SimpleNamespace(value=float(volume.data.std()))

        def provenance(self) -> dict[str, str]:
            return {}

    scorer = Scorer()
    scans = [Clean("sub-01_T1w", "01", "site-A", "T1w", "test", t1w)]
    first = list(judge(scans, {"severity": scorer}, (0.5, 1.0), (), ("noise",)))
    assert [(row.artifact, row.strength) for row in first] == [("none", 0.0), ("noise", 0.5), ("noise", 1.0)]
    assert first[0].damage == 0 < first[1].damage < first[2].damage
    assert scorer.asked == 3
    again = list(judge(scans, {"severity": scorer}, (0.5, 0.75), first, ("noise",)))
    assert [row.strength for row in again] == [0.75]
