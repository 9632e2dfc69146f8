# SPDX-License-Identifier: Apache-2.0
"""A real browser (Debian's Chromium), and a study's pages made without images' processing."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from bidsqa.bids import names
from bidsqa.image import Volume
from bidsqa.models import Score, SliceScores
from bidsqa.rating import read_ratings
from bidsqa.rating.store import Store, store_path
from bidsqa.record import Record
from bidsqa.report import render_scan
from bidsqa.simulation.phantom import Phantom
from bidsqa.study import run_group
from bidsqa.validation.example_records import example_record, failed_record
from bidsqa.verdict import load_rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

CHROMIUM = os.environ.get("BIDSQA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>\"'{{7*7}}%s"
SCAN = "sub-01_T1w"


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


@pytest.fixture
def visit(browser: Browser) -> Callable[..., AbstractContextManager[Page]]:
    """Opens a page in a window of its own; it must stay silent and ask for nothing outside.

    ``visit(path, view)``, with further options of the browser's window by name; `view` is what follows the address.
    ``folder``: it may ask for files beside it, ``lost``: which may be missing. ``setup``: a script to run first.
    ``ready``: what must be there before the visit begins. ``agrees``: the beginning of a question to say yes to.
    """

    @contextmanager
    def opened(
        path: Path,
        view: str = "",
        *,
        folder: bool = False,
        lost: bool = False,
        setup: str = "",
        ready: str = "",
        agrees: str = "",
        **options: Any,
    ) -> Iterator[Page]:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))

        def answer(dialog: Dialog) -> None:
            if agrees and dialog.message.startswith(agrees):
                dialog.accept()
            else:
                said.append(dialog.message)
                dialog.dismiss()

        page.on("dialog", answer)
        if setup:
            page.add_init_script(setup)
        page.goto(path.as_uri() + view)
        if ready and options.get("java_script_enabled", True):
            page.wait_for_selector(ready, state="attached")
        yield page
        assert [text for text in said if not (lost and "ERR_FILE_NOT_FOUND" in text)] == []
        allowed = ("data:", "blob:", (path.parent.as_uri() + "/") if folder else path.as_uri())
        assert asked
        assert [url for url in asked if not url.startswith(allowed)] == []
        context.close()

    return opened


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
def scan(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom) -> Path:
    """A page whose verdict names slices, with maps of the middle axial and sagittal slice."""
    volume = phantom_3mm.image("T1w", seed=1)
    middle = volume.shape[2] // 2
    scores = {}
    for name, base in (("severity", 0.3), ("ssim", 0.95)):
        parts = []
        for plane, axis in (("axial", 2), ("sagittal", 0)):
            near = volume.shape[axis] // 2
            index = tuple(range(near - 12, near + 13, 3 if name == "severity" else 2))
            bad = [math.exp(-((at - near - 6) ** 2) / 8) for at in index]
            parts.append(
                SliceScores(plane, index, tuple(base + (2.5 if name == "severity" else -0.5) * b for b in bad))
            )
        scores[name] = Score(1.6 if name == "severity" else 0.8, 0.05, "", tuple(parts))
    record = example_record(SCAN)
    record.scores = {name: score.to_dict() for name, score in scores.items()}
    record.verdict = example_record(SCAN, damage=0.4, rules=load_rules()).verdict
    text = f"motion: severity 1.6 is above 1, axial slices {middle + 3}-{middle + 9} worst"
    record.verdict["reasons"] = [{"rule": "severity", "name": "scores.severity.value", "text": text, "level": "review"}]
    record.verdict["decision"] = "review"
    path = tmp_path_factory.mktemp("scan") / f"{SCAN}.html"
    path.write_text(render_scan(record, small_figures(volume, scores)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom) -> Path:
    """An output folder: 20 scans at three scanners, good, doubtful, bad, failed and one with hostile texts."""
    out, rules = tmp_path_factory.mktemp("pages"), load_rules()
    figures = small_figures(phantom_3mm.image("T1w", seed=1))
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


class Running:
    """An app in a process of its own."""

    def __init__(self, root: Path, ratings: Path, *options: str) -> None:
        self.ratings = ratings
        command = [sys.executable, "-P", "-m", "bidsqa.cli.rate", str(root), str(ratings), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, text=True)  # fmt: skip
        self.addresses: dict[str, str] = {}
        assert self.process.stdout
        for line in self.process.stdout:
            found = re.search(r"^(.*?):? ?(http://\S+)$", line)
            if found:
                self.addresses[found[1]] = found[2]
            if line.startswith("Each address"):
                break

    def kill(self) -> None:
        """As a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def answers(self, name: str, task: str) -> pd.DataFrame:
        store = Store(store_path(self.ratings))
        code = store.reader(name).code
        store.close()
        table = read_ratings(self.ratings, task, kinds=("main", "practice", "repeat", "catch"))
        return table[table["rater"] == code]


@contextmanager
def _running(root: Path, ratings: Path, *options: str) -> Iterator[Running]:
    app = Running(root, ratings, *options)
    try:
        yield app
    finally:
        if app.process.poll() is None:
            app.kill()


@pytest.fixture(scope="session")
def running() -> Callable[..., AbstractContextManager[Running]]:
    """Starts the rating app: dataset, folder of the ratings, options."""
    return _running
