# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-import-mriqc MRIQC_OUT OUT``: an existing study of MRIQC as tables and pages of bidsqa."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import bidsqa
from bidsqa.cli.console import FINE, SOME_FAILED, run_command
from bidsqa.cli.parser import Parser
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.group.mriqc_import import Survey
    from bidsqa.record import Record
    from bidsqa.verdict import Rules

NAME = "bidsqa-import-mriqc"
MOST_PROBLEMS = 20
DESCRIPTION = """\
Takes the results that MRIQC left (a JSON file a scan, or only the group tables) into records, pages and tables of
bidsqa: to sort them, find outliers and other protocols, and compare sites. No image is read, so there are no learned
scores, and no scan passes. Numbers that a version of MRIQC gets wrong are left out, with the reason; its own numbers
stay in the record.
"""
EXAMPLES = """\
examples:
  bidsqa-import-mriqc study/derivatives/mriqc study-qa
  bidsqa-import-mriqc mriqc-tables study-qa --mriqc-version 0.16.1
      a folder with group_T1w.tsv alone, which doesn't tell who wrote it
  bidsqa study study-qa group
      join participants.tsv of the dataset; options for sites stand here

exit codes: 0 all was imported; 1 some files could not be; 2 wrong usage or nothing to import.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's by default, without the program's name.

    Returns
    -------
    int
        0 all was imported, 1 some files could not be, 2 wrong usage or nothing to import, 130 or 143 stopped.
    """
    return run_command(NAME, lambda: _run(build_parser().parse_args(arguments)))


def build_parser() -> Parser:
    """The parser of the command; its `parse_args` raises `UsageError`."""
    parser = Parser(
        prog=NAME,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("mriqc_out", metavar="MRIQC_OUT", help="what MRIQC wrote; it is only read")
    parser.add_argument("out", metavar="OUT", help="for records, pages and tables")
    parser.add_argument(
        "--mriqc-version",
        metavar="VERSION",
        default="",
        help="the version that wrote the files, where they don't tell it",
    )
    parser.add_argument("--thresholds", metavar="FILE", help="your own rules of the verdict (TOML)")
    parser.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}")
    return parser


def _run(given: argparse.Namespace) -> int:
    from bidsqa.cli.checks import check_room, make_folder
    from bidsqa.cli.progress import count, printable
    from bidsqa.group.mriqc_faults import parse_version
    from bidsqa.group.mriqc_import import Survey, read_mriqc, record_of
    from bidsqa.verdict import load_rules

    source, out = Path(given.mriqc_out).expanduser().absolute(), Path(given.out).expanduser().absolute()
    if given.mriqc_version and parse_version(given.mriqc_version) is None:
        raise UsageError(f"--mriqc-version {given.mriqc_version} is no version.", "For example: --mriqc-version 23.1.0")
    _check_folders(source, out)
    check_room(out, None)
    rules = load_rules(Path(given.thresholds).expanduser() if given.thresholds else None)
    survey, imported, kept = Survey(), 0, 0
    for scan in read_mriqc(source, survey, given.mriqc_version):
        if not imported and not kept:
            make_folder(out, "output")
            _describe(out)
        if _write(record_of(scan, rules), out):
            imported += 1
        else:
            kept += 1
    _tell(survey)
    if not imported and not kept:
        raise _nothing(source, survey)
    print(f"{count(imported, 'scan')} imported.")
    if kept:
        print(f"{count(kept, 'scan')} left as they are: bidsqa itself has judged them.")
    if survey.others:
        kinds = ", ".join(f"{number} {printable(kind)}" for kind, number in sorted(survey.others.items()))
        print(f"Not imported, since bidsqa judges structural scans only: {kinds}.")
    return max(_tables(out, rules if given.thresholds else None), SOME_FAILED if survey.problems else FINE)


def _check_folders(source: Path, out: Path) -> None:
    """MRIQC's folder is there and stays as it is."""
    from bidsqa.bids.dataset import check_output_is_ours

    if not source.is_dir():
        what = "is a file" if source.exists() else "doesn't exist"
        raise UsageError(f"The folder {source} {what}.", "Give the folder that MRIQC wrote its results into.")
    one, other = source.resolve(), out.resolve()
    if one == other or other.is_relative_to(one) or one.is_relative_to(other):
        raise UsageError(
            "The output folder and MRIQC's lie in each other.", "Give another, since MRIQC's results stay as they are."
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"The output {out} is a file.", "Give a folder.")
    check_output_is_ours(out)


def _describe(out: Path) -> None:
    from bidsqa.bids.dataset import write_dataset_files

    write_dataset_files(out, text=METHODS)


METHODS = f"""\
Image quality metrics were computed with MRIQC (Esteban et al., 2017) and imported with bidsqa {bidsqa.__version__},
which read no image. Metrics that mean the same kept their names; those that the version of MRIQC gets wrong, or defines
otherwise, were left out, with the reason in each record. Rules turned the metrics into one verdict a scan (review or
fail) with its reasons, and compared each scan with the others of its suffix and site."""


def _write(record: Record, out: Path) -> bool:
    """Write a scan's page and record; False where bidsqa's own record is there."""
    from bidsqa.bids import names
    from bidsqa.bids.writing import write_changed
    from bidsqa.cli.checks import check_links
    from bidsqa.group.mriqc_import import is_imported
    from bidsqa.record import Record as Known
    from bidsqa.report import render_scan

    path = names.record_path(out, record.bids_name)
    check_links(out, [path.parent])
    with suppress(OSError, ValueError):
        if not is_imported(Known.load(path)):
            return False
    write_changed(names.page_path(out, record.bids_name), render_scan(record, {}))
    write_changed(path, record.dumps())
    return True


def _tell(survey: Survey) -> None:
    from bidsqa.cli.progress import printable

    for problem in survey.problems[:MOST_PROBLEMS]:
        print(f"Warning: {printable(problem)}", file=sys.stderr)
    if len(survey.problems) > MOST_PROBLEMS:
        print(f"Warning: and {len(survey.problems) - MOST_PROBLEMS} more.", file=sys.stderr)


def _nothing(source: Path, survey: Survey) -> UsageError:
    from bidsqa.cli.progress import printable

    if survey.others:
        kinds = " and ".join(printable(kind) for kind in sorted(survey.others))
        return UsageError(f"The folder {source} holds results for {kinds} only.", "T1w and T2w scans can be imported.")
    if survey.problems:
        return UsageError(f"Nothing in {source} could be imported.", "Each file's reason stands above.")
    raw = any(source.glob("sub-*/anat/*.nii*")) or any(source.glob("sub-*/ses-*/anat/*.nii*"))
    if raw:
        hint = "To judge the images: bidsqa BIDS_DIR OUT_DIR participant group"
        return UsageError(f"The folder {source} holds images, no results of MRIQC.", hint)
    hint = "MRIQC writes sub-*/anat/*_T1w.json or group_T1w.tsv."
    return UsageError(f"The folder {source} holds no results of MRIQC.", hint)


def _tables(out: Path, rules: Rules | None) -> int:
    """The study's tables and page; 1 where a record can't be used."""
    from bidsqa.cli.study import tell_group
    from bidsqa.study import run_group

    return tell_group(run_group(out, rules))


if __name__ == "__main__":
    sys.exit(main())
