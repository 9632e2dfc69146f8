# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-train verdict GROUP_TSV RATINGS``: what a site's readers accept, as a file for ``--thresholds``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.cli.console import FINE
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from bidsqa.cli.train_parser import Asked
    from bidsqa.training.verdict_fit import Fitted

NAMES = ("bids_name", "participant_id", "site", "status")


def fit_from_ratings(asked: Asked) -> int:
    """Read, fit, write, tell.

    Raises
    ------
    UsageError
        Something is wrong with the table or the ratings.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise UsageError("Fitting a verdict needs scikit-learn.", "Install bidsqa with its extra: bidsqa[training]")
    from bidsqa.bids.writing import write_atomic
    from bidsqa.cli.checks import check_writable
    from bidsqa.training.acceptance import acceptance
    from bidsqa.training.verdict_fit import fit_verdict

    out, options = asked.options["out"], asked.options
    if out.exists() and not options["force"]:
        raise UsageError(f"{out} exists.", "Give another --out, or --force to replace it.")
    check_writable(out.parent, "output")
    table = read_group(asked.bids_dir)
    if not asked.output_dir.exists():
        raise UsageError(f"There are no ratings at {asked.output_dir}.", "Make them: bidsqa-rate BIDS_DIR RATINGS")
    shares, task = acceptance(asked.output_dir, options["task"])
    rated = table[table["bids_name"].isin(shares) & (table["status"] == "ok")].reset_index(drop=True)
    accepted = rated["bids_name"].map(shares).to_numpy(dtype=float)
    lost = len(shares) - len(rated)
    told = f" ({lost} more ratings are of scans that the table doesn't have)" if lost else ""
    print(f"{len(rated)} of the {len(table)} scans in {asked.bids_dir.name} are rated{told}; answers: {task}.")
    suffix = str(rated["bids_name"].iloc[0]).rpartition("_")[2] if len(rated) else ""
    fitted = fit_verdict(
        rated,
        accepted,
        rated["site"].astype(str).tolist(),
        rated["participant_id"].astype(str).tolist(),
        options["seed"],
    )
    write_atomic(out, toml_of(fitted, suffix, task, len(rated)))
    for part in fitted.tables:
        print("\n" + part.text())
    print(f"Written: {out}\nNext: bidsqa BIDS_DIR OUT_DIR group --thresholds {out}")
    return FINE


def read_group(path: Path) -> pd.DataFrame:
    """The group level's table.

    Raises
    ------
    UsageError
        It is missing or another table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", na_values="n/a", dtype=dict.fromkeys(NAMES, str))
    except FileNotFoundError:
        raise UsageError(f"{path} doesn't exist.", "Run the group level first; give OUT/group_<suffix>.tsv.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {' '.join(str(error).split())[:120]}.", "Give a TSV.") from error
    missing = [name for name in NAMES if name not in table.columns]
    if missing:
        raise UsageError(f"{path} has no column {missing[0]!r}.", "Give group_<suffix>.tsv of bidsqa's group level.")
    return table


def toml_of(fitted: Fitted, suffix: str, task: str, scans: int) -> str:
    """The file for ``--thresholds``; JSON's strings and numbers are TOML's too."""
    from bidsqa.models import SCORES
    from bidsqa.training.verdict_fit import FAIL_BELOW, REVIEW_BELOW

    model = fitted.model
    basis = f"fitted to {scans} scans that readers rated ({task}); judged on {fitted.groups}"
    head: dict[str, Any] = {
        "intercept": round(model.intercept, 4),
        "review_below": REVIEW_BELOW,
        "fail_below": FAIL_BELOW,
        "suffixes": [suffix],
        "basis": basis,
    }
    lines = ["# Written by bidsqa-train verdict. Chances are those that your readers would accept a scan.", ""]
    lines += ['version = "readers"', "", "[fitted.readers]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in head.items()]
    for name, weight, middle, spread in zip(model.names, model.weight, model.middle, model.spread, strict=True):
        place = f"scores.{name}.value" if name in SCORES else f"metrics.{name}"
        lines += ["", f"[fitted.readers.terms.{json.dumps(place)}]"]
        lines += [f"weight = {weight:.6g}", f"middle = {middle:.8g}", f"spread = {spread:.6g}"]
    for table in fitted.tables:
        lines += ["", *(f"# {line}".rstrip() for line in table.text().splitlines())]
    return "\n".join(lines) + "\n"
