# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-rate``: the local rating app, agreement of its readers, export and import of ratings."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.console import FINE, SOME_FAILED, run_command
from bidsqa.cli.options import LIST, PATH
from bidsqa.cli.parser import Formatter, Parser, add_option
from bidsqa.cli.rate_options import ARTIFACTS, GROUPS, RATE_OPTIONS
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.bids import Scan
    from bidsqa.rating.guarding import Door
    from bidsqa.rating.items import Settings
    from bidsqa.rating.pictures import Gallery
    from bidsqa.rating.planning import Pool
    from bidsqa.rating.serving import Place
    from bidsqa.rating.store import Store
    from bidsqa.rating.tasks import ArtifactChoice

NAME = "bidsqa-rate"
PACKAGES = ("starlette", "uvicorn", "jinja2")
DESCRIPTION = (
    "Asks your own readers about the quality of scans, in a browser on this machine. Nothing is sent anywhere."
)
USAGE = """\
bidsqa-rate BIDS_DIR RATINGS [options]
       bidsqa-rate agreement RATINGS [OUT]
       bidsqa-rate export RATINGS OUT
       bidsqa-rate import RATINGS FILE [FILE ...] [--rater NAME]"""
EXAMPLES = """\
examples:
  bidsqa-rate study ratings
      ask which of two degraded versions of a slice is better; open the address that is printed
  bidsqa-rate study ratings --tasks min_acceptable likert diagnostic --unit volume --raters ann ben
      three tasks with stacks of slices, two readers with an address each
  bidsqa-rate agreement ratings
      how well the readers agree with each other and with themselves: tables and plots in ratings/agreement
  bidsqa-rate export ratings ratings-bids
      tables in the style of BIDS, with dictionaries and the consensus

RATINGS is a folder; every answer is on the disk before the next item is shown. Started again, everybody goes on where
they stopped. Ctrl-C ends it.
exit codes: 0 fine; 1 some files could not be imported; 2 wrong usage or nothing to do; 130, 143 stopped by a signal.
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
        0 fine, 1 some files could not be imported, 2 wrong usage or nothing to do, 130 or 143 stopped by a signal.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    act = _COMMANDS.get(given[0]) if given else None
    if act is not None:
        return run_command(NAME, lambda: act(given[1:]))
    return run_command(NAME, lambda: _serve(given), "; every answer is saved")


# ---------------------------------------------------------------- the app


def build_parser() -> Parser:
    """The parser of the app; options that are not given are absent from its result."""
    parser = Parser(
        prog=NAME,
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=Formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    folders = parser.add_argument_group("What and where")
    folders.add_argument("bids_dir", metavar="BIDS_DIR", help="the dataset; it is only read")
    folders.add_argument("ratings", metavar="RATINGS", help="folder of the answers, made where absent")
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for option in RATE_OPTIONS:
            if option.group == title:
                add_option(group, option)
    group.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}", help="print the version")
    group.add_argument("-h", "--help", action="help", help="print this")
    return parser


def parse(arguments: Sequence[str]) -> tuple[Path, Path, dict[str, Any]]:
    """Dataset, ratings and the value of every option by key.

    Raises
    ------
    UsageError
        Something is wrong with the command line.
    """
    if not arguments:
        raise UsageError("Dataset and folder of the ratings are missing.", "Example: bidsqa-rate BIDS_DIR RATINGS")
    given = vars(build_parser().parse_args(list(arguments)))
    options: dict[str, Any] = {}
    for option in RATE_OPTIONS:
        value = given.get(option.key, option.default if option.default is not None else None)
        if option.kind == LIST:
            value = tuple(dict.fromkeys(value or ()))
        elif option.kind == PATH and value is not None:
            value = Path(value).expanduser().absolute()
        options[option.key] = value
    root, ratings = (Path(given[name]).expanduser().absolute() for name in ("bids_dir", "ratings"))
    return root, ratings, options


def check_packages() -> None:
    """The packages of the app are there.

    Raises
    ------
    UsageError
    """
    from importlib.util import find_spec

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The rating app needs packages that are not installed: {', '.join(missing)}.",
            "Install bidsqa with its extra: pip install 'bidsqa[rating]'",
        )


def settings_of(options: dict[str, Any]) -> Settings:
    """How the rating is set up.

    Raises
    ------
    UsageError
        An artifact that there isn't.
    """
    from bidsqa.bids.selection import suggestion
    from bidsqa.rating.items import Settings
    from bidsqa.simulation import ARTIFACTS as KNOWN

    for name in options["artifacts"]:
        if name not in KNOWN or 2 not in KNOWN[name].dims:
            slices = [key for key, row in KNOWN.items() if 2 in row.dims]
            raise UsageError(f"--artifacts: there is no {name!r} for slices.", suggestion(name, slices))
    return Settings(
        tasks=options["tasks"] or ("pairwise",),
        unit=options["unit"],
        plane=options["plane"],
        per_scan=options["per_scan"],
        versions=options["versions"],
        artifacts=options["artifacts"] or ARTIFACTS,
        degraded=options["degraded"],
        classes=options["classes"],
        reference=bool(options["reference"]),
        practice=options["practice"],
        goal=options["goal"],
        seed=options["seed"],
    )


def read_artifact_list(path: Path | None) -> tuple[ArtifactChoice, ...]:
    """What can be marked: the lines of a file, or the list of the scan's page.

    Raises
    ------
    UsageError
        The file can't be read or is empty.
    """
    import re

    from bidsqa.rating.tasks import artifact_choices

    if path is None:
        return artifact_choices()
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--artifact-list {path} can't be read: {error}.", "Give a text file.") from error
    words = {re.sub(r"\W+", "_", line.lower()).strip("_")[:40]: line[:80] for line in lines if line}
    if not words or len(words) > 60 or "" in words:
        raise UsageError(f"--artifact-list {path} has no list of 1 to 60 artifacts.", "Write one a line.")
    return artifact_choices(words)


def find_scans(root: Path, options: dict[str, Any]) -> list[Scan]:
    """The scans that can be rated."""
    from bidsqa.bids import JUDGED_SUFFIXES, Selection, collect_scans
    from bidsqa.bids.selection import bare_labels
    from bidsqa.cli.checks import check_input

    strict = not options["skip_bids_validation"]
    for warning in check_input(root, strict=strict):
        print(f"Warning: {warning}", file=sys.stderr)
    selection = Selection(
        participants=bare_labels(options["participant_label"], "sub"),
        suffixes=tuple(name for name in JUDGED_SUFFIXES if name in (options["modalities"] or JUDGED_SUFFIXES)),
        strict_names=strict,
    )
    return list(collect_scans(root, selection).scans)


def _serve(given: list[str]) -> int:
    root, ratings, options = parse(given)
    check_packages()
    if ratings.resolve().is_relative_to(root.resolve()) and "derivatives" not in ratings.resolve().parts:
        raise UsageError("The ratings lie inside the dataset.", f"Give another folder, e.g. {root}/derivatives/ratings")
    from bidsqa.cli.progress import count, printable
    from bidsqa.cli.rate_plan import check_ruler_options, plan_rating
    from bidsqa.cli.surroundings import prepare_environment, work_folder
    from bidsqa.rating.items import stored_pool
    from bidsqa.rating.pictures import Gallery
    from bidsqa.rating.store import Store, store_path

    options["raters"] = tuple(dict.fromkeys(_rater(name) for name in options["raters"]))
    settings, artifacts = settings_of(options), read_artifact_list(options["artifact_list"])
    check_ruler_options(settings.tasks, options)
    scans = find_scans(root, options)
    rulers, plans = plan_rating(scans, settings, options)
    store = Store(store_path(ratings), create=True)
    try:
        with work_folder(None, keep=False, spare=store.path.parent) as work:
            prepare_environment(work)
            pools = {task: stored_pool(store, task, plan, settings) for task, plan in plans.items()}
            gallery = Gallery(root, rulers, bool(options["radiological"]))
            print(f"{count(len(scans), 'scan')}; answers go to {printable(str(store.path))}", flush=True)
            _run_app(store, gallery, pools, settings, artifacts, options)
    finally:
        store.close()
    return FINE


def _rater(told: str) -> str:
    from bidsqa.rating.tasks import readers_name

    try:
        return readers_name(told)
    except ValueError as error:
        raise UsageError(f"--raters: {told!r} is no reader's name.", str(error)) from None


def _run_app(
    store: Store,
    gallery: Gallery,
    pools: dict[str, Pool],
    settings: Settings,
    artifacts: tuple[ArtifactChoice, ...],
    options: dict[str, Any],
) -> None:
    from bidsqa.cli.progress import printable
    from bidsqa.rating.app import RatingApp
    from bidsqa.rating.guarding import Door
    from bidsqa.rating.serving import Place, serve
    from bidsqa.rating.session import Session

    place = Place(options["port"])
    door = Door(f"bidsqa_rate_{place.port}")

    def tell(line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)

    session = Session(store, gallery, pools, settings, tell)
    try:
        _invite(door, place, store, options["raters"])
        _listen_for_enter(door, place, store)
        serve(RatingApp(session, door, artifacts).asgi(), place)
    finally:
        session.close()


def _invite(door: Door, place: Place, store: Store, raters: Sequence[str]) -> None:
    """Print an address for each reader, or one for whoever opens it."""
    from bidsqa.cli.progress import printable

    for name in raters or (None,):
        reader = store.reader(name).id if name else None
        who = f"{printable(name)}: " if name else "Open "
        print(f"{who}{place.address(door.new_token(reader))}", flush=True)
    print("Each address opens once. Ctrl-C ends the app; every answer is saved at once.", flush=True)


def _listen_for_enter(door: Door, place: Place, store: Store) -> None:
    """At a terminal: Enter prints one more address, a name and Enter one for that reader."""
    if not sys.stdin or not sys.stdin.isatty():
        return
    print("Enter gives another address; a name and Enter gives one for that reader.", flush=True)

    def listen() -> None:
        for line in sys.stdin:
            try:
                _invite(door, place, store, [_rater(line)] if line.strip() else ())
            except UsageError as error:
                print(error.hint, file=sys.stderr, flush=True)

    threading.Thread(target=listen, daemon=True, name="addresses").start()


# ---------------------------------------------------------------- the other commands


def _agreement(given: list[str]) -> int:
    from bidsqa.rating.agreement_report import report_agreement

    parser = _small_parser("agreement", "How well readers agree: tables (TSV) and plots (SVG, PNG).")
    parser.add_argument("ratings", metavar="RATINGS", help="what bidsqa-rate wrote, or an export of it")
    parser.add_argument("out", metavar="OUT", nargs="?", help="for tables and plots (RATINGS/agreement)")
    asked = parser.parse_args(given)
    ratings = Path(asked.ratings).expanduser().absolute()
    beside = ratings if ratings.is_dir() else ratings.parent
    out = Path(asked.out).expanduser().absolute() if asked.out else beside / "agreement"
    print("\n".join(report_agreement(ratings, out)))
    for line in _names(ratings):
        print(line)
    print(f"Tables and plots: {out}")
    return FINE


def _names(ratings: Path) -> list[str]:
    """Who the codes are; only said at the terminal, and only where the store itself is given."""
    from bidsqa.cli.progress import printable
    from bidsqa.rating.store import Store, store_path

    if not store_path(ratings).is_file() or store_path(ratings).suffix == ".tsv":
        return []
    store = Store(store_path(ratings))
    try:
        known = [f"  {reader.code}  {printable(reader.name)}" for reader in store.readers()]
    finally:
        store.close()
    return ["Readers (in no file but the store):", *known]


def _export(given: list[str]) -> int:
    from bidsqa.rating.export import export_ratings

    parser = _small_parser("export", "Ratings as tables in the style of BIDS, with dictionaries and the consensus.")
    parser.add_argument("ratings", metavar="RATINGS", help="what bidsqa-rate wrote")
    parser.add_argument("out", metavar="OUT", help="folder for the tables")
    asked = parser.parse_args(given)
    for path in export_ratings(Path(asked.ratings).expanduser().absolute(), Path(asked.out).expanduser().absolute()):
        print(path)
    return FINE


def _import(given: list[str]) -> int:
    from bidsqa.cli.progress import count, printable
    from bidsqa.rating.importing import Imported, add_ratings, read_files
    from bidsqa.rating.store import Store, store_path

    parser = _small_parser("import", "Takes in ratings (JSON) of MRIQC's widget and of the form on bidsqa's pages.")
    parser.add_argument("ratings", metavar="RATINGS", help="folder of the answers, made where absent")
    parser.add_argument("files", metavar="FILE", nargs="+", help="JSON files")
    parser.add_argument("--rater", metavar="NAME", help="who rated, where the files don't tell")
    asked = parser.parse_args(given)
    ratings, refused = read_files([Path(name).expanduser() for name in asked.files], asked.rater)
    done = Imported(refused=refused)
    if ratings:
        store = Store(store_path(Path(asked.ratings).expanduser().absolute()), create=True)
        try:
            done = add_ratings(store, ratings, refused)
        finally:
            store.close()
    print(f"{count(done.taken, 'rating')} imported, {done.known} known already.")
    for name, why in done.refused.items():
        print(printable(f"not imported  {name}: {why}"), file=sys.stderr)
    return SOME_FAILED if done.refused else FINE


def _small_parser(command: str, says: str) -> Parser:
    return Parser(prog=f"{NAME} {command}", description=says, allow_abbrev=False)


_COMMANDS: dict[str, Callable[[list[str]], int]] = {"agreement": _agreement, "export": _export, "import": _import}


if __name__ == "__main__":
    sys.exit(main())
