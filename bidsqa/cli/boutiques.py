# SPDX-License-Identifier: Apache-2.0
"""The Boutiques descriptor of ``bidsqa``, made from the table of options, for portals that draw a form from it.

python -m bidsqa.cli.boutiques > bidsqa/boutiques.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

import bidsqa
from bidsqa.cli.options import ANALYSIS_LEVELS, COUNT, FLAG, INTEGER, LIST, NUMBER, OPTIONS, PATH, Option

SCHEMA_VERSION = "0.5"
DESCRIPTION = "Tells which MRI scans of a BIDS dataset can be trusted, and why."
FOLDERS: tuple[dict[str, Any], ...] = (
    {
        "id": "bids_dir",
        "name": "BIDS_DIR",
        "type": "File",
        "optional": False,
        "description": "the dataset; it is only read",
        "value-key": "[BIDS_DIR]",
    },
    # twice, as Boutiques' template for BIDS apps has it: a File must be there when the tool starts; bosh looks at the
    # first of the two only
    {
        "id": "output_dir_name",
        "name": "OUT_DIR, new",
        "type": "String",
        "optional": True,
        "description": "for records, pages and tables; a folder to be made",
        "value-key": "[OUTPUT_DIR]",
    },
    {
        "id": "output_dir",
        "name": "OUT_DIR",
        "type": "File",
        "optional": True,
        "description": "for records, pages and tables; a folder that is there",
        "value-key": "[OUTPUT_DIR]",
    },
    {
        "id": "analysis_level",
        "name": "LEVEL",
        "type": "String",
        "optional": False,
        "list": True,
        "value-choices": list(ANALYSIS_LEVELS),
        "description": "participant: judge the scans; group: tables and page of the study; or both",
        "value-key": "[ANALYSIS_LEVEL]",
    },
)
EXIT_CODES = {
    1: "some scans failed, the others are complete",
    2: "wrong usage or nothing to do; the message says what to change",
    130: "stopped by Ctrl-C, cleanly",
    143: "stopped by SIGTERM, cleanly",
}

READ_FOLDERS = ("rulers",)


def descriptor() -> dict[str, Any]:
    """The whole descriptor, ready for JSON."""
    inputs = [*FOLDERS, *map(_input, OPTIONS)]
    keys = dict.fromkeys(part["value-key"] for part in inputs)
    return {
        "schema-version": SCHEMA_VERSION,
        "name": "bidsqa",
        "tool-version": bidsqa.__version__,
        "author": "The bidsqa developers",
        "description": DESCRIPTION,
        "command-line": f"mkdir -p [OUTPUT_DIR]; bidsqa {' '.join(keys)}",
        "container-image": {"type": "docker", "image": f"bidsqa:{bidsqa.__version__}"},
        "inputs": inputs,
        "groups": [
            {
                "id": "output_folder",
                "name": "Output folder",
                "members": ["output_dir", "output_dir_name"],
                "mutually-exclusive": True,
                "one-is-required": True,
            }
        ],
        "output-files": [
            {
                "id": "outputs",
                "name": "Outputs",
                "description": "records, pages and tables as a BIDS derivative",
                "path-template": "[OUTPUT_DIR]",
                "optional": False,
            }
        ],
        "error-codes": [{"code": code, "description": text} for code, text in EXIT_CODES.items()],
        "tags": {"domain": ["neuroinformatics"], "format": ["bids"]},
    }


def _input(option: Option) -> dict[str, Any]:
    """One option as Boutiques has it."""
    entry: dict[str, Any] = {
        "id": option.key,
        "name": option.name.replace("-", " "),
        "type": _type(option),
        "optional": True,
        "description": option.help.replace("%(default)s", str(option.default)),
        "command-line-flag": f"--{option.name}",
        "value-key": f"[{option.key.upper()}]",
    }
    if option.kind == LIST:
        entry["list"] = True
    if option.choices:
        entry["value-choices"] = list(option.choices)
    if option.kind == INTEGER:
        entry["integer"] = True
    if option.least is not None:
        entry["minimum"] = option.least
        if option.above:
            entry["exclusive-minimum"] = True
    if option.most is not None:
        entry["maximum"] = option.most
    if option.kind not in (FLAG, COUNT) and option.default is not None:
        entry["default-value"] = option.default
    return entry


def _type(option: Option) -> str:
    if option.kind in (FLAG, COUNT):
        return "Flag"
    if option.kind in (INTEGER, NUMBER):
        return "Number"
    # a folder may be one that is yet to be made, and Boutiques wants files to be there
    read = option.metavar == "FILE" or option.key in READ_FOLDERS
    return "File" if option.kind == PATH and read else "String"


def dumps() -> str:
    """The descriptor as the file holds it."""
    return json.dumps(descriptor(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dumps())
