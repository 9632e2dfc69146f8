# SPDX-License-Identifier: Apache-2.0
"""The page of a ruler: whole, escaped, and readable without JavaScript."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bidsqa.report import render_ruler
from bidsqa.rulers import Kind, Ruler, Threshold
from bidsqa.rulers.ruler import PERSON

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}"


@pytest.fixture
def ruler() -> Ruler:
    rng = np.random.default_rng(0)
    images = [rng.normal(100, 60 - 8 * version, (40, 48)).clip(1) for version in range(8)]
    return Ruler(
        "T1w-3D",
        np.stack(images).astype(np.uint16),
        Kind("T1w", "3D", 3.0, True, pixel=0.9),
        Threshold(4.5),
        (10.0, 13.0, 16.0, 19.0, 22.0, 25.0, 28.0),
        {"source": HOSTILE},
        "a" * 64,
    )


def about(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="about">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_all_versions_are_on_the_page_as_they_are(ruler: Ruler) -> None:
    page = render_ruler(ruler, "rulers/our")
    section = page[page.index('id="versions"') :]
    sources = re.findall(r'<img src="data:image/png;base64,([^"]+)"', section)
    assert len(sources) == 8
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]
    top = np.percentile(ruler.versions[-1], 99.5)
    wanted = np.clip(np.rint(ruler.versions[2] / top * 255), 0, 255)
    assert np.abs(shown[2] - wanted).max() <= 1
    assert "signal to noise 16.0 dB" in section
    assert "T1w 3D, brain, 3 T, with fat saturation, pixels of 0.90 mm" in page


def test_who_set_the_threshold(ruler: Ruler) -> None:
    automatic = render_ruler(ruler, "rulers/our")
    assert "threshold <strong>4.5</strong>, set by an automatic rule, no human; it accepts versions 5 to 7" in automatic
    assert about(automatic)["set"] is False
    person = ruler.with_threshold(Threshold(7.0, PERSON, HOSTILE, "2026-01-31"))
    page = render_ruler(person, "rulers/our")
    assert "set by a person" in page
    assert "version 7 alone" in page
    assert about(page)["set"] is True


def test_texts_from_outside_are_data(ruler: Ruler) -> None:
    person = ruler.with_threshold(Threshold(4.5, PERSON, HOSTILE))
    page = render_ruler(person, f"my rulers/{HOSTILE}")
    assert "<img src=x" not in page
    assert "{{7*7}}" in page
    assert about(page)["command"].startswith("bidsqa-ruler set 'my rulers/")


def test_a_shipped_ruler_is_set_in_a_copy(ruler: Ruler) -> None:
    page = render_ruler(replace(ruler, shipped=True), "T1w-3D")
    assert "bidsqa-ruler set T1w-3D 4.5 --into my-rulers" in page


def test_nothing_is_loaded_from_elsewhere(ruler: Ruler) -> None:
    page = render_ruler(ruler, "our")
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"""(?:src|href)="(?!data:|#)""", page)
    assert "<noscript>" in page
