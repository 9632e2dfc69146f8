# SPDX-License-Identifier: Apache-2.0
"""Texts that were never meant to be read: JSON, tables, TOML and file names of any content, drawn by hypothesis."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

MARK = "<i onfocus=b7>"  # stands in every hostile text; must stand in no page as it is
HOSTILE = (
    MARK,
    f"</script>{MARK}<script>alert(1)</script>",
    f"--></style></title>{MARK}",
    f'"><img src=x onerror=alert(1)>{MARK}',
    "{{7*7}}{% for x in y %}",
    "{0.__class__}{name}%s%n%d",
    "../../../etc/passwd",
    "/etc/passwd",
    "sub-01/../../escape",
    "$(touch escape)`touch escape`",
    "=1+1",
    "\ud800 lone",
    "\x1b[2J\x07\r\n\t\v\x00",
    "\u202e\u200b\ufeff\u2028",
    "NaN",
    "n/a",
    "",
    " ",
    "1e999",
    "sub-",
    "x" * 5000,
)
DEEP = 100_000
MANY_DIGITS = 6000


def texts() -> st.SearchStrategy[str]:
    """Short ones, most of them hostile."""
    return st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=12)


def numbers() -> st.SearchStrategy[Any]:
    """Whole and floating point numbers, infinite and huge ones among them."""
    huge = st.sampled_from([10**400, -(10**400), 2**63, -(2**63) - 1, 10**18, 1e308, -1e308, 5e-324])
    return huge | st.integers() | st.floats() | st.integers(-3, 3)


def values() -> st.SearchStrategy[Any]:
    """Any JSON value, a few levels deep."""
    plain = st.none() | st.booleans() | numbers() | texts()
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=8,
    )


def objects(keys: Sequence[str], wanted: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the keys that a reader looks for, and others."""
    names = st.sampled_from(list(keys)) | st.sampled_from(list(keys)) | texts()
    return st.dictionaries(names, values() if wanted is None else values() | wanted, max_size=6)


def json_files(content: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """The content as a JSON file, some of them spoilt: cut, in another encoding, too deep, doubled, another kind."""
    good = content.map(lambda value: json.dumps(value).encode())
    return st.one_of(good, good, good, st.tuples(good, st.sampled_from(SPOILERS), st.integers(0, 200)).map(_spoil))


def _spoil(given: tuple[bytes, Callable[[bytes, int], bytes], int]) -> bytes:
    text, spoiler, at = given
    return spoiler(text, at)


def _doubled(text: bytes, at: int) -> bytes:
    """Every key twice."""
    inner = text.strip()[1:-1]
    return b"{" + inner + b"," + inner + b"}" if inner else text


SPOILERS: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda text, at: text[: at % (len(text) + 1)],
    lambda text, at: b"\xef\xbb\xbf" + text,
    lambda text, at: text.decode().encode("utf-16"),
    lambda text, at: b"\xff\xfe\x00" + text,
    lambda text, at: text.replace(b'"', b"'"),
    lambda text, at: b"[" + text + b"]",
    lambda text, at: b"[" * DEEP,
    lambda text, at: b"[" * (800 + at) + b"]" * (800 + at),
    lambda text, at: b'{"a":' * (800 + at) + b"1" + b"}" * (800 + at),
    lambda text, at: b'{"EchoTime": ' + b"9" * MANY_DIGITS + b"}",
    lambda text, at: b'{"EchoTime": 1' + b"0" * 400 + b', "RepetitionTime": NaN}',
    lambda text, at: b'{"ProtocolName": "' + b"x" * 3_000_000 + b'"}',
    lambda text, at: b'{"ProtocolName": "' + b"x" * 6_000_000 + b'"}',
    lambda text, at: b"null",
    lambda text, at: b"",
    lambda text, at: bytes([at % 256]) * at,
    lambda text, at: b"<xml>" + MARK.encode() + b"</xml>",
    _doubled,
)


def tables(columns: Sequence[str], cells: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[bytes]:
    """A tab-separated table with some of the columns that a reader looks for, of rows as they come."""
    names = st.sampled_from(list(columns)) | st.sampled_from(list(columns)) | texts()
    cell = texts() if cells is None else texts() | cells
    rows = st.tuples(st.lists(names, max_size=5), st.lists(st.lists(cell, max_size=6), max_size=5))
    return st.tuples(rows, st.sampled_from(ENCODINGS)).map(_table) | st.sampled_from(ODD_TABLES)


ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")
ODD_TABLES = (
    b"",
    b"\n\n\n",
    b"\xff\xfe\x00\x01",
    b"participant_id,site\nsub-01,a\n",
    b"participant_id\tsite\r\nsub-01\ta\r\n",
    b"participant_id\tsite\rsub-01\ta\r",
    b"participant_id" + b"\tx" * 5000 + b"\n",
    b"participant_id\tsite\n" + b"sub-01\ta\n" * 20_000,
    b"participant_id\tsite\nsub-01\t" + b"a" * 3_000_000 + b"\n",
    b"\0" * 10_000,
)


def _table(given: tuple[tuple[list[str], list[list[str]]], str]) -> bytes:
    (header, rows), encoding = given
    return "\n".join("\t".join(row) for row in [header, *rows]).encode(encoding, "replace")


def toml_files(keys: Sequence[str], sections: Sequence[str]) -> st.SearchStrategy[bytes]:
    """TOML of known and unknown keys and tables with values as they come; some of it broken."""
    lines = st.one_of(
        st.tuples(st.sampled_from(list(keys)), _toml_values()).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        st.tuples(texts(), _toml_values()).map(lambda pair: f"{_quoted(pair[0])} = {pair[1]}"),
        st.sampled_from(list(sections)).map(lambda name: f"[{name}]"),
        st.sampled_from(list(sections)).map(lambda name: f"[[{name}]]"),
        texts().map(lambda name: f"[rules.{_quoted(name)}]"),
    )
    few = st.lists(lines, max_size=2) | st.lists(lines, max_size=8)
    files = few.map(lambda found: "\n".join(found).encode("utf-8", "replace"))
    return files | files | st.sampled_from(ODD_TOML)


ODD_TOML = (
    b"",
    b"\xef\xbb\xbfversion = 1",
    b"\xff\xfe",
    b"x = " + b"[" * 5000 + b"]" * 5000,
    b"x = " + b"{a = " * 5000 + b"1" + b"}" * 5000,
    b"[" + b"a." * 5000 + b"a]\nx = 1",
    b"version = " + b"9" * MANY_DIGITS,
    b"version = 1979-05-27T07:32:00Z",
    b"rules = 1",
    b"[rules]\nssim = 3",
    b"\0" * 100,
)


def _toml_values() -> st.SearchStrategy[str]:
    plain = st.sampled_from(
        ["nan", "inf", "-inf", "true", "1e308", "1e999", "0x10", "07:32:00", "1979-05-27", "[]", "{}"]
    )
    written = (numbers().filter(lambda value: value == value and abs(value) != float("inf"))).map(repr)
    return (
        plain
        | written
        | texts().map(_quoted)
        | st.lists(texts().map(_quoted), max_size=3).map(lambda found: f"[{', '.join(found)}]")
    )


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def labels() -> st.SearchStrategy[str]:
    """What may stand for a label in a file name: good ones, long ones, none, and any bytes that a file system takes."""
    odd = [
        "01",
        "a",
        "+",
        "+" * 60,
        "0" * 100,
        "9" * 40,
        "x" * 120,
        "",
        "..",
        "-",
        "{name}",
        "%s",
        "\udcff",
        "é",
        "\n",
        MARK,
    ]
    free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), max_size=6)
    return st.sampled_from(odd) | st.sampled_from(odd[:6]) | free


def file_names() -> st.SearchStrategy[str]:
    """Names of images below a participant's folder, most of them nearly right."""
    keys = ["ses", "acq", "run", "rec", "part", "desc", "echo", "ce", "space", "x", "sub", "RUN"]
    parts = st.lists(st.tuples(st.sampled_from(keys), labels()).map("-".join) | labels(), max_size=4)
    suffix = st.sampled_from(["T1w", "T1w", "T2w", "FLAIR", "bold", "", "T1w_T1w", "exclusions"])
    extension = st.sampled_from([".nii.gz", ".nii", ".NII.GZ", ".nii.gz.nii", ".json", ""])
    whole = st.tuples(parts, suffix, extension).map(lambda given: "_".join(["sub-01", *given[0], given[1]]) + given[2])
    free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)
    return whole.map(_short) | whole.map(_short) | free.map(_short)


def _short(name: str) -> str:
    """As long as a file system takes it, and no place of its own."""
    while len(name.encode("utf-8", "surrogateescape")) > 255:
        name = name[1:]
    return name if name not in ("", ".", "..") else "x"
