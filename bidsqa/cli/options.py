# SPDX-License-Identifier: Apache-2.0
"""The table of options: one row each; parser, config file, saved settings and documentation are made from it."""

from __future__ import annotations

from dataclasses import dataclass

TEXT, PATH, INTEGER, NUMBER, LIST, FLAG, COUNT = "text", "path", "integer", "number", "list", "flag", "count"


@dataclass(frozen=True)
class Option:
    """One option of ``bidsqa``.

    Parameters
    ----------
    name : str
        Long name without dashes in front, words joined by dashes; underscores are accepted as well.
    group : str
        Heading in the help.
    kind : str
        ``text``, ``path``, ``integer``, ``number``, ``list`` (of texts), ``flag`` or ``count``.
    help : str
        What it does, for the user.
    default : object
        Value where the option isn't given.
    metavar : str
        Placeholder in the help.
    choices : tuple of str
        The values there are, where they are fixed.
    short : str
        One letter, or empty.
    least, most : float or None
        Bounds of a number.
    above : bool
        The lower bound itself is too small.
    """

    name: str
    group: str
    kind: str
    help: str
    default: object = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    short: str = ""
    least: float | None = None
    most: float | None = None
    above: bool = False

    @property
    def key(self) -> str:
        """Name as Python and the config file know it: ``work-dir`` -> ``work_dir``."""
        return self.name.replace("-", "_")

    @property
    def flags(self) -> tuple[str, ...]:
        """All spellings on the command line, the documented one first."""
        spellings = [f"--{self.name}"] + ([f"--{self.key}"] if self.key != self.name else [])
        return (*([f"-{self.short}"] if self.short else []), *spellings)


ANALYSIS_LEVELS = ("participant", "group")
SELECT, METHOD, RUN, OUTPUT, OTHER = (
    "Which scans",
    "How they are judged",
    "How the work is run",
    "What is written",
    "Other",
)
STUDY = "The group level"
GROUPS = (SELECT, METHOD, RUN, OUTPUT, STUDY, OTHER)

OPTIONS: tuple[Option, ...] = (
    Option("participant-label", SELECT, LIST, "participants, with or without sub- (all by default)", metavar="LABEL"),
    Option("session-label", SELECT, LIST, "sessions, with or without ses- (all by default)", metavar="LABEL"),
    Option("run-label", SELECT, LIST, "runs, with or without run-; 1 finds run-01 too", metavar="LABEL"),
    Option("task-label", SELECT, LIST, "tasks, with or without task-", metavar="LABEL"),
    Option(
        "modalities",
        SELECT,
        LIST,
        "kinds of images",
        metavar="SUFFIX",
        choices=("T1w", "T2w", "FLAIR", "PDw"),
        short="m",
    ),
    Option(
        "bids-filter-file",
        SELECT,
        PATH,
        'JSON that narrows the choice down, e.g. {"t1w": {"acquisition": "Query.NONE"}}; as for fMRIPrep',
        metavar="FILE",
    ),
    Option(
        "bids-database-dir",
        SELECT,
        PATH,
        "folder of a PyBIDS index: used where it exists, else made there (rarely needed: only the folders asked for "
        "are read anyway)",
        metavar="DIR",
    ),
    Option(
        "skip-bids-validation",
        SELECT,
        FLAG,
        "take images whose names break BIDS, and a dataset without description",
        default=False,
    ),
    Option(
        "models",
        METHOD,
        LIST,
        "scores to compute (severity ssim by default; none: metrics only, and then no scan passes)",
        metavar="NAME",
    ),
    Option("weights", METHOD, LIST, "your own weights for a model", metavar="NAME=FILE"),
    Option(
        "slice-fraction",
        METHOD,
        NUMBER,
        "share of the head's slices that is scored, the middle ones (%(default)s)",
        default=0.6,
        metavar="SHARE",
        least=0.0,
        most=1.0,
        above=True,
    ),
    Option(
        "thresholds", METHOD, PATH, "your own rules of the verdict (TOML); they override ours by key", metavar="FILE"
    ),
    Option("random-seed", METHOD, INTEGER, "seed of everything random (%(default)s)", default=0, metavar="N", least=0),
    Option("nprocs", RUN, INTEGER, "scans at the same time (all CPUs there are)", metavar="N", least=1),
    Option("omp-nthreads", RUN, INTEGER, "threads of one process (%(default)s)", default=1, metavar="N", least=1),
    Option(
        "mem-gb",
        RUN,
        TEXT,
        "memory for everything together: 8, 1.5G or 1500M; fewer scans run at a time where they need more, one that "
        "needs more alone is refused (most of what the machine, container or job has)",
        metavar="SIZE",
    ),
    Option(
        "scan-minutes",
        RUN,
        NUMBER,
        "minutes that the steps of one scan may take; one that takes longer fails, the others go on (%(default)s; "
        "with --use-plugin the batch system limits them)",
        default=60,
        metavar="N",
        least=0.0,
        above=True,
    ),
    Option("device", RUN, TEXT, "where networks run (%(default)s)", default="auto", choices=("auto", "cpu", "cuda")),
    Option(
        "use-plugin",
        RUN,
        PATH,
        'Nipype plugin and its arguments (YAML, JSON or TOML): {"plugin": "SLURM", "plugin_args": {...}}',
        metavar="FILE",
    ),
    Option(
        "work-dir",
        RUN,
        PATH,
        "folder for intermediate files (one in the system's temporary folder, removed at the end)",
        metavar="DIR",
        short="w",
    ),
    Option("keep-work", RUN, FLAG, "leave the intermediate files", default=False),
    Option(
        "force",
        RUN,
        FLAG,
        "do everything again, also what is done already; take an OUT_DIR that holds other things",
        default=False,
    ),
    Option("stop-on-first-crash", RUN, FLAG, "end the run with the first failed scan", default=False),
    Option(
        "config-file",
        RUN,
        PATH,
        "options from a TOML file, one key = value a line; the command line has the last word",
        metavar="FILE",
    ),
    Option("dry-run", OUTPUT, FLAG, "only tell which scans there are and what would be done", default=False),
    Option("reports-only", OUTPUT, FLAG, "draw the pages anew from the records; the scans are not read", default=False),
    Option("output-masks", OUTPUT, FLAG, "also write brain masks and tissue segmentations", default=False),
    Option("no-saliency", OUTPUT, FLAG, "leave the maps of where the networks look off the pages", default=False),
    Option("write-graph", OUTPUT, FLAG, "draw the steps of a scan as a graph into OUT/logs", default=False),
    Option(
        "site-column",
        STUDY,
        TEXT,
        "column of participants.tsv that names the sites (site, site_id or the like if there is one; none: institution "
        "and scanner name them)",
        metavar="NAME",
    ),
    Option(
        "harmonise",
        STUDY,
        FLAG,
        "add columns with the metrics freed of what differs between sites; decisions never use them",
        default=False,
    ),
    Option(
        "strict",
        STUDY,
        FLAG,
        "refuse scans that different versions, settings or thresholds judged, instead of noting it",
        default=False,
    ),
    Option("verbose", OTHER, COUNT, "tell more; twice: everything", default=0, short="v"),
    Option("notrack", OTHER, FLAG, "accepted for compatibility; bidsqa never sends anything anywhere", default=False),
)

OPTION_KEYS: dict[str, Option] = {option.key: option for option in OPTIONS}
