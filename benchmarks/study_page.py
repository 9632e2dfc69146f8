# SPDX-License-Identifier: Apache-2.0
"""The study's page in Chromium: its size, how soon it is there, how fast filters and choosers answer.

Run ``python benchmarks/study_page.py [--scans 100 2000]``. The aims for 2,000 scans: shown within 3 s, a filter answers
within 0.3 s, a size of 1.3 MB for the library of plots, 0.5 MB of pictures and 1.5 KB a scan.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from group import write_study

from bidsqa.bids import names
from bidsqa.validation.tables import Table

COLUMNS = (
    "scans",
    "page, MB",
    "KB a scan",
    "written in, s",
    "first paint, s",
    "plots drawn, s",
    "filter, s",
    "all again, s",
    "text filter, s",
    "other value, s",
    "two values, s",
)
# what a user does, and the answer is there when the browser has painted twice after it
ANSWERS = """async () => {
  const painted = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
  const time = async change => {
    const start = performance.now();
    study.set(change);
    await painted();
    await painted();
    return (performance.now() - start) / 1000;
  };
  const found = {filter: [], again: [], text: [], value: [], pair: []};
  for (let turn = 0; turn < 5; turn += 1) {
    found.filter.push(await time({site: study.data.sites[turn % study.data.sites.length], decision: "pass"}));
    found.again.push(await time({site: "", decision: ""}));
    found.text.push(await time({find: "sub-0000" + turn}));
    await time({find: ""});
    found.value.push(await time({value: study.data.values[turn + 1].key}));
    found.pair.push(await time({view: "pair", against: study.data.values[turn + 2].key}));
    await time({view: "groups"});
  }
  return found;
}"""


def add_pictures(out: Path, seed: int = 0) -> None:
    """A thumbnail of noise, as large as a real one, for every record."""
    import numpy as np
    from PIL import Image

    picture = io.BytesIO()
    noise = np.random.default_rng(seed).normal(90, 22, (96, 288)).clip(0, 255).astype("uint8")
    Image.fromarray(noise).save(picture, "WEBP", quality=30)
    for record in names.iter_records(out):
        path = names.figure_path(out, names.name_of_record(record), "thumbnail.webp")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture.getvalue())


def measure(page: Path, chromium: str | None) -> dict[str, float]:
    """Seconds in Chromium, each the median of three openings or of five turns in one."""
    from playwright.sync_api import sync_playwright

    opened: list[dict[str, Any]] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri())
            tab.wait_for_selector("#figures[data-drawn]", state="attached")
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
            opened.append({"drawn": tab.evaluate("study.drawnAt / 1000"), "paint": tab.evaluate(paint)})
        answers: dict[str, list[float]] = tab.evaluate(ANSWERS)
        browser.close()
    found = {key: median(entry[key] for entry in opened) for key in ("paint", "drawn")}
    return found | {key: median(values) for key, values in answers.items()}


def main() -> None:
    """Print the table."""
    from bidsqa.study import run_group

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--write", type=Path, help="also write the table as JSON for the documentation")
    options = parser.parse_args()
    rows = []
    for count in options.scans:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            write_study(out, count)
            add_pictures(out)
            start = time.perf_counter()
            run_group(out)
            seconds = time.perf_counter() - start
            size = (out / "group.html").stat().st_size
            found = measure(out / "group.html", options.chromium)
        told = [f"{found[key]:.2f}" for key in ("paint", "drawn", "filter", "again", "text", "value", "pair")]
        rows.append([str(count), f"{size / 1e6:.2f}", f"{size / 1e3 / count:.1f}", f"{seconds:.1f}", *told])
    note = "Made-up records with all metrics, three sites and a picture each; Chromium without a graphics card. "
    note += "Times since the start of loading; answers until the browser has painted; medians. "
    note += f"{os.cpu_count()} cores, shared with other work (load average {os.getloadavg()[0]:.0f})."
    table = Table("The study's page in a browser", COLUMNS, rows, note, "python benchmarks/study_page.py")
    print(table.text())
    if options.write:
        table.write(options.write)


if __name__ == "__main__":
    main()
