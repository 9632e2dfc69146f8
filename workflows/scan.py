# SPDX-License-Identifier: Apache-2.0
"""The graph of one scan, and the graph of several."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.image.loading import MAXIMUM_VOXELS
from bidsqa.image.nifti import open_nifti

from .job import Job

if TYPE_CHECKING:
    from nipype.pipeline.engine import Workflow

LONGEST_FOLDER = 200
# upper bounds of what benchmarks/memory.py measures at each step's peak: GB (10⁹ bytes) of a worker with its libraries
# and networks, and bytes a voxel
STEP_MEMORY = {
    "conform": (0.42, 12.0),
    "score": (0.54, 8.5),
    "anatomy": (0.58, 26.0),
    "metrics": (0.42, 39.5),
    "figures": (0.42, 24.0),
    "record": (0.42, 18.0),
}


@dataclass(frozen=True)
class Need:
    """What one scan needs.

    Parameters
    ----------
    voxels : int
        As its header says; 0 where it can't be read.
    """

    voxels: int

    def gigabytes(self, step: str) -> float:
        """Peak memory of the process of a step (one of `STEP_MEMORY`) in GB."""
        worker, voxel = STEP_MEMORY[step]
        return worker + self.voxels * voxel / 1e9

    @property
    def peak(self) -> float:
        """Peak memory of the scan's hungriest step in GB."""
        return max(self.gigabytes(step) for step in STEP_MEMORY)


def need_of(path: Path) -> Need:
    """What the scan will need, by its header alone."""
    try:
        image: Any = open_nifti(path)
        voxels = 1
        for edge in image.shape[:3]:
            voxels *= max(1, int(edge))
    except Exception:  # whatever is wrong with the file is told by its conform step
        return Need(0)
    # what is refused for its size needs nothing, and must not slow down the others
    return Need(voxels if voxels <= MAXIMUM_VOXELS else 0)


def init_scan_wf(*, job: Job, need: Need, name: str) -> Workflow:
    """The graph of one scan.

    ``conform`` feeds one node a model and ``anatomy``; ``metrics`` and ``figures`` read the masks; ``record`` gathers
    all and writes the outputs.

    Parameters
    ----------
    job : Job
        The scan's input, outputs and settings.
    need : Need
        Its memory.
    name : str
        The graph's name, letters, digits and underscores.

    Returns
    -------
    Workflow
        Without inputs or outputs: everything is in the job.
    """
    from nipype.interfaces.utility import Merge
    from nipype.pipeline import engine as pe

    from . import interfaces

    text = job.dumps()
    settings = job.parsed_settings

    def node(kind: Any, label: str, cost: str, **inputs: Any) -> Any:
        return pe.Node(kind(job=text, **inputs), name=label, mem_gb=need.gigabytes(cost), n_procs=settings.threads)

    workflow = pe.Workflow(name=name)
    conform = node(interfaces.Conform, "conform", "conform")
    anatomy = node(interfaces.Delineate, "anatomy", "anatomy")
    metrics = node(interfaces.Measure, "metrics", "metrics")
    figures = node(interfaces.DrawFigures, "figures", "figures")
    record = node(interfaces.WriteRecord, "record", "record")
    workflow.connect(
        [
            (conform, anatomy, [("out_file", "volume")]),
            (conform, metrics, [("out_file", "volume")]),
            (conform, figures, [("out_file", "volume")]),
            (conform, record, [("out_file", "volume")]),
            (anatomy, metrics, [("out_file", "anatomy")]),
            (anatomy, figures, [("out_file", "anatomy")]),
            (anatomy, record, [("out_file", "anatomy")]),
            (metrics, record, [("out_file", "metrics")]),
            (figures, record, [("out_file", "figures")]),
        ]
    )
    if settings.models:
        gather = pe.Node(Merge(len(settings.models)), name="scores", run_without_submitting=True)
        for position, model in enumerate(settings.models, start=1):
            scored = node(interfaces.ScoreScan, model, "score", model=model)
            workflow.connect(conform, "out_file", scored, "volume")
            workflow.connect(scored, "out_file", gather, f"in{position}")
        workflow.connect(gather, "out", figures, "scores")
        workflow.connect(gather, "out", record, "scores")
    return workflow


def init_scans_wf(*, jobs: Sequence[tuple[Job, Need]], base_dir: Path, name: str = "bidsqa") -> Workflow:
    """One sub-graph per scan; they share nothing.

    Parameters
    ----------
    jobs : sequence of (Job, Need)
    base_dir : Path
        The work directory.
    """
    from nipype.pipeline import engine as pe

    workflow = pe.Workflow(name=name, base_dir=str(base_dir))
    for job, need in jobs:
        workflow.add_nodes([init_scan_wf(job=job, need=need, name=scan_wf_name(job.source["bids_name"]))])
    return workflow


def scan_wf_name(bids_name: str) -> str:
    """The graph's name of a scan: letters, digits and underscores, one for each name, short enough for a folder."""
    name = "scan_" + re.sub(r"\W", lambda odd: f"_{ord(odd.group()):x}_", bids_name)
    if len(name) <= LONGEST_FOLDER:
        return name
    return f"{name[: LONGEST_FOLDER - 17]}_{hashlib.sha256(bids_name.encode()).hexdigest()[:16]}"
