# SPDX-License-Identifier: Apache-2.0
"""The table of options of ``bidsqa-hpc``; parser and documentation are made from it."""

from __future__ import annotations

from bidsqa.cli.options import FLAG, INTEGER, NUMBER, PATH, TEXT, Option

# the first word of the command; slurm is another word for sbatch
SYSTEMS = {"sbatch": "Slurm", "pbs": "PBS Pro, OpenPBS", "sge": "Grid Engine"}
ALIASES = {"slurm": "sbatch"}
SCRIPTS, SIZES, QUEUE = "What is written", "What a task is given", "How it is handed over"
HPC_GROUPS = (SCRIPTS, SIZES, QUEUE)

HPC_OPTIONS: tuple[Option, ...] = (
    Option(
        "container",
        SCRIPTS,
        PATH,
        "Apptainer image that the tasks run (without it: this installation, which the nodes must see)",
        metavar="SIF",
    ),
    Option(
        "job-dir",
        SCRIPTS,
        PATH,
        "new folder for the scripts and logs, on a disk that the nodes see (one in OUT_DIR-jobs, named by the time)",
        metavar="DIR",
    ),
    Option("prepare", SCRIPTS, TEXT, "line of shell that each job runs first, e.g. 'module load apptainer'"),
    Option(
        "per-task",
        SIZES,
        INTEGER,
        "participants of a task (1; more where there would be more tasks than an array may have)",
        metavar="N",
        least=1,
    ),
    Option(
        "most-tasks",
        SIZES,
        INTEGER,
        "tasks of the array at most (what Slurm's MaxArraySize allows, else 1000)",
        metavar="N",
        least=1,
    ),
    Option("processes", SIZES, INTEGER, "scans at the same time in a task", default=1, metavar="N", least=1),
    Option("mem", SIZES, TEXT, "memory of a task, e.g. 3G (by the largest image)", metavar="SIZE"),
    Option(
        "minutes",
        SIZES,
        NUMBER,
        "time limit of a task (four times what its images take on a slow core, at least 10)",
        metavar="N",
        least=1,
    ),
    Option("at-once", QUEUE, INTEGER, "tasks that may run at the same time", metavar="N", least=1),
    Option("partition", QUEUE, TEXT, "partition (Slurm) or queue", metavar="NAME"),
    Option("account", QUEUE, TEXT, "account (Slurm, PBS) or project that is charged", metavar="NAME"),
    Option("native", QUEUE, TEXT, 'further options of sbatch or qsub: --native="--qos=long"', metavar='"..."'),
    Option("submit", QUEUE, FLAG, "hand the jobs over as well", default=False),
)
