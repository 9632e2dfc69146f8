# SPDX-License-Identifier: Apache-2.0
"""A real browser (Debian's Chromium), and a study's pages made without images' processing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from bidsqa.bids import names
from bidsqa.image import Volume
from bidsqa.models import Score
from bidsqa.record import Record
from bidsqa.report import render_scan
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = os.environ.get("BIDSQA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield opened
        opened.close()


def small_figures(volume: Volume, scores: Mapping[str, Score] = MappingProxyType({})) -> dict[str, bytes]:
    """Real figures of a phantom scan with its rough head as every mask, and made-up maps of two slices."""
    import numpy as np

    from bidsqa.anatomy import Anatomy
    from bidsqa.image import rough_head
    from bidsqa.models.local_map import LocalMap
    from bidsqa.report import draw_figures

    head = rough_head(volume).astype(np.uint8)
    anatomy = Anatomy(
        head=head,
        brain=head,
        hat=1 - head,
        air=1 - head,
        frame=0 * head,
        dseg=2 * head,
        posteriors=np.zeros((3, *volume.shape), dtype=np.float16),
        bias_field=np.ones(volume.shape, dtype=np.float32),
    )
    grid = np.linspace(0, 2, 64, dtype=np.float16).reshape(8, 8)
    maps = [
        LocalMap(name, axis, volume.shape[axis] // 2, 1.0, grid, (0.0, 0.0), (10.0, 10.0))
        for name in ("severity", "ssim")
        for axis in (2, 0)
    ]
    return draw_figures(volume, anatomy, scores, maps)


@pytest.fixture(scope="session")
def figures_of() -> Callable[..., dict[str, bytes]]:
    """`small_figures`, for tests that make pages of their own."""
    return small_figures


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: object) -> Path:
    """An output folder: 20 scans at three scanners, good, doubtful, bad, failed and one with hostile texts."""
    out, rules = tmp_path_factory.mktemp("pages"), load_rules()
    figures = small_figures(phantom_3mm.image("T1w", seed=1))  # type: ignore[attr-defined]
    records: list[Record] = []
    for at in range(9):
        for suffix in ("T1w", "T2w"):
            damage = {2: 0.35, 5: 1.0}.get(at, 0.0)
            records.append(example_record(f"sub-{at:02d}_{suffix}", suffix, seed=at, damage=damage, rules=rules))
    records.append(failed_record("sub-20_T1w", rules=rules))
    poisoned = example_record("sub-21_T1w", seed=1, damage=0.4, rules=rules)
    poisoned.acquisition |= {"InstitutionName": HOSTILE, "ProtocolName": HOSTILE}
    poisoned.warnings = [HOSTILE]
    poisoned.verdict["reasons"][0] |= {"text": HOSTILE, "advice": HOSTILE}
    records.append(poisoned)
    for record in records:
        pictures = figures if record.status == "ok" else {}
        names.record_path(out, record.bids_name).parent.mkdir(parents=True, exist_ok=True)
        names.record_path(out, record.bids_name).write_text(record.dumps(), encoding="utf-8")
        names.page_path(out, record.bids_name).write_text(render_scan(record, pictures), encoding="utf-8")
        for name, content in pictures.items():
            path = names.figure_path(out, record.bids_name, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    run_group(out)
    return out
