# SPDX-License-Identifier: Apache-2.0
"""What the uncertainties of the learned scores are worth: ``python -m bidsqa.validation.uncertainty`` prints the table.

Two questions. Does the truth lie within so many uncertainties of the score, as it would for a standard error (68 %
within one, 95 % within two)? Only the similarity after motion has a truth. And is what another seed of the same
artifact at the same strength does to the score covered? For noise another seed is a repetition and should be; for
motion it is another path, which may do more or less harm, so that a larger difference is no error of the score.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bidsqa import models
from bidsqa.models import Scorer
from bidsqa.validation.separation import percent
from bidsqa.validation.ssim_volumes import true_similarity
from bidsqa.validation.tables import Table, write_rows

PLAN = (("noise", 0.3), ("motion", 0.3), ("motion", 0.7))
SEEDS = (1, 2, 3)
SCORES = ("severity", "ssim")
TABLE = Path("docs/validation_tables/uncertainty.json")
COMMAND = "python -m bidsqa.validation.uncertainty"


@dataclass(frozen=True)
class Copy:
    """One scan, clean (``none``) or degraded, with one score.

    Parameters
    ----------
    scan, subject, side, contrast : str
        As :class:`bidsqa.training.pool.Clean`.
    artifact : str
    strength : float
        0-1.
    seed : int
        Number of the repetition; 0 for the clean scan.
    score : str
    value, uncertainty : float
    truth : float
        True SSIM of the scored slices; NaN where there is none.
    """

    scan: str
    subject: str
    side: str
    contrast: str
    artifact: str
    strength: float
    seed: int
    score: str
    value: float
    uncertainty: float
    truth: float = float("nan")

    @property
    def group(self) -> tuple[str, str, float]:
        """Copies that differ in nothing but the seed."""
        return self.scan, self.artifact, self.strength


def judge(data: Path, scorers: Mapping[str, Scorer], seeds: Sequence[int] = SEEDS) -> list[Copy]:
    """Scans of sites and subjects not trained on, clean and degraded with several seeds."""
    from bidsqa.simulation import degrade_volume
    from bidsqa.training.pool import real_scans
    from bidsqa.validation.severity_cases import case_seed, cropped

    copies = []
    for clean in real_scans(data, ("test", "watch")):
        volume = cropped(clean.volume)
        plan = [("none", 0.0, 0), *((*what, seed) for what, seed in itertools.product(PLAN, seeds))]
        for artifact, strength, seed in plan:
            degraded = volume
            if strength > 0:
                own = case_seed(f"{clean.name}{seed}", artifact)
                degraded = degrade_volume(volume, artifact, strength, own)[0]
            for name, scorer in scorers.items():
                found = scorer.score(degraded)
                truth = float("nan")
                if name == "ssim" and artifact in ("none", "motion"):
                    truth = true_similarity(volume, degraded) if strength else 1.0
                copies.append(
                    Copy(
                        clean.name, clean.subject, clean.side, clean.contrast, artifact, strength, seed,
                        name, found.value, found.uncertainty, truth,
                    )
                )  # fmt: skip
    return copies


def truth_within(copies: Sequence[Copy], widths: float) -> tuple[int, int]:
    """How often the truth lies within that many uncertainties of the score, of how often there is one."""
    known = [row for row in copies if not np.isnan(row.truth)]
    return sum(abs(row.value - row.truth) <= widths * row.uncertainty for row in known), len(known)


def repeats_within(copies: Sequence[Copy], widths: float) -> tuple[int, int]:
    """How often two copies that differ only in the seed lie within that many uncertainties of their difference.

    The uncertainty of the difference of two independent values is the root of their squares' sum.
    """
    inside = total = 0
    for first, second in itertools.combinations(copies, 2):
        if first.group == second.group:
            total += 1
            inside += abs(first.value - second.value) <= widths * np.hypot(first.uncertainty, second.uncertainty)
    return int(inside), total


def spread_of_repeats(copies: Sequence[Copy]) -> float:
    """Root mean square over scans of the standard deviation between the seeds; NaN without repetitions."""
    groups: dict[tuple[str, str, float], list[float]] = {}
    for row in copies:
        groups.setdefault(row.group, []).append(row.value)
    variances = [np.var(values, ddof=1) for values in groups.values() if len(values) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else float("nan")


def error_of(copies: Sequence[Copy]) -> str:
    """Mean and standard deviation of score minus truth; empty where no truth is known."""
    errors = np.array([row.value - row.truth for row in copies if not np.isnan(row.truth)])
    return f"{errors.mean():+.3f} ± {errors.std():.3f}" if errors.size else ""


def table_of(copies: Sequence[Copy], note: str = "") -> Table:
    """Coverage by score, artifact and strength."""
    rows = []
    for score in SCORES:
        own = [row for row in copies if row.score == score]
        for artifact, strength in sorted({(row.artifact, row.strength) for row in own}, key=_order):
            part = [row for row in own if (row.artifact, row.strength) == (artifact, strength)]
            spread = spread_of_repeats(part)
            rows.append(
                [
                    score,
                    "clean" if artifact == "none" else f"{artifact} {strength:g}",
                    len(part),
                    f"{np.median([row.uncertainty for row in part]):.3f}",
                    "" if np.isnan(spread) else f"{spread:.3f}",
                    error_of(part),
                    *(percent(truth_within(part, widths)) for widths in (1, 2)),
                    *(percent(repeats_within(part, widths)) for widths in (1, 2)),
                ]
            )
    columns = [
        "score", "scans", "copies", "median uncertainty", "SD between seeds", "score - truth, mean ± SD",
        "truth within 1 uncertainty", "truth within 2", "two seeds within 1 of their difference", "two seeds within 2",
    ]  # fmt: skip
    return Table("How far the uncertainties of the scores hold", columns, rows, note, COMMAND)


def _order(what: tuple[str, float]) -> tuple[bool, str, float]:
    return what[0] != "none", what[0], what[1]


def describe(copies: Sequence[Copy], digests: Mapping[str, str]) -> str:
    """What the table rests on."""
    scans = {row.scan: row for row in copies}
    seeds = len({row.seed for row in copies if row.artifact != "none"})
    weights = ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items())
    subjects = len({row.subject for row in scans.values()})
    return (
        f"Weights: {weights}. {len(scans)} scans of {subjects} subjects not trained on, {seeds} seeds for each "
        "artifact and strength, others for each scan. A standard error would hold 68 % within one and 95 % within two; "
        "intervals (95 %) take the copies as independent, which those of a scan are not. The truth is the SSIM of the "
        "scored slices to the clean scan, which displacement of the whole head lowers too; the severity has none. "
        "Another seed of noise is a repetition, of motion another path."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Coverage of the scores' uncertainties.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    scorers = {name: models.load(name, "cpu") for name in SCORES}
    copies = judge(given.data, scorers)
    digests = {name: scorer.provenance()["sha256"] for name, scorer in scorers.items()}
    table = table_of(copies, describe(copies, digests))
    print(table.text())
    table.write(given.table)
    write_rows(given.table.with_suffix(".csv"), copies)


if __name__ == "__main__":
    main()
