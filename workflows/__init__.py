# SPDX-License-Identifier: Apache-2.0
"""The Nipype side: graphs around the steps of ``bidsqa.steps``, and running them.

Installed as ``bidsqa.workflows``; importing it does not import Nipype.
"""

from .run import run_scans, write_graph
from .watching import Event, RunResult

__all__ = ["Event", "RunResult", "run_scans", "write_graph"]
