# SPDX-License-Identifier: Apache-2.0
"""Nipype's MultiProc plugin, finishing scans one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from nipype.pipeline.plugins.multiproc import MultiProcPlugin


class DepthFirstMultiProcPlugin(MultiProcPlugin):  # type: ignore[misc]
    """MultiProc with the ready nodes of the earliest scan first.

    MultiProc's own order starts every scan before it finishes one: the work directory would hold all scans of a batch
    at a time, and the first result would come with the last.
    """

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        ranks: dict[str, int] = {}
        for node in self.procs:
            ranks.setdefault(_scan_of(node.fullname), len(ranks))
        return sorted(jobids, key=lambda job: (ranks[_scan_of(self.procs[job].fullname)], job))


def _scan_of(fullname: str) -> str:
    """``bidsqa.scan_x.node`` to ``scan_x``."""
    return fullname.split(".")[1] if "." in fullname else fullname
