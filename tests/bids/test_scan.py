# SPDX-License-Identifier: Apache-2.0
"""Names of scans: parsed strictly, and the names of outputs that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsqa.bids import names
from bidsqa.bids.scan import RAW_ANAT_KEYS, Scan, name_problem, split_name

OUT = Path("/out")
LABEL = st.text("abcXYZ0189+", min_size=1, max_size=8)


def scan(**entities: str) -> Scan:
    return Scan(Path("/in/x.nii"), Path("/in"), entities, "T1w")


def test_splits_a_name() -> None:
    entities, suffix, extension = split_name("sub-01_ses-a_acq-x+y_run-02_T1w.nii.gz")
    assert entities == {"sub": "01", "ses": "a", "acq": "x+y", "run": "02"}
    assert (suffix, extension) == ("T1w", ".nii.gz")


@pytest.mark.parametrize(
    "name",
    [
        "sub-01",
        "sub-01_T1w$.nii",
        "sub-..%2F_T1w.nii",
        "sub-0 1_T1w.nii",
        "sub-01_sub-02_T1w.nii",
        "sub_T1w.nii",
        "sub-_T1w.nii",
        "sub-01__T1w.nii",
        "sub-ä_T1w.nii",
        "sub-01_run-\n1_T1w.nii",
        "sub-01_T1w\x1b[2J.nii",
        "",
        "_.nii",
    ],
)
def test_refuses_what_is_no_bids_name(name: str) -> None:
    with pytest.raises(ValueError):
        split_name(name)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_and_what_is_parsed_is_harmless(text: str) -> None:
    try:
        entities, suffix, _ = split_name(text)
    except ValueError:
        return
    assert all(set(label) <= set("+") or label.replace("+", "").isalnum() for label in (*entities.values(), suffix))
    assert "/" not in "".join([*entities, *entities.values(), suffix])


@given(LABEL, st.none() | LABEL, st.none() | LABEL)
def test_outputs_stay_below_the_output_folder_and_lead_back(sub: str, ses: str | None, acq: str | None) -> None:
    given_labels = {key: label for key, label in (("sub", sub), ("ses", ses), ("acq", acq)) if label}
    made = scan(**given_labels)
    paths = [
        names.record_path(OUT, made),
        names.page_path(OUT, made),
        names.figure_path(OUT, made, "mosaic.webp"),
        names.mask_path(OUT, made, "brain"),
    ]
    for path in paths:
        assert path.is_relative_to(OUT)
        assert ".." not in path.parts
    assert len(set(paths)) == len(paths)
    assert names.name_of_record(paths[0]) == made.bids_name
    assert names.record_path(OUT, made.bids_name) == paths[0]


def test_fault_28_two_acquisitions_share_no_file() -> None:
    twins = [scan(sub="01", acq=label) for label in ("iso", "turbo")]
    made = [
        {names.record_path(OUT, twin), names.page_path(OUT, twin), names.figure_path(OUT, twin, "mosaic.webp")}
        for twin in twins
    ]
    assert not made[0] & made[1]


def test_names_are_those_of_the_design() -> None:
    made = scan(sub="01", ses="1", run="02")
    assert names.record_path(OUT, made) == OUT / "sub-01/ses-1/anat/sub-01_ses-1_run-02_desc-qa_T1w.json"
    assert names.page_path(OUT, made) == OUT / "sub-01_ses-1_run-02_T1w.html"
    assert names.record_path(OUT, scan(sub="01")) == OUT / "sub-01/anat/sub-01_desc-qa_T1w.json"
    assert names.mask_path(OUT, scan(sub="01"), "dseg") == OUT / "sub-01/anat/sub-01_space-T1w_dseg.nii.gz"


@pytest.mark.parametrize("name", ["../x.webp", "a/b.webp", "x", "{name}.webp", ".webp", "x.webp\n"])
def test_figure_names_are_checked(name: str) -> None:
    with pytest.raises(ValueError):
        names.figure_path(OUT, scan(sub="01"), name)


def test_figures_are_found_again_by_their_names(tmp_path: Path) -> None:
    one, other = scan(sub="01"), scan(sub="01", run="2")
    for made, name in ((one, "mosaic.webp"), (one, "tissue_outlines.png"), (other, "mosaic.webp")):
        path = names.figure_path(tmp_path, made, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(names.figure_paths(tmp_path, one)) == {"mosaic.webp", "tissue_outlines.png"}
    assert names.figure_paths(tmp_path, scan(sub="02")) == {}


@pytest.mark.parametrize("name", ["/etc/passwd", "sub-01_T1w.html", "T1w", "sub-../x_T1w"])
def test_output_names_refuse_what_is_no_scan(name: str) -> None:
    with pytest.raises(ValueError):
        names.page_path(OUT, name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("sub-01_T1w", None),
        ("sub-01_ses-1_task-rest_acq-a_ce-gad_rec-b_run-1_echo-2_part-mag_chunk-1_T1w", None),
        ("ses-1_sub-01_T1w", "start"),
        ("sub-01_run-1_acq-a_T1w", "order"),
        ("sub-01_foo-1_T1w", "foo"),
        ("sub-01_run-a_T1w", "number"),
        ("sub-01_part-both_T1w", "part"),
    ],
)
def test_name_rules_agree_with_the_bids_schema(name: str, problem: str | None) -> None:
    entities, _, _ = split_name(name + ".nii.gz")
    found = name_problem(entities)
    assert (found is None) == (problem is None)
    if problem:
        assert problem in str(found)


def test_allowed_entities_are_those_of_the_bids_schema() -> None:
    from bidsschematools import schema

    rules = schema.load_schema()
    allowed = {
        rules.objects.entities[name].name
        for name in rules.rules.files.raw.anat.nonparametric.entities
    }  # fmt: skip
    order = [rules.objects.entities[name].name for name in rules.rules.entities]
    assert set(RAW_ANAT_KEYS) <= allowed
    assert sorted(RAW_ANAT_KEYS, key=order.index) == list(RAW_ANAT_KEYS)
    assert allowed - set(RAW_ANAT_KEYS) <= {"sample"}
