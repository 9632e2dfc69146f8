# SPDX-License-Identifier: Apache-2.0
"""Judging weights on a user's dataset: copies, the tables of separation, the file of results, the plots."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from bidsqa.errors import UsageError
from bidsqa.image import Volume
from bidsqa.training.pool import Clean
from bidsqa.validation.own_dataset import copies_of, describe, draw, judge, shared_tables, tables
from bidsqa.validation.own_results import Result, as_csv, read_results
from bidsqa.validation.severity_cases import JUDGED, PAPER

WEIGHTS = {"severity": "0123456789abcdef", "ssim": "fedcba9876543210"}
STRENGTHS = (0.3, 0.75, 1.0)


def result(subject: str, site: str, artifact: str, strength: float, level: float, contrast: str = "T1w") -> Result:
    return Result(
        f"sub-{subject}_{contrast}", subject, f"site-{site}", contrast, artifact, strength, strength / 2,
        {"severity": level, "ssim": 1 - level / 2}, {"severity": 0.1, "ssim": 0.05},
        {"severity": artifact if level > 0.5 else "none"}, {"efc": level, "field range": 0.3},
        s_paper=strength, truth=float("nan") if artifact in ("noise", "bias") else 1 - strength / 2,
        image=f"{subject}c0ffee",
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
    made = tables(study(), model, "note", STRENGTHS)
    wanted = {f"{model}_{kind}" for kind in ("artifacts", "contrasts", "strengths", "sites", "clean")}
    assert set(made) == wanted | ({"severity_kinds"} if model == "severity" else set())
    noise, bias = made[f"{model}_artifacts"].rows
    assert noise[:4] == ["noise", "1.00", "1.00", "1.00"]
    assert noise[4] == "1.00 [1.00, 1.00]"
    assert noise[5].startswith("1.00")
    assert noise[6].startswith("100 %")
    assert bias[1:4] == ["0.50"] * 3
    assert bias[5].startswith("0.00")
    assert bias[6].startswith("0 %")
    assert all(table.note.startswith("note") for table in made.values())


def test_limits_are_those_of_the_score() -> None:
    rows = tables(study(), "severity", "", STRENGTHS)["severity_artifacts"].rows
    assert rows[0][-1].startswith("100 %")
    assert rows[1][-1].startswith("0 %")
    assert tables(study((0.0, 0.05, 0.1)), "ssim", "", STRENGTHS)["ssim_artifacts"].rows[0][-1].startswith("0 %")


def test_a_site_stands_against_the_clean_scans_of_the_others() -> None:
    rows = study()
    # clean scans of site B look as bad as the worst degraded ones: site A can't be told from them any more
    strange = [row for row in rows if row.site == "site-A"] + [result("03", "B", "none", 0.0, 9.0)]
    first = tables(strange, "severity", "", STRENGTHS)["severity_sites"].rows
    assert [row[0] for row in first] == ["A", "B"]
    assert first[0][-1].startswith("0.00")
    assert first[1][4].startswith("100 %")
    one = tables([row for row in rows if row.site == "site-A"], "severity", "", STRENGTHS)["severity_sites"].rows
    assert one[0][-1] == "no other site"


def test_every_strength_stands_beside_clean_scans_of_other_sites(tmp_path: Path) -> None:
    rows = [row for row in study() if row.site == "site-A"] + [result("03", "B", "none", 0.0, 1.5)]
    table = tables(rows, "severity", "", STRENGTHS)["severity_strengths"]
    assert [tuple(row[:3]) for row in table.rows] == [
        ("T1w", artifact, f"{strength:g}") for artifact in ("noise", "bias") for strength in STRENGTHS
    ]
    place = table.columns.index("AUC against clean scans of other sites")
    # the only clean scan of another site lies at 1.5: 0.6 and 1.3 are below, 1.9 above
    assert [row[place] for row in table.rows[:3]] == ["0.00 [0.00, 0.00]", "0.00 [0.00, 0.00]", "1.00 [1.00, 1.00]"]
    assert table.rows[0][place - 1].startswith("0.50"), "one of two clean scans of other subjects lies below"
    assert table.rows[0][place + 1].startswith("0.50"), "there is but one contrast"
    table.write_csv(tmp_path / "long.csv")
    with (tmp_path / "long.csv").open(newline="") as handle:
        first = next(csv.DictReader(handle))
    assert (first["AUC"], first["AUC against clean scans of other sites high"]) == ("0.50", "0.00")
    assert first["worse than its clean scan"] == "100"
    alone = tables([row for row in rows if row.site == "site-A"], "severity", "", STRENGTHS)["severity_strengths"]
    assert all(row[place] == "" for row in alone.rows)


def test_scores_stand_beside_classical_measures_and_a_constant() -> None:
    made = shared_tables(study(), ["severity", "ssim"], "note", STRENGTHS)
    assert set(made) == {"scores_auc", "scores_rank"}, "too few kinds for the paper's protocol"
    areas = {row[0]: row[1:] for row in made["scores_auc"].rows}
    assert list(areas) == ["severity", "ssim", "efc", "field range", "constant"]
    assert made["scores_auc"].columns == ["score", "noise", "bias"]
    assert areas["efc"] == areas["severity"] == ["1.00 [1.00, 1.00]", "0.50 [0.50, 0.50]"]
    assert areas["field range"] == areas["constant"] == ["0.50 [0.50, 0.50]"] * 2
    ranks = {row[0]: row[1] for row in made["scores_rank"].rows}
    assert ranks["severity"].startswith("1.00") and ranks["constant"].startswith("0.00")


def test_kinds_are_counted_for_clean_and_strong_copies() -> None:
    table = tables(study(), "severity", "note", STRENGTHS)["severity_kinds"]
    counts = {row[0]: row[1:-1] for row in table.rows}
    # 3 clean scans named none; noise at 0.75 and 1 named noise; bias never reaches 0.5 and is named none
    assert counts["none"] == [3, 3, 0, 0, 0, 0, 0]
    assert counts["noise"] == [6, 0, 6, 0, 0, 0, 0]
    assert counts["bias"] == [6, 6, 0, 0, 0, 0, 0]
    assert "all degraded copies: 50 %" in table.note and "most frequent kind: 50 %" in table.note


def test_the_papers_protocol_pools_copies_of_its_own() -> None:
    rows = []
    for place, subject in enumerate(("01", "02", "03")):
        rows.append(result(subject, "A", "none", 0.0, 0.0))
        rows += [result(subject, "A", name, level, level) for name, level in PAPER.items()]
        rows += [result(subject, "A", "noise", level, 0.1 * place) for level in STRENGTHS]
    table = shared_tables(rows, ["severity"], "note", STRENGTHS)["scores_protocol"]
    lines = {row[0]: row[1:] for row in table.rows}
    assert lines["severity"][0] == "1.00 [1.00, 1.00]"
    assert lines["constant"][0].startswith("0.00")
    # graded copies are clean ones, noise (flat here) and motion 0.3, which is a graded strength too
    assert float(lines["severity"][1].split()[0]) < 0.5
    assert "noise 0.9" in table.columns and "18 images" in table.note
    graded = tables(rows, "severity", "note", STRENGTHS)["severity_strengths"].rows
    assert {row[2] for row in graded} <= {f"{level:g}" for level in STRENGTHS}


def test_copies_are_made_once() -> None:
    copies = copies_of((0.1, 0.3), ("bias", "motion"))
    assert copies == [("none", 0.0), ("bias", 0.1), ("bias", 0.3), ("motion", 0.1), ("motion", 0.3)]
    assert ("noise", 0.9) in copies_of((0.5,), JUDGED)
    assert len(copies_of((0.5,), JUDGED, paper=False)) == 1 + len(JUDGED)


def test_results_survive_their_file_and_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert read_results(path, WEIGHTS) == []
    path.write_text(as_csv(study(), WEIGHTS))
    again = read_results(path, WEIGHTS)
    for row, other in zip(study(), again, strict=True):
        told = ("key", "subject", "site", "contrast", "image")
        assert [getattr(row, name) for name in told] == [getattr(other, name) for name in told]
        assert dict(other.kinds) == dict(row.kinds)
        for name in ("scores", "uncertainties", "baselines"):
            assert getattr(other, name) == pytest.approx(getattr(row, name), rel=1e-5)
        assert other.truth == pytest.approx(row.truth, nan_ok=True)
        assert other.s_paper == row.s_paper
    assert as_csv(again, WEIGHTS) == path.read_text()
    for changed in ({"severity": "ffff"}, {**WEIGHTS, "severity": "ffff"}, {"severity": WEIGHTS["severity"]}):
        with pytest.raises(UsageError, match="other models or weights"):
            read_results(path, changed)


def test_results_of_an_earlier_version_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "scan,subject,site,contrast,artifact,strength,damage,severity 0123456789ab,ssim fedcba987654\n"
        "sub-01_T1w,01,site-A,T1w,none,0,0,0.1,0.95\n"
    )
    with pytest.raises(UsageError, match=r"earlier version of bidsqa-train, which noted less") as caught:
        read_results(path, WEIGHTS)
    assert "Remove the file" in str(caught.value.hint)


def test_a_damaged_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    whole = as_csv(study(), WEIGHTS)
    lines = whole.splitlines()
    for text in (
        whole[:-40],
        f"{lines[0]}\n{lines[1].replace(',0,', ',much,', 1)}",
        f"{lines[0]}\n\n{lines[1]}",
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"results.csv is damaged: line \d+ is not a whole result") as caught:
            read_results(path, WEIGHTS)
        assert "Remove the file" in str(caught.value.hint)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="can't be read"):
        read_results(path, WEIGHTS)
    path.write_text("")
    assert read_results(path, WEIGHTS) == []


def test_the_note_tells_what_it_rests_on() -> None:
    note = describe(study(), WEIGHTS)
    assert "severity 0123456789ab, ssim fedcba987654. 3 clean scans (T1w) of 3 subjects and 2 sites, and 18" in note


def test_the_plots_are_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    rows = [*study(), *(result(subject, "A", "motion", 0.75, 0.6) for subject in ("01", "02", "03"))]
    for name in ("a", "b"):
        draw(rows, ["severity", "ssim"], STRENGTHS, tmp_path / name)
    names = {"severity.svg", "ssim.svg", "scores_auc.svg", "ssim_truth.svg"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    for name in names:
        first, second = ((tmp_path / folder / name).read_text() for folder in ("a", "b"))
        assert first == second
        assert "<svg" in first


def test_nothing_is_judged_twice(t1w: Volume) -> None:
    class Scorer:
        asked = 0

        def score(self, volume: Volume, slice_fraction: float = 0.6) -> SimpleNamespace:
            self.asked += 1
            return SimpleNamespace(value=float(volume.data.std()), uncertainty=0.1, extra={"family": "noise"})

        def provenance(self) -> dict[str, str]:
            return {}

    scorer = Scorer()
    scans = [Clean("sub-01_T1w", "01", "site-A", "T1w", "test", t1w)]
    first = list(judge(scans, {"severity": scorer}, copies_of((0.5, 1.0), ("noise",), paper=False)))
    assert [(row.artifact, row.strength) for row in first] == [("none", 0.0), ("noise", 0.5), ("noise", 1.0)]
    assert first[0].damage == 0 < first[1].damage < first[2].damage
    assert scorer.asked == 3
    again = list(judge(scans, {"severity": scorer}, copies_of((0.5, 0.75), ("noise",), paper=False), first))
    assert [row.strength for row in again] == [0.0, 0.5, 0.75]
    assert again[:2] == first[:2] and scorer.asked == 4
    # what stands beside: the paper's severity of the noise, the kind named, sharpness that noise raises
    assert [row.s_paper for row in first] == pytest.approx([0, (0.1 - 0.005) / 0.195, 1.0], abs=1e-5)
    assert first[2].kinds == {"severity": "noise"}
    assert first[2].baselines["tenengrad (negated)"] < first[0].baselines["tenengrad (negated)"] < 0
    assert math.isnan(first[0].truth), "the similarity was not judged"


def test_a_changed_image_is_judged_anew_and_facts_are_those_of_today(t1w: Volume) -> None:
    asked = []

    class Scorer:
        def score(self, volume: Volume, slice_fraction: float = 0.6) -> SimpleNamespace:
            asked.append(volume.facts.sha256)
            return SimpleNamespace(value=float(volume.data.std()), uncertainty=0.1, extra={})

        def provenance(self) -> dict[str, str]:
            return {}

    def scan(digest: str, site: str = "site-A", subject: str = "01") -> Clean:
        volume = replace(t1w, facts=replace(t1w.facts, sha256=digest))
        return Clean("sub-01_T1w", subject, site, "T1w", "test", volume)

    first = list(judge([scan("a" * 64)], {"severity": Scorer()}, [("none", 0.0)]))
    assert first[0].image == "a" * 16
    moved = list(judge([scan("a" * 64, "site-B")], {"severity": Scorer()}, [("none", 0.0)], first))
    assert len(asked) == 1 and moved == [replace(first[0], site="site-B")]
    changed = list(judge([scan("b" * 64)], {"severity": Scorer()}, [("none", 0.0)], first))
    assert len(asked) == 2 and changed[0].image == "b" * 16


def test_the_true_similarity_is_known_for_clean_and_moved_scans(t1w: Volume) -> None:
    class Scorer:
        def score(self, volume: Volume, slice_fraction: float = 0.6) -> SimpleNamespace:
            return SimpleNamespace(value=0.9, uncertainty=0.1, extra={})

        def provenance(self) -> dict[str, str]:
            return {}

    scans = [Clean("sub-01_T1w", "01", "site-A", "T1w", "test", t1w)]
    rows = list(judge(scans, {"ssim": Scorer()}, [("none", 0.0), ("motion", 0.7), ("noise", 0.7)]))
    assert rows[0].truth == 1
    assert 0 < rows[1].truth < 0.98
    assert math.isnan(rows[2].truth)
    assert rows[1].uncertainties == {"ssim": 0.1} and rows[1].kinds == {}
