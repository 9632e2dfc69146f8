# SPDX-License-Identifier: Apache-2.0
"""The cohort part of the rules: what ships, and how a user's file lies over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsqa.errors import UsageError
from bidsqa.settings import Settings
from bidsqa.verdict import OutlierRule, ProtocolRule, Rules, load_rules


def load(folder: Path, text: str) -> Rules:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_rules(path)


def outlier(rules: Rules, suffix: str = "T1w") -> OutlierRule:
    found = rules.outlier_rule(suffix)
    assert found is not None
    return found


def test_what_ships_is_complete_and_asks_for_no_more_than_a_look() -> None:
    rules = load_rules()
    for suffix in ("T1w", "T2w", "FLAIR", "PDw"):
        for rule in (rules.outlier_rule(suffix), rules.protocol_rule(suffix)):
            assert rule is not None
            assert rule.level == "review"
            assert rule.about
            assert rule.advice
            assert rule.basis


def test_what_ships_passes_the_checks_of_user_rules(tmp_path: Path) -> None:
    names = ", ".join(f'"{name}"' for name in outlier(load_rules()).values)
    protocol = load_rules().protocol_rule("T1w")
    assert isinstance(protocol, ProtocolRule)
    keys = ", ".join(f'"{key}"' for key in protocol.keys)
    rules = load(tmp_path, f"[cohort.outlier]\nvalues = [{names}]\n[cohort.protocol]\nkeys = [{keys}]\n")
    assert outlier(rules) == outlier(load_rules())
    assert rules.protocol_rule("T1w") == protocol


def test_keys_override_for_all_suffixes_or_for_one(tmp_path: Path) -> None:
    rules = load(tmp_path, '[cohort.outlier]\nz = 6\n[cohort.outlier.T2w]\nz = 7\nvalues = ["efc"]\n')
    assert (outlier(rules).z, outlier(rules, "T2w").z, outlier(rules, "T2w").values) == (6, 7, ("efc",))
    assert outlier(rules).values == outlier(load_rules()).values
    assert rules.for_suffix("T1w") == load_rules().for_suffix("T1w")


def test_switching_off(tmp_path: Path) -> None:
    rules = load(tmp_path, '[cohort.outlier.T2w]\noff = true\n[cohort.protocol]\nsuffixes = ["T2w"]\n')
    assert rules.outlier_rule("T1w") is not None
    assert rules.outlier_rule("T2w") is None
    assert rules.protocol_rule("T1w") is None
    assert rules.protocol_rule("T2w") is not None


def test_versions_of_records_and_cohort_are_two(tmp_path: Path) -> None:
    shipped = load_rules()
    six, seven = (load(tmp_path, f'version = "lab"\n[cohort.outlier]\nz = {z}\n') for z in (6, 7))
    assert six.version == seven.version == shipped.version, "records don't know the cohort"
    assert len({six.cohort_version, seven.cohort_version, shipped.cohort_version}) == 3
    assert six.cohort_version.startswith("1+lab.")
    record = load(tmp_path, "[rules.ssim]\nfail_below = 0.5\n")
    assert record.version != shipped.version
    assert record.cohort_version == shipped.cohort_version


def test_the_cohort_part_makes_no_scan_be_judged_again(tmp_path: Path) -> None:
    def checksum(text: str) -> object:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return Settings(thresholds=str(path)).changing_numbers()["thresholds"]

    assert checksum("[cohort.outlier]\nz = 6\n") is Settings().changing_numbers()["thresholds"] is None
    own = checksum("[rules.ssim]\nfail_below = 0.5\n")
    assert own is not None
    assert own == checksum("# note\n[rules.ssim]\nfail_below = 0.5\n[cohort.outlier]\nz = 6\n")
    assert own != checksum("[rules.ssim]\nfail_below = 0.4\n")
    assert checksum("[rules.ssim\n") not in (None, own), "what is no TOML is told elsewhere"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[cohort.outliers]\nz = 6\n", "did you mean 'outlier'"),
        ("[cohort.outlier]\nsmalest_group = 6\n", "did you mean 'smallest_group'"),
        ("[cohort.outlier.T2w]\nzz = 6\n", "did you mean 'z'"),
        ("[cohort.outlier.T2w.more]\nz = 6\n", "holds a table"),
        ("[cohort.outlier]\nz = -1\n", "above 0"),
        ('[cohort.outlier]\nz = "high"\n', "above 0"),
        ("[cohort.outlier]\nz = nan\n", "above 0"),
        ("[cohort.outlier]\nsmallest_group = 2\n", "at least 3"),
        ("[cohort.outlier]\nsmallest_group = true\n", "at least 3"),
        ('[cohort.outlier]\nlevel = "pass"\n', "review or fail"),
        ('[cohort.outlier]\nsides = "good"\n', "bad or both"),
        ('[cohort.outlier]\nvalues = "cjv"\n', "a list"),
        ('[cohort.outlier]\nvalues = ["cvj"]\n', "did you mean 'cjv'"),
        ('[cohort.protocol]\nkeys = ["EchoTimes"]\n', "did you mean 'EchoTime'"),
        ("[cohort.protocol]\nshare = 1.5\n", "at most 1"),
        ("[cohort.protocol]\ntolerance = 1\n", "below 1"),
        ("[cohort.protocol]\noff = 1\n", "true or false"),
        ("[cohort.protocol]\nz = 3\n", "unknown key 'z'"),
        ("cohort = 3\n", "must hold tables"),
        ("[cohrt.outlier]\nz = 3\n", "did you mean 'cohort'"),
    ],
)
def test_a_bad_part_is_told_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert told in str(caught.value)
    assert "\n" not in caught.value.cause
