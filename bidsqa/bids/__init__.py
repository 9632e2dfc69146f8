# SPDX-License-Identifier: Apache-2.0
"""BIDS: scans of a dataset, their sidecars, the names of outputs, atomic writing."""

from bidsqa.bids.collect import Collection, collect_scans
from bidsqa.bids.scan import JUDGED_SUFFIXES, Scan, split_name
from bidsqa.bids.selection import Selection
from bidsqa.bids.sidecar import acquisition
from bidsqa.bids.writing import atomic_path, write_atomic

__all__ = [
    "JUDGED_SUFFIXES",
    "Collection",
    "Scan",
    "Selection",
    "acquisition",
    "atomic_path",
    "collect_scans",
    "split_name",
    "write_atomic",
]
