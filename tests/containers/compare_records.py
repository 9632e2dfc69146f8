# SPDX-License-Identifier: Apache-2.0
"""Whether two output folders hold the same numbers: every score, slice score, metric and verdict of every scan.

    python tests/containers/compare_records.py OUT OTHER_OUT [--tolerance 1e-6]

Prints the largest difference, relative to the larger of the two numbers (absolute below 1), and where it is. Exit
code 1 if it is above the tolerance, or if words, missing values or scans differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMPARED = ("status", "verdict", "scores", "metrics", "reasons_missing", "image")
# rules compare numbers, and their sentences hold them rounded
WORDS_OF_NUMBERS = ("text",)


def leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, text and null of a record with its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in WORDS_OF_NUMBERS:
                yield from leaves(value, f"{place}/{key}")
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from leaves(value, f"{place}/{number}")
    else:
        yield place, content


def read(out: Path) -> dict[str, Any]:
    """All that is compared, by scan and place."""
    found = {}
    for path in sorted(out.glob("sub-*/**/*_desc-qa_*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for place, value in leaves({key: record.get(key) for key in COMPARED}):
            found[record["bids_name"] + place] = value
    return found


def difference(first: Any, second: Any) -> float:
    """Between two values; infinite where one is no number and they are not the same."""
    if first == second:
        return 0.0
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
    return abs(first - second) / max(1.0, abs(first), abs(second)) if numbers else float("inf")


def main() -> int:
    """Compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    given = parser.parse_args()
    first, second = read(given.out), read(given.other)
    only_one = sorted(first.keys() ^ second.keys())
    worst, place = max(((difference(first[key], second[key]), key) for key in first if key in second), default=(0, ""))
    scans = {key.partition("/")[0] for key in first}
    print(f"{len(scans)} scans, {len(first)} values; largest difference {worst:.2g}{f' at {place}' if worst else ''}")
    for key in only_one[:5]:
        print(f"only in one of them: {key}")
    return 0 if first and not only_one and worst <= given.tolerance else 1


if __name__ == "__main__":
    raise SystemExit(main())
