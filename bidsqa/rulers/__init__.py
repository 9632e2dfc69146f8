# SPDX-License-Identifier: Apache-2.0
"""Image rulers: eight versions of one slice from worst to best, against which a scan's noise is read."""

from bidsqa.rulers.folder import read_ruler, write_ruler, write_threshold
from bidsqa.rulers.matching import Match, kind_of_scan, match_ruler
from bidsqa.rulers.reading import MODEL, place_scan, read_on_ruler, ruler_levels
from bidsqa.rulers.ruler import Kind, Ruler, Threshold
from bidsqa.rulers.shelf import own_rulers, rulers_at_hand, shipped_rulers

__all__ = [
    "MODEL",
    "Kind",
    "Match",
    "Ruler",
    "Threshold",
    "kind_of_scan",
    "match_ruler",
    "own_rulers",
    "place_scan",
    "read_on_ruler",
    "read_ruler",
    "ruler_levels",
    "rulers_at_hand",
    "shipped_rulers",
    "write_ruler",
    "write_threshold",
]
