# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-ruler {build,view,set,list,check}``: a site's own rulers for noise, and its standard on them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.console import FINE, SOME_FAILED, run_command
from bidsqa.cli.parser import Parser, any_case
from bidsqa.errors import InputError, UsageError

if TYPE_CHECKING:
    from bidsqa.rulers import Ruler, Threshold

NAME = "bidsqa-ruler"
SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw")
LARGEST_CHOICE = 100_000
EXAMPLES = """\
examples:
  bidsqa-ruler build sub-01_T1w.nii.gz rulers/our-T1w
      eight versions of a slice of a good scan, from noisy to as it is
  bidsqa-ruler view rulers/our-T1w
      a page to look at them and to choose the worst that you accept
  bidsqa-ruler set rulers/our-T1w 4.5 --by AB
      your standard for scans of this kind
  bidsqa-ruler set T1w-3D --from-ratings ratings --into rulers
      what your readers agreed on in bidsqa-rate about a ruler that ships with bidsqa, in a copy of it
  bidsqa BIDS_DIR OUT_DIR participant --models severity ssim noise_motion --rulers rulers
      judge scans by it

exit codes: 0 fine; 1 a ruler that was checked can't be used; 2 wrong usage. Nothing is ever sent anywhere.
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
        0 fine, 1 a ruler that was checked can't be used, 2 wrong usage, 130 or 143 stopped.
    """
    return run_command(NAME, lambda: _start(arguments))


def build_parser() -> Parser:
    """The parser of the command; its `parse_args` raises `UsageError`."""
    parser = Parser(
        prog=NAME,
        description="Builds rulers for noise: versions of one slice, and from which of them on scans are accepted.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}", help="print the version")
    acts = parser.add_subparsers(title="what to do", metavar="ACT", dest="act", required=True)

    def act(name: str, says: str) -> Parser:
        made: Parser = acts.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.", allow_abbrev=False)
        return made

    _add_build(act("build", "make a ruler from a good scan"))
    view = act("view", "write a page on which a person looks at a ruler and chooses its threshold")
    _add_ruler(view)
    view.add_argument("--out", metavar="FILE", help="the page (NAME-ruler.html in this folder by default)")
    choose = act("set", "set a ruler's threshold")
    _add_ruler(choose)
    choose.add_argument("threshold", metavar="THRESHOLD", nargs="?", type=float, help="0 to 7 in steps of 0.5")
    choose.add_argument("--from", dest="file", metavar="FILE", help="the file of the page, instead of THRESHOLD")
    choose.add_argument(
        "--from-ratings",
        dest="ratings",
        metavar="RATINGS",
        help="what your readers agree on, from their answers to ruler_threshold in bidsqa-rate, instead of THRESHOLD",
    )
    choose.add_argument("--by", metavar="NAME", default="", help="who says so, for the ruler's file")
    choose.add_argument(
        "--into", metavar="DIR", help="set it in a copy in this folder of rulers; the ruler itself stays"
    )
    listed = act("list", "list the rulers at hand")
    listed.add_argument("--rulers", metavar="DIR", help="your own folder of rulers as well")
    check = act("check", "check a ruler's files, and that the network orders its versions")
    _add_ruler(check)
    return parser


def _add_ruler(parser: Parser) -> None:
    parser.add_argument("ruler", metavar="RULER", help="a ruler's folder, or the name of one that ships with bidsqa")


def _add_build(build: Parser) -> None:
    build.add_argument("scan", metavar="SCAN", help="a scan as good as you get them (.nii or .nii.gz)")
    build.add_argument("out", metavar="OUT", help="folder for the ruler; new or empty")
    build.add_argument("--name", help="the ruler's name (the folder's by default)")
    build.add_argument(
        "--suffix",
        choices=SUFFIXES,
        type=any_case(SUFFIXES),
        help="kind of image (guessed from the file's name by default)",
    )
    build.add_argument("--slice", type=int, metavar="N", help="slice of the acquisition plane (one with much brain)")
    build.add_argument("--worst", type=float, metavar="DB", help="SNR of the worst version (12)")
    build.add_argument("--best", type=float, metavar="DB", help="SNR at which the original stands (33)")
    build.add_argument("--coils", type=int, default=8, metavar="N", help="receive coils to simulate (%(default)s)")
    build.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (%(default)s)")
    build.add_argument(
        "--kspace",
        metavar="FILE",
        help="measured k-space of the slice instead of one that is made up (.npy, complex: coils, lines, columns)",
    )


def _start(arguments: Sequence[str] | None) -> int:
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        raise UsageError("What to do is missing.", f"To begin with: {NAME} build SCAN OUT, or {NAME} --help")
    given = build_parser().parse_args(words)
    acts = {"build": _build, "view": _view, "set": _set, "list": _list, "check": _check}
    return acts[given.act](given)


def _build(given: argparse.Namespace) -> int:
    from bidsqa.bids import acquisition
    from bidsqa.bids.sidecar import sidecars_of
    from bidsqa.cli.checks import make_folder
    from bidsqa.image import load_volume
    from bidsqa.rulers import building, ruler_levels, write_ruler

    scan, out = Path(given.scan).expanduser(), Path(given.out).expanduser().absolute()
    if not scan.is_file():
        problem = "is a folder; a ruler is made of one image" if scan.is_dir() else "doesn't exist"
        raise UsageError(f"The scan {scan} {problem}.", "Give the path of a .nii or .nii.gz file.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and isn't empty.", "Give a new folder; rulers are not overwritten.")
    suffix = _suffix_of(scan, given.suffix)
    snr = building.equal_steps(
        building.WORST_DB if given.worst is None else given.worst,
        building.BEST_DB if given.best is None else given.best,
    )
    ruler = building.build_ruler(
        given.name or out.name,
        load_volume(scan),
        suffix,
        acquisition(sidecars_of(scan)[0]),
        index=given.slice,
        snr=snr,
        coils=given.coils,
        seed=given.seed,
        kspace=_kspace(Path(given.kspace).expanduser()) if given.kspace else None,
        source=scan.name,
    )
    scorer = _scorer()
    ruler_levels(scorer, ruler)  # one that the network can't read is not written
    make_folder(out, "output")
    try:
        written = write_ruler(ruler, out)
    except OSError as error:
        raise UsageError(f"The ruler can't be written: {error.strerror}.", "Give another folder.") from error
    notes = written.provenance
    print(
        f"Ruler {written.name}: {notes['plane']} slice {notes['slice']}, {snr[0]:g} to {snr[-1]:g} dB and the original."
    )
    print(f"Threshold {written.threshold.value:g} by an automatic rule, no human. Look, and choose your own:")
    print(f"  {NAME} view {_quoted(out)}")
    return FINE


def _suffix_of(scan: Path, asked: str | None) -> str:
    from bidsqa.cli.scan import guess_suffix

    found = asked or guess_suffix(scan.name)
    if not found:
        raise UsageError("The scan's name doesn't tell the kind of image.", "Say it: --suffix T1w")
    return found


def _kspace(path: Path) -> Any:
    """Measured k-space; never unpickled."""
    import numpy as np

    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"The k-space {path} can't be read.", "It must be a .npy file of complex numbers.") from error
    if not isinstance(data, np.ndarray) or data.ndim != 3 or data.dtype.kind != "c":
        raise UsageError(
            f"The k-space {path} has another form.", "It must hold complex numbers over coils, lines and columns."
        )
    return data


def _view(given: argparse.Namespace) -> int:
    from bidsqa.bids.writing import write_atomic
    from bidsqa.report import render_ruler

    ruler, folder = _find(given.ruler)
    page = Path(given.out).expanduser() if given.out else Path(f"{ruler.name}-ruler.html")
    if page.is_dir():
        raise UsageError(f"{page} is a folder.", "Give a file: --out FILE.html")
    try:
        write_atomic(page, render_ruler(ruler, str(folder) if folder else ruler.name))
    except OSError as error:
        raise UsageError(
            f"The page {page} can't be written: {error.strerror}.", "Give another place: --out FILE"
        ) from error
    print(f"Page: {page}")
    print("Open it in a browser, choose the worst version that you accept, and put it into the ruler as the page says.")
    return FINE


def _set(given: argparse.Namespace) -> int:
    from bidsqa.rulers import write_ruler, write_threshold
    from bidsqa.rulers.ruler import check_ruler

    ruler, folder = _find(given.ruler)
    threshold = _chosen(given, ruler)
    if given.into:
        target = Path(given.into).expanduser().absolute() / ruler.name
        if target.exists():
            raise UsageError(
                f"{target} is there already.",
                f"Set it there: {NAME} set {_quoted(target)} {_words_of(given, threshold)}",
            )
    elif folder is None:
        raise UsageError(
            f"The ruler {ruler.name} comes with bidsqa and stays as it is.",
            f"Set it in a copy: {NAME} set {ruler.name} {_words_of(given, threshold)} --into my-rulers",
        )
    try:
        changed = check_ruler(ruler.with_threshold(threshold))
        if given.into:
            write_ruler(changed, target)
        elif folder is not None:
            target = folder
            write_threshold(folder, threshold)
    except OSError as error:
        raise UsageError(f"The ruler can't be written: {error.strerror}.", "Give another folder: --into DIR") from error
    print(f"{target}: scans of this kind are accepted from {threshold.value:g}.")
    print(
        f"  bidsqa BIDS_DIR OUT_DIR participant --models severity ssim noise_motion --rulers {_quoted(target.parent)}"
    )
    return FINE


def _words_of(given: argparse.Namespace, threshold: Threshold) -> str:
    """The words of a command that set the same threshold."""
    return f"--from-ratings {_quoted(Path(given.ratings))}" if given.ratings else f"{threshold.value:g}"


def _chosen(given: argparse.Namespace, ruler: Ruler) -> Threshold:
    """What the command line, the page's file or the readers say."""
    import datetime

    from bidsqa.rulers import Threshold
    from bidsqa.rulers.folder import plain_text
    from bidsqa.rulers.ruler import PERSON
    from bidsqa.rulers.scale import check_threshold

    count = sum(value is not None for value in (given.threshold, given.file, given.ratings))
    if count != 1:
        what = "Give a threshold, or the file that the page saved, or ratings"
        raise UsageError(f"{what}{', only one of them' if count else ''}.", f"Example: {NAME} set {given.ruler} 4.5")
    if given.ratings is not None:
        from bidsqa.cli.ruler_ratings import readers_threshold

        return readers_threshold(ruler, Path(given.ratings).expanduser().absolute(), plain_text(given.by))
    choice = _choice(Path(given.file).expanduser(), ruler) if given.file else {"threshold": given.threshold}
    try:
        value = check_threshold(float(choice["threshold"]))
    except (TypeError, ValueError, OverflowError):
        told = plain_text(str(choice["threshold"]))[:40]
        raise UsageError(f"{told!r} is no threshold.", "It is 0 to 7 in steps of 0.5, for example 4.5.") from None
    on = choice.get("set_on")
    return Threshold(
        value,
        PERSON,
        plain_text(given.by or str(choice.get("set_by", ""))),
        plain_text(on)[:10] if isinstance(on, str) and on else datetime.date.today().isoformat(),
    )


def _choice(path: Path, ruler: Ruler) -> dict[str, Any]:
    """The file that the page saved, of this ruler."""
    from bidsqa.report.ruler_page import CHOICE, CHOICE_VERSION

    try:
        with path.open("rb") as stream:
            choice = json.loads(stream.read(LARGEST_CHOICE).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"The file {path} can't be read: {error.strerror}.", "Check the path.") from error
    except (ValueError, RecursionError):
        choice = None
    known = isinstance(choice, dict) and (choice.get("kind"), choice.get("version")) == (CHOICE, CHOICE_VERSION)
    if not known or "threshold" not in choice:
        raise UsageError(f"The file {path} holds no threshold.", f"It is saved by the page of: {NAME} view RULER")
    if choice.get("sha256") != ruler.sha256:
        raise UsageError(
            f"The file {path} is about another ruler than {ruler.name}.",
            "A threshold holds for the images it was chosen on.",
        )
    return dict(choice)


def _list(given: argparse.Namespace) -> int:
    from bidsqa.cli.progress import printable
    from bidsqa.rulers import rulers_at_hand

    rulers = rulers_at_hand(Path(given.rulers).expanduser() if given.rulers else None)
    rows = [("NAME", "KIND", "FIELD", "ACCEPTS FROM", "SET BY")]
    for ruler in rulers:
        kind, threshold = ruler.kind, ruler.threshold
        who = (threshold.set_by or "a person") if threshold.by_person else threshold.source
        field = f"{kind.field_strength:g} T" if kind.field_strength else "not known"
        rows.append(
            (ruler.name, f"{kind.suffix} {kind.dimension} {kind.body_part}", field, f"{threshold.value:g}", who)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        told = "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]])
        print(printable(told))
    return FINE


def _check(given: argparse.Namespace) -> int:
    from bidsqa.rulers import ruler_levels

    try:
        ruler, _ = _find(given.ruler)
        print(f"{ruler.name}: the files are whole.")
        levels = ruler_levels(_scorer(), ruler)
    except InputError as error:  # what is asked is answered: no wrong usage
        print(f"{error.cause}\n  {error.hint}")
        return SOME_FAILED
    told = ", ".join(f"{level:.2f}" for level in levels)
    print(f"The network orders all versions: {told} (worst to original).")
    return FINE


def _find(named: str) -> tuple[Ruler, Path | None]:
    """A ruler by its folder or, shipped, by its name; the folder of one's own."""
    from bidsqa.bids.selection import suggestion
    from bidsqa.rulers import read_ruler, shipped_rulers

    folder = Path(named).expanduser()
    if folder.is_dir():
        return read_ruler(folder.absolute()), folder.absolute()
    shipped = {ruler.name: ruler for ruler in shipped_rulers()}
    if named in shipped:
        return shipped[named], None
    raise UsageError(f"There is no ruler {named!r}, neither as a folder nor with bidsqa.", suggestion(named, shipped))


def _scorer() -> Any:
    from bidsqa import models
    from bidsqa.rulers import MODEL

    return models.load(MODEL)


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


if __name__ == "__main__":
    sys.exit(main())
