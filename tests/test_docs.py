# SPDX-License-Identifier: Apache-2.0
"""The documentation builds, and says what the code does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

import bidsqa

ROOT = Path(__file__).resolve().parents[1]
REMOTE = re.compile(r"https?://(?!doi\.org|github\.com|arxiv\.org|bids-apps\.neuroimaging\.io|www\.apache\.org)[\w.-]+")


@pytest.mark.slow
def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    source = tmp_path / "repository" / "docs"
    # a copy, since the model cards are put into docs/generated
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("_build", "generated"))
    for name in ("CONTRIBUTING.rst", "CHANGES.rst"):
        shutil.copy(ROOT / name, source.parent / name)
    command = [
        sys.executable,
        "-P",
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(source),
        str(tmp_path / "html"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    metrics = (tmp_path / "html" / "metrics.html").read_text(encoding="utf-8")
    assert 'id="metric-cjv"' in metrics


def test_one_version_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {bidsqa.__version__}\n" in citation
    assert f"\n{bidsqa.__version__} (" in (ROOT / "CHANGES.rst").read_text(encoding="utf-8")


def test_constraints_fit_the_requirements() -> None:
    """Each direct dependency is pinned, once, without a local label that only some machines could find."""
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert "+" not in version
            assert name not in pinned
            pinned[name] = version
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    required = re.findall(
        r"^    ([A-Za-z][\w-]*)(?: >= [\d.]+)?$",
        setup.split("install_requires =")[1].split("[options.package_data]")[0],
        re.M,
    )
    missing = [name for name in required if name.lower() not in pinned]
    assert "torch" in pinned
    assert not missing


def test_committed_text_names_no_place_of_one_machine() -> None:
    for path in [
        *ROOT.glob("*.rst"),
        *(ROOT / "docs").glob("*.rst"),
        ROOT / "setup.cfg",
        ROOT / "constraints.txt",
        *ROOT.glob(".ci/*"),
    ]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(root|home|work|opt)/", text), path
        assert not REMOTE.findall(text), path


def test_every_doi_of_a_metric_is_linked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    import tables

    from bidsqa.metrics import METRICS

    for row in METRICS:
        wanted = re.findall(r"doi (10\.\S+?)(?=[,;]? |$)", row.source)
        linked = [unquote(found) for found in re.findall(r"https://doi\.org/([^>]+)>`__", tables.escape(row.source))]
        assert linked == wanted, row.name
