# SPDX-License-Identifier: Apache-2.0
"""The pictures of a study's main plots."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from PIL import Image

from bidsqa.report.study_figures import MOST_ROWS, draw_study_figures
from bidsqa.report.study_scan import StudyScan, StudyValue

VALUES = [
    StudyValue("severity", "Severity", "", "lower is better"),
    StudyValue("ssim", "Similarity", "", "higher is better"),
    StudyValue("cjv", "cjv", "", "lower is better"),
    StudyValue("efc", "efc", "", "lower is better", "$a$"),
    StudyValue("fber", "fber", "", "", chief=False),
]


def study(count: int, sites: int) -> list[StudyScan]:
    """Scans at sites whose names would be formulas, or aren't in the font."""
    return [
        StudyScan(
            name=f"sub-{at}",
            suffix="T1w",
            site=f"$\\frac{{ {at % sites} 東京",
            entities={},
            status="ok",
            decision=("pass", "review", "fail")[at % 3],
            reasons=[],
            outliers=[],
            values={"severity": at / 9, "cjv": 0.4, "efc": at % 5, "fber": 1.0},
            page="x.html",
        )
        for at in range(count)
    ]


def test_each_score_has_a_picture_and_the_metrics_share_one() -> None:
    drawn = draw_study_figures(study(30, 4), VALUES)
    names = ("decisions", "severity", "metrics")
    assert sorted(drawn) == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    for name in names:
        with Image.open(io.BytesIO(drawn[f"{name}.png"])) as picture:
            assert picture.width == 1400
        assert ElementTree.fromstring(drawn[f"{name}.svg"]).tag.endswith("svg")
    assert len(set(drawn.values())) == 6


def test_the_same_scans_give_the_same_bytes() -> None:
    assert draw_study_figures(study(20, 2), VALUES) == draw_study_figures(study(20, 2), VALUES)


def test_too_many_sites_for_one_picture_are_drawn_together() -> None:
    few = Image.open(io.BytesIO(draw_study_figures(study(MOST_ROWS, MOST_ROWS), VALUES[:1])["severity.png"]))
    many = Image.open(io.BytesIO(draw_study_figures(study(MOST_ROWS + 1, MOST_ROWS + 1), VALUES[:1])["severity.png"]))
    assert few.height > 5 * many.height


@pytest.mark.slow
def test_neither_home_nor_a_users_settings_are_needed(tmp_path: os.PathLike[str]) -> None:
    program = (
        "from tests_study import study, VALUES, draw_study_figures; import hashlib; "
        "print(hashlib.sha256(draw_study_figures(study(9, 2), VALUES)['severity.svg']).hexdigest())"
    ).replace("tests_study", "test_study_figures")
    digests, folder = set(), os.path.dirname(__file__)
    for settings in ("", "axes.facecolor: red\nfont.size: 30\nbackend: TkAgg\n"):
        home = os.path.join(tmp_path, f"home{len(settings)}")
        os.makedirs(os.path.join(home, ".config", "matplotlib"))
        with open(os.path.join(home, ".config", "matplotlib", "matplotlibrc"), "w", encoding="utf-8") as handle:
            handle.write(settings)
        before = {path for _, _, files in os.walk(home) for path in files}
        environment = {**os.environ, "HOME": home, "PYTHONPATH": folder, "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
        environment.pop("MPLCONFIGDIR", None)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=120
        )
        digests.add(done.stdout)
        assert done.stderr == ""
        assert {path for _, _, files in os.walk(home) for path in files} == before
    assert len(digests) == 1
