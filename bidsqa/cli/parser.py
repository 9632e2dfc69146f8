# SPDX-License-Identifier: Apache-2.0
"""The command line of ``bidsqa``, made from the table of options."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import bidsqa
from bidsqa.cli.options import ANALYSIS_LEVELS, COUNT, FLAG, GROUPS, INTEGER, LIST, NUMBER, OPTIONS, Option
from bidsqa.errors import UsageError

DESCRIPTION = "Tells which MRI scans of a BIDS dataset can be trusted, and why."
EXAMPLES = """\
examples:
  bidsqa study study/derivatives/bidsqa participant group
      judge every scan, then make the tables and the page of the study
  bidsqa study out participant --participant-label 01 02 --nprocs 4 --mem-gb 6
      two participants; repeat the command and only what is missing or has changed is done
  bidsqa study out participant --dry-run
      tell what would be done, what is skipped and why, how long it takes
  bidsqa study out group
      tables and page of the study from what is in out

exit codes: 0 all fine; 1 some scans failed (the others are complete); 2 wrong usage or nothing to do;
130, 143 stopped by a signal. Nothing is ever sent anywhere.
"""


_ARGUMENT = re.compile(r"argument (?P<name>\S+): (?P<rest>.*)", re.DOTALL)
_CHOICE = re.compile(r"invalid choice: (?P<value>.*) \(choose from (?P<known>.*)\)", re.DOTALL)


def _long_name(spellings: str) -> str:
    """``-m/--modalities`` -> ``--modalities``."""
    return next(name for name in spellings.split("/") if name.startswith("--"))


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that raises `UsageError`: one sentence and a hint."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's message into a sentence with a hint."""
        words = message.rstrip(".").split()
        hint = f"See: {self.prog} --help"
        if message.startswith("unrecognized arguments:"):
            wrong = words[2]
            close = difflib.get_close_matches(wrong.split("=")[0], self._option_string_actions, n=1)
            if close:
                hint = f"Did you mean {close[0]}?"
            elif not wrong.startswith("-"):
                hint = "Put the folders and the level first, then the options: bidsqa BIDS_DIR OUT_DIR participant ..."
            message = f"there is no option {wrong}" if wrong.startswith("-") else f"{wrong!r} is one word too many"
        elif message.startswith("the following arguments are required:"):
            missing = message.partition(": ")[2]
            message = f"{missing} is missing" if "," not in missing else f"{missing} are missing"
            hint = f"Put the folders before the options. {hint}"
        elif match := _ARGUMENT.fullmatch(message):
            name = match["name"].split("/")[0] if match["name"].isupper() else _long_name(match["name"])
            choice = _CHOICE.fullmatch(match["rest"])
            message = f"{name} can't be {choice['value']}" if choice else f"{name}: {match['rest']}"
            hint = f"Choose from {choice['known']}." if choice else hint
        raise UsageError(f"{message[0].upper()}{message[1:].rstrip('.')}.", hint)


def build_parser() -> Parser:
    """The parser of ``bidsqa``; options that are not given are absent from its result.

    Returns
    -------
    Parser
        Its `parse_args` raises `UsageError`.
    """
    parser = Parser(
        prog="bidsqa",
        usage="bidsqa BIDS_DIR OUT_DIR {participant,group} [{participant,group}] [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=Formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    folders = parser.add_argument_group("What and where")
    folders.add_argument("bids_dir", metavar="BIDS_DIR", help="the dataset; it is only read")
    folders.add_argument("output_dir", metavar="OUT_DIR", help="for records, pages and tables")
    folders.add_argument(
        "analysis_level",
        metavar="LEVEL",
        nargs="+",
        choices=ANALYSIS_LEVELS,
        help="participant: judge the scans; group: tables and page of the study; or both",
    )
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for option in OPTIONS:
            if option.group == title:
                add_option(group, option)
    group.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}", help="print the version")
    group.add_argument("-h", "--help", action="help", help="print this")
    return parser


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help with one spelling an option and room for it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        shown = [flag for flag in action.option_strings if "_" not in flag]
        if action.nargs == 0:
            return ", ".join(shown)
        if action.choices is not None:
            values = "{" + ",".join(map(str, action.choices)) + "}"
        else:
            values = str(action.metavar or "")
        return f"{', '.join(shown)} {values}{' ...' if action.nargs == '+' else ''}"


def add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    """Add a row of a table of options to a parser's group."""
    text = option.help.replace("%(default)s", str(option.default))
    if option.kind == FLAG:
        group.add_argument(*option.flags, dest=option.key, action="store_true", help=text)
    elif option.kind == COUNT:
        group.add_argument(*option.flags, dest=option.key, action="count", help=text)
    elif option.kind == LIST:
        group.add_argument(
            *option.flags,
            dest=option.key,
            nargs="+",
            type=any_case(option.choices),
            metavar=option.metavar,
            help=text,
            choices=option.choices or None,
        )
    else:
        group.add_argument(
            *option.flags,
            dest=option.key,
            type=_converter(option),
            choices=option.choices or None,
            metavar=option.metavar or None,
            help=text,
        )


def _converter(option: Option) -> Callable[[str], object]:
    if option.kind not in (INTEGER, NUMBER):
        return any_case(option.choices)

    def convert(text: str) -> int | float:
        try:
            value = int(text) if option.kind == INTEGER else float(text)
        except ValueError:
            word = "a whole number" if option.kind == INTEGER else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {word}") from None
        least = option.least is not None and (value < option.least or (option.above and value == option.least))
        if least or value != value or (option.most is not None and value > option.most):
            raise argparse.ArgumentTypeError(f"{text} is out of range ({_range(option)})")
        return value

    return convert


def any_case(choices: Sequence[str]) -> Callable[[str], str]:
    """Turns a word in any case into the choice that it means; other words stay as they are."""
    known = {choice.casefold(): choice for choice in choices}
    return lambda text: known.get(text.casefold(), text)


def _range(option: Option) -> str:
    low = f"{'more than' if option.above else 'at least'} {option.least:g}" if option.least is not None else ""
    return f"{low}, at most {option.most:g}" if option.most is not None else low


def _check_levels(arguments: Sequence[str]) -> None:
    """A level behind an option that takes several words would be taken for one of them."""
    lists = {flag: option for option in OPTIONS if option.kind == LIST for flag in option.flags}
    last = ""
    for word in arguments:
        if word.startswith("-"):
            last = "" if "=" in word else word
        elif word in ANALYSIS_LEVELS and last in lists:
            levels = " ".join(level for level in ANALYSIS_LEVELS if level in arguments)
            raise UsageError(
                f"{last} takes all words after it, so {word!r} is no level here.",
                f"Write the levels before the options: bidsqa BIDS_DIR OUT_DIR {levels} {last} ...",
            )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line, with the options of a ``--config-file`` under it.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    argparse.Namespace
        Only what was given.

    Raises
    ------
    UsageError
        Something is wrong with it.
    """
    _check_levels(arguments)
    parser = build_parser()
    given = parser.parse_args(list(arguments))
    file = getattr(given, "config_file", None)
    if file is None:
        return given
    from pathlib import Path

    from bidsqa.cli.config import config_arguments

    # the file's words go through the same parser, so they obey the same rules; the command line overrides them
    positional = [given.bids_dir, given.output_dir, *given.analysis_level]
    below = parser.parse_args([*positional, *config_arguments(Path(file))])
    for key, value in vars(below).items():
        if not hasattr(given, key):
            setattr(given, key, value)
    return given
