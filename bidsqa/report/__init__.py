# SPDX-License-Identifier: Apache-2.0
"""Pictures and pages: a scan's, and a study's."""

from bidsqa.report.figures import draw_figures
from bidsqa.report.local_maps import LOCAL_MAP
from bidsqa.report.ruler_page import render_ruler
from bidsqa.report.ruler_strip import BESIDE_RULER, draw_ruler_strip
from bidsqa.report.scan_page import render_scan
from bidsqa.report.study_page import render_study

__all__ = [
    "BESIDE_RULER",
    "LOCAL_MAP",
    "draw_figures",
    "draw_ruler_strip",
    "render_ruler",
    "render_scan",
    "render_study",
]
