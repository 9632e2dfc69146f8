# SPDX-License-Identifier: Apache-2.0
"""The rules: what ships, and how a user's file lies over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsqa.errors import UsageError
from bidsqa.settings import Settings
from bidsqa.verdict import Rule, Rules, load_rules

SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw")


def rule(rules: Rules, name: str, suffix: str = "T1w") -> Rule:
    return next(entry for entry in rules.for_suffix(suffix) if entry.name == name)


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_shipped_rule_says_what_it_reads_why_and_what_to_do(suffix: str) -> None:
    for entry in load_rules().for_suffix(suffix):
        assert entry.reads
        assert entry.quantity
        assert entry.about
        assert entry.basis
        assert entry.advice
        limits = (entry.review_above, entry.review_below, entry.fail_above, entry.fail_below)
        assert any(limit is not None for limit in limits)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failing_is_never_easier_than_being_reviewed(suffix: str) -> None:
    for entry in load_rules().for_suffix(suffix):
        if entry.fail_above is not None:
            assert entry.review_above is not None
            assert entry.fail_above > entry.review_above
        if entry.fail_below is not None:
            assert entry.review_below is not None
            assert entry.fail_below < entry.review_below


def test_the_published_limits_are_the_shipped_ones() -> None:
    rules = load_rules()
    assert rule(rules, "severity").review_above == 1.0
    assert (rule(rules, "ssim").review_below, rule(rules, "ssim").fail_below) == (0.85, 0.60)


def test_shipped_rules_read_only_what_the_tables_know(tmp_path: Path) -> None:
    # an empty user file sends every shipped rule through the checks that user rules get
    text = "\n".join(f"[rules.{entry.name}]" for entry in load_rules().for_suffix("T1w"))
    load_rules(write(tmp_path, text))


def test_a_key_overrides_for_every_suffix_and_leaves_the_others(tmp_path: Path) -> None:
    # also over the package's own exception for FLAIR
    rules = load_rules(write(tmp_path, "[rules.snr]\nreview_below = 0.7\n"))
    assert {rule(rules, "snr", suffix).review_below for suffix in SUFFIXES} == {0.7}
    assert rule(rules, "ssim") == rule(load_rules(), "ssim")
    assert rule(rules, "snr").advice == rule(load_rules(), "snr").advice


def test_a_key_under_a_suffix_overrides_there_alone(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path, "[rules.ssim.T2w]\nreview_below = 0.5\nfail_below = 0.4\n"))
    assert rule(rules, "ssim", "T2w").review_below == 0.5
    assert rule(rules, "ssim", "T1w").review_below == 0.85


def test_rules_can_be_switched_off_and_added(tmp_path: Path) -> None:
    text = '[rules.cjv]\noff = true\n[rules.efc]\nreads = "metrics.efc"\nreview_above = 0.8\nsuffixes = ["T1w"]\n'
    rules = load_rules(write(tmp_path, text))
    assert "cjv" not in {entry.name for entry in rules.for_suffix("T1w")}
    assert rule(rules, "efc").quantity == "efc"
    assert "efc" not in {entry.name for entry in rules.for_suffix("T2w")}


def test_the_version_tells_user_rules_apart(tmp_path: Path) -> None:
    shipped = load_rules().version
    one = load_rules(write(tmp_path, 'version = "lab 1"\n[rules.ssim]\nfail_below = 0.5\n')).version
    other = load_rules(write(tmp_path, 'version = "lab 1"\n[rules.ssim]\nfail_below = 0.4\n')).version
    assert len({shipped, one, other}) == 3
    assert one.startswith(f"{shipped}+lab-1.")
    assert load_rules(write(tmp_path, 'version = "lab 1"\n[rules.ssim]\nfail_below = 0.4\n')).version == other


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[rules.ssm]\nfail_below = 0.5\n", "did you mean 'ssim'"),
        ("[rules.ssim]\nfail_bellow = 0.5\n", "did you mean 'fail_below'"),
        ("[rules.ssim.T2w]\nfail_bellow = 0.5\n", "did you mean 'fail_below'"),
        ('[rules.ssim]\nfail_below = "low"\n', "finite number"),
        ("[rules.ssim]\nfail_below = nan\n", "finite number"),
        ("[rules.ssim]\nfail_below = true\n", "finite number"),
        ('[rules.ssim]\nmissing = "pass"\n', "review or accept"),
        ("[rules.ssim]\noff = 1\n", "true or false"),
        ('[rules.new]\nreads = "metrics.cvj"\nreview_above = 1\n', "did you mean 'cjv'"),
        ('[rules.new]\nreads = "scores.sim.value"\nreview_above = 1\n', "did you mean 'ssim'"),
        ('[rules.new]\nreads = "provenance.bidsqa"\nreview_above = 1\n', "no place in a record"),
        ('[rules.new]\nreads = "metrics.efc"\n', "no limit"),
        ("[rule.ssim]\nfail_below = 0.5\n", "did you mean 'rules'"),
        ("rules = 3\n", "must hold tables"),
        ("[rules]\nssim = 3\n", "must hold tables"),
        ("[families.noise]\nadvise = 'x'\n", "bad entry"),
        ("[rules.ssim\n", "not valid TOML"),
        ("\x00", "not valid TOML"),
    ],
)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_rules(write(tmp_path, text))
    assert told in str(caught.value)
    assert "\n" not in caught.value.cause


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_rules(tmp_path / "mine.toml")


@pytest.mark.parametrize("text", ["x = " + "[" * 5000 + "]" * 5000, "version = " + "9" * 6000])
def test_a_file_that_the_parser_cannot_take_is_told_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match="is not valid TOML"):
        load_rules(path)
    assert Settings(thresholds=str(path)).changing_numbers()["thresholds"]
