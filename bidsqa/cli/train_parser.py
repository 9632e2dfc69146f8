# SPDX-License-Identifier: Apache-2.0
"""The command line of ``bidsqa-train``, made from its tables of options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bidsqa
from bidsqa.cli.options import LIST, PATH
from bidsqa.cli.parser import Formatter, Parser, add_option
from bidsqa.cli.train_options import OPTIONS_OF, PLACES_OF, TASKS
from bidsqa.errors import UsageError

DESCRIPTION = "Trains the networks of bidsqa on your own good scans, or judges weights on them."
EXAMPLES = """\
examples:
  bidsqa-train severity study own --minutes 60
      go on from the shipped weights; own/severity.onnx and its card own/severity.md are the result
  bidsqa study out participant --weights severity=own/severity.onnx
      judge scans with them
  bidsqa-train ssim study own-ssim --start none --steps 20000 --device cuda
      from random weights, on a GPU
  bidsqa-train noise_motion study own-noise --ratings ratings
      noise by what your readers still accept, from their answers to min_acceptable in `bidsqa-rate study ratings`
  bidsqa-train ranking study own-ranking --ratings ratings
      a network that ranks as your readers do, from what they answered in `bidsqa-rate study ratings`
  bidsqa-train verdict out/group_T1w.tsv ratings
      what your readers accept, as readers.toml for `bidsqa OUT group --thresholds readers.toml`
  bidsqa-train evaluate other own-tables --weights severity=own/severity.onnx
      tables of how well the weights do on the good scans of another dataset

`bidsqa-train TASK --help` lists the options. Started again, a training goes on where it was.
exit codes: 0 fine; 2 wrong usage or scans that can't be used; 130, 143 stopped by a signal, to go on later.
Nothing is ever sent anywhere.
"""


NAME = "bidsqa-train"
# what changes from one start to the next without changing the training, and where things lie
PLACES = ("device", "omp_nthreads", "log", "force", "config_file", "start", "ratings")


@dataclass(frozen=True)
class Asked:
    """What the command line and the config file ask for.

    Parameters
    ----------
    task : str
        A key of ``TASKS``.
    bids_dir, output_dir : Path
        The two places of ``PLACES_OF``, absolute: of the verdict the group level's table and the ratings.
    options : dict
        Value of every option of the task by key, defaults included.
    given : dict
        Those that were given.
    """

    task: str
    bids_dir: Path
    output_dir: Path
    options: dict[str, Any]
    given: dict[str, Any]


def build_parser() -> Parser:
    """The parser of ``bidsqa-train``; options that are not given are absent from its result.

    Returns
    -------
    Parser
        Its `parse_args` raises `UsageError`.
    """
    parser = Parser(
        prog="bidsqa-train",
        usage=f"bidsqa-train {{{','.join(TASKS)}}} BIDS_DIR OUT_DIR [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}", help="print the version")
    # not "task", which is an option of one of them
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", dest="trained", required=True)
    for task, says in TASKS.items():
        own = tasks.add_parser(
            task,
            prog=f"bidsqa-train {task}",
            usage=f"bidsqa-train {task} {' '.join(name for name, _ in PLACES_OF[task])} [options]",
            help=says,
            description=f"{says[0].upper()}{says[1:]}.",
            formatter_class=Formatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            add_help=False,
        )
        folders = own.add_argument_group("What and where")
        for dest, (metavar, told) in zip(("bids_dir", "output_dir"), PLACES_OF[task], strict=True):
            folders.add_argument(dest, metavar=metavar, help=told)
        for title in dict.fromkeys(option.group for option in OPTIONS_OF[task]):
            group = own.add_argument_group(title)
            for option in OPTIONS_OF[task]:
                if option.group == title:
                    add_option(group, option)
        group.add_argument("-h", "--help", action="help", help="print this")
    return parser


def parse(arguments: Sequence[str]) -> Asked:
    """Parse the command line, with the options of a ``--config-file`` under it.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Raises
    ------
    UsageError
        Something is wrong with it.
    """
    if not arguments:
        raise UsageError("Task and folders are missing.", "Example: bidsqa-train severity BIDS_DIR OUT_DIR")
    parser = build_parser()
    given = vars(parser.parse_args(list(arguments)))
    table = {option.key: option for option in OPTIONS_OF[given["trained"]]}
    if "config_file" in given:
        from bidsqa.cli.config import config_arguments

        words = config_arguments(Path(given["config_file"]).expanduser(), table)
        given = {**vars(parser.parse_args([given["trained"], given["bids_dir"], given["output_dir"], *words])), **given}
    options: dict[str, Any] = {}
    for key, option in table.items():
        value = given.get(key, option.default)
        if option.kind == LIST:
            value = tuple(value or ())
        elif option.kind == PATH and value is not None:
            value = Path(value).expanduser().absolute()
        options[key] = value
    root, out = (Path(given[name]).expanduser().absolute() for name in ("bids_dir", "output_dir"))
    return Asked(given["trained"], root, out, options, {key: options[key] for key in table if key in given})


def command_of(asked: Asked) -> str:
    """The command without the places of this machine."""
    words = [NAME, asked.task, "BIDS_DIR", "OUT_DIR"]
    if "start" in asked.given:
        words += ["--start", Path(asked.given["start"]).name]
    if "ratings" in asked.given:
        words += ["--ratings", "RATINGS"]
    for key, value in asked.given.items():
        if key in PLACES or value is False:
            continue
        words.append(f"--{key.replace('_', '-')}")
        if value is not True:
            words += [str(part) for part in (value if isinstance(value, tuple) else (value,))]
    return " ".join(words)
