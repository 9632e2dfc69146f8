# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-scan FILE [OUT]``: one image, without BIDS, for the person at the scanner."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.console import FINE, SOME_FAILED, run_command
from bidsqa.cli.parser import Parser, any_case
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.record import Record
    from bidsqa.steps import Examination

SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw")
# what the names that scanners and converters give tell about the contrast, the surest first
_HINTS = (
    ("FLAIR", r"flair|dark.?fluid"),
    ("T1w", r"mp2?rage|bravo|spgr|(?:^|[^a-z0-9])tfe|t1"),
    ("T2w", r"t2|haste|blade"),
    ("PDw", r"(?:^|[^a-z0-9])pd(?:[^a-z]|w|$)|proton"),
)
_WORDS = {"pass": "PASS", "review": "REVIEW", "fail": "FAIL"}
EXAMPLES = """\
examples:
  bidsqa-scan t1_mprage.nii.gz
      the verdict on the terminal
  bidsqa-scan scan.nii.gz results --suffix T2w
      also write the record (JSON) and the page (HTML) into the folder results

exit codes: 0 the scan was judged; 1 it could not be judged; 2 wrong usage.
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
        0 the scan was judged (whatever the verdict), 1 it could not be judged, 2 wrong usage, 130 or 143 stopped.
    """
    return run_command("bidsqa-scan", lambda: _start(arguments))


def _start(arguments: Sequence[str] | None) -> int:
    from bidsqa.cli.surroundings import prepare_environment, work_folder

    given = build_parser().parse_args(arguments)
    with work_folder(None, keep=False) as work:
        prepare_environment(work)
        return _run(given)


def build_parser() -> Parser:
    """The parser of ``bidsqa-scan``; its `parse_args` raises `UsageError`."""
    parser = Parser(
        prog="bidsqa-scan",
        description="Tells whether one MRI scan of a head can be trusted, and why.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the image (.nii or .nii.gz)")
    parser.add_argument("out", metavar="OUT", nargs="?", help="folder for the record and the page")
    parser.add_argument(
        "--suffix",
        choices=SUFFIXES,
        type=any_case(SUFFIXES),
        help="kind of image (guessed from the file's name by default)",
    )
    parser.add_argument("--models", nargs="+", metavar="NAME", default=[], help="scores to compute, or none")
    parser.add_argument("--thresholds", metavar="FILE", help="your own rules of the verdict (TOML)")
    parser.add_argument("--rulers", metavar="DIR", help="folder of your own rulers for the score noise_motion")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads (%(default)s)")
    parser.add_argument(
        "--no-saliency", action="store_true", help="leave the maps of where the networks look off the page"
    )
    parser.add_argument("--json", action="store_true", help="print the record instead of words")
    parser.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}")
    return parser


def guess_suffix(name: str) -> str | None:
    """The kind of image that a file's name speaks of, or None.

    Parameters
    ----------
    name : str
        File name without folders: ``sub-01_T2w.nii.gz``, ``AX_FLAIR_5mm.nii``, ``t1_mprage_sag.nii``.
    """
    stem = name.partition(".")[0]
    last = stem.rpartition("_")[2]
    if last in SUFFIXES:
        return last
    return next((suffix for suffix, words in _HINTS if re.search(words, stem.lower())), None)


def _run(given: argparse.Namespace) -> int:
    path = Path(given.file).expanduser()
    if not path.exists() and not path.is_symlink():
        raise UsageError(f"The file {path} doesn't exist.", "Check the path.")
    if path.is_dir():
        raise UsageError(f"The path {path} is a folder.", "For a dataset use: bidsqa BIDS_DIR OUT_DIR participant")
    out = Path(given.out).expanduser() if given.out else None
    if out is not None:
        from bidsqa.cli.checks import make_folder

        if out.resolve() == path.parent.resolve():
            raise UsageError(
                "The output folder is the scan's own, where the record would replace its sidecar.",
                "Give another folder.",
            )
        make_folder(out, "output")
    guessed = guess_suffix(path.name)
    suffix = given.suffix or guessed or "T1w"
    if not given.suffix and not guessed:
        print(
            f"The name doesn't tell the kind of image; judged as {suffix} (--suffix says otherwise).", file=sys.stderr
        )
    examination = _examine(path, suffix, given, pictures=out is not None)
    record = examination.record
    if given.json:
        print(record.dumps(), end="")
    else:
        print("\n".join(describe(record)))
    if out is not None:
        for kind, written in _write(examination, out).items():
            print(f"{kind}: {written}", file=sys.stderr if given.json else sys.stdout)
    return FINE if record.status == "ok" else SOME_FAILED


def _examine(path: Path, suffix: str, given: argparse.Namespace, *, pictures: bool) -> Examination:
    from bidsqa import steps
    from bidsqa.cli.checks import check_device, check_models, check_shipped_weights, check_thresholds
    from bidsqa.cli.ruler_checks import check_rulers
    from bidsqa.settings import Settings

    rules = Path(given.thresholds).expanduser().absolute() if given.thresholds else None
    check_thresholds(rules)
    check_device(given.device)
    if given.threads < 1:
        raise UsageError("--threads must be at least 1.")
    models = check_models(given.models)
    check_shipped_weights(models, ())
    rulers = Path(given.rulers).expanduser().absolute() if given.rulers else None
    check_rulers(rulers, models, ())
    settings = Settings(
        models=models,
        thresholds=str(rules) if rules else None,
        device=given.device,
        threads=given.threads,
        saliency=not given.no_saliency,
        rulers=str(rulers) if rulers else None,
    )
    return steps.examine(path, suffix, settings, pictures=pictures)


def describe(record: Record) -> Iterator[str]:
    """The record in words, for a terminal, the verdict first.

    Parameters
    ----------
    record : Record
        Of any status.

    Yields
    ------
    str
        Lines.
    """
    from bidsqa.cli.progress import printable, say_duration

    decision = str(record.verdict.get("decision", ""))
    yield f"{printable(record.bids_name)}: {_WORDS.get(decision, 'NO VERDICT')}"
    if record.failure:
        yield f"  It could not be judged: {printable(str(record.failure.get('cause', '')))}"
        if record.failure.get("hint"):
            yield f"  {printable(str(record.failure['hint']))}"
        return
    for reason in record.verdict.get("reasons", []):
        yield f"  - {printable(str(reason.get('text', '')))}"
        if reason.get("advice"):
            yield f"    {printable(str(reason['advice']))}"
    for name, score in record.scores.items():
        yield f"  {_score_line(name, score)}"
    for warning in record.warnings:
        yield f"  Note: {printable(warning)}"
    missing = len(record.reasons_missing)
    if missing:
        yield f"  {missing} values could not be had; the record says why."
    seconds = record.provenance.get("seconds")
    if isinstance(seconds, dict) and seconds:
        yield f"  Judged in {say_duration(sum(seconds.values()))} by bidsqa {record.provenance.get('bidsqa', '')}."


def _score_line(name: str, score: dict[str, Any]) -> str:
    from bidsqa.cli.progress import printable
    from bidsqa.models import MODELS
    from bidsqa.verdict.rulers import place_words

    model = MODELS.get(name)
    title = model.title if model else name
    value, error = score.get("value"), score.get("uncertainty")
    if not isinstance(value, (int, float)):
        return f"{title}: none"
    told = _with_error(value, error if isinstance(error, (int, float)) else None)
    reading = model.reading(value) if model else None
    place = place_words(score)
    if place:
        return f"{title}: {told}: {printable(place)}"
    return f"{title}: {told}{f' {model.unit}' if model and model.unit else ''}" + (
        f": {reading.says}" if reading else f" ({model.direction})" if model and model.direction else ""
    )


def _with_error(value: float, error: float | None) -> str:
    """``0.952 ± 0.013``: to the second digit of the error, two decimals at least and four at most."""
    if error is None or not 0 < error < math.inf:
        return f"{value:.2f}"
    decimals = min(max(1 - math.floor(math.log10(error)), 2), 4)
    least = 10.0**-decimals
    return f"{value:.{decimals}f} ± " + (f"{error:.{decimals}f}" if error >= least / 2 else f"less than {least:g}")


def _write(examination: Examination, out: Path) -> dict[str, Path]:
    """Write the record and the page; their paths by kind."""
    from bidsqa import report
    from bidsqa.bids.writing import write_atomic

    record = examination.record
    paths = {"Record": out / f"{record.bids_name}.json", "Page": out / f"{record.bids_name}.html"}
    write_atomic(paths["Page"], report.render_scan(record, examination.figures))
    write_atomic(paths["Record"], record.dumps())
    return paths


if __name__ == "__main__":
    sys.exit(main())
