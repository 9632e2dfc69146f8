# SPDX-License-Identifier: Apache-2.0
"""A hint that ends with a command or an option and its value has no full stop behind it: users copy the stop too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidsqa.cli.console import complain
from bidsqa.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bidsqa", "workflows")
COMMAND = r"(bidsqa-[\w-]+ |bidsqa [A-Z]|pip install |docker |apptainer |datalad |git )"
COPIED = re.compile(
    rf"(^|: |\bor |\bwith |\bUse |\bSee ){COMMAND}[^.:]*\.$|: --[a-z-]+( \S+)?\.$|--[a-z-]+ [a-z0-9{{]\S*(?<!`)\.$"
)
# the word behind the option isn't its value
WORDS = ("out", "says")


def ends_with_a_command_and_a_stop(text: str) -> bool:
    """Whether what a user would copy from the end of the text has a full stop at its end."""
    return bool(COPIED.search(text)) and text.rstrip(".").split()[-1] not in WORDS


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts that a user may see: no documentation strings; what is filled in stands as ``{}``."""
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in documented | inner:
            continue
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_command_of_a_hint_ends_with_a_full_stop() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if ends_with_a_command_and_a_stop(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        ("See bidsqa-ruler --help.", True),
        ("Build it again: bidsqa-ruler build SCAN OUT.", True),
        ("Build it again: bidsqa-ruler build SCAN OUT", False),
        ("Or none: --hold-out-site none.", True),
        ("Install it, or: pip install tensorboard.", True),
        ("Start anew with --precision float32.", True),
        ("Give a new one, or leave --job-dir out.", False),
        ("Answers by bidsqa are refused.", False),
    ],
)
def test_what_counts_as_a_copied_stop(text: str, copied: bool) -> None:
    assert ends_with_a_command_and_a_stop(text) is copied


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("Build it again: bidsqa-ruler build SCAN OUT", "Build it again: bidsqa-ruler build SCAN OUT"),
        ("See: bidsqa --help", "See: bidsqa --help"),
        ("To begin with: bidsqa-ruler build SCAN OUT, or bidsqa-ruler --help", None),
        ("say it: --suffix T1w", "Say it: --suffix T1w"),
        ("install a build with CUDA, or: --device cpu", "Install a build with CUDA, or: --device cpu"),
        ("TensorBoard isn't needed; or: pip install tensorboard", None),
        ("give another folder, e.g. /data/derivatives/ratings", "Give another folder, e.g. /data/derivatives/ratings"),
        ("copy or convert the scan again", "Copy or convert the scan again."),
        ("give a new folder, or leave it to bidsqa", "Give a new folder, or leave it to bidsqa."),
        ("give a text file", "Give a text file."),
        (
            "repair or leave out these scans (--participant-label)",
            "Repair or leave out these scans (--participant-label).",
        ),
    ],
)
def test_the_terminal_adds_no_stop_to_a_command(
    capsys: pytest.CaptureFixture[str], hint: str, shown: str | None
) -> None:
    assert complain(UsageError("it went wrong", hint), "bidsqa") == 2
    assert capsys.readouterr().err.splitlines() == ["bidsqa: It went wrong.", f"  {shown or hint}"]
