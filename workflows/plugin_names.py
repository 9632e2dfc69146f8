# SPDX-License-Identifier: Apache-2.0
"""Which of Nipype's plugins hand the work to a batch system; without importing Nipype."""

from __future__ import annotations

# their jobs run on other machines: files between them need a folder that all of these see
BATCH_PLUGINS = frozenset({"SLURM", "SLURMGraph", "PBS", "SGE", "LSF", "OAR", "Condor"})
# these return when everything is handed over, and nothing here can wait for it
NEVER_WAITING = {"PBSGraph": "PBS", "SGEGraph": "SGE", "CondorDAGMan": "Condor", "SomaFlow": "SLURM"}
