# SPDX-License-Identifier: Apache-2.0
"""Pictures of both pages for README and docs: ``python docs/screenshots.py OUT_DIR``, an output folder of the demo.

Needs Playwright and a Chromium (``BIDSQA_CHROMIUM`` names another than the one on the path).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
PAGES = {"scan_page": "sub-01_T2w.html", "study_page": "group.html"}
WIDTH, HEIGHT = 1100, 1500
QUALITY = 80


def main(out: Path) -> None:
    """Photograph the pages of an output folder in light colours."""
    chromium = os.environ.get("BIDSQA_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        for name, file in PAGES.items():
            page.goto((out / file).resolve().as_uri())
            page.wait_for_timeout(1500)  # the plots are drawn after the page is shown
            picture = Image.open(io.BytesIO(page.screenshot()))
            picture.convert("RGB").save(IMAGES / f"{name}.webp", quality=QUALITY, method=6)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
