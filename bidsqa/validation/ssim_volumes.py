# SPDX-License-Identifier: Apache-2.0
"""The SSIM score of whole scans that were not trained on: ``python -m bidsqa.validation.ssim_volumes``.

Clean scans against the same scans after motion in three dimensions: error against the true SSIM (of the very slices
that are scored), separation from clean scans of other subjects, ordering within a scan, how often the truth lies within
the uncertainty, and what artifacts other than motion do to the score.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa import models
from bidsqa.image import Volume, rough_head
from bidsqa.models.aggregation import choose_slices
from bidsqa.models.ssim import GOOD, USABLE, SsimScorer
from bidsqa.models.ssim_inputs import PIXEL_MM, WINDOW, head_scale
from bidsqa.models.windows import cut_windows
from bidsqa.validation.statistics import area, share_interval
from bidsqa.validation.tables import Table, write_rows

Array = np.ndarray[Any, Any]
OTHER = ("noise", "bias", "blur", "anisotropy", "ghosting")
OTHER_STRENGTHS = (0.5, 1.0)
MOTION_STRENGTHS = (0.1, 0.3, 0.5, 0.75, 1.0)
FOLDER = Path("docs/validation_tables")


@dataclass(frozen=True)
class VolumeResult:
    """One whole scan, clean (strength 0) or degraded, with its score and the true SSIM of the scored slices."""

    side: str
    site: str
    subject: str
    contrast: str
    artifact: str
    strength: float
    truth: float
    score: float
    uncertainty: float

    @property
    def clean(self) -> bool:
        """Not degraded."""
        return self.strength == 0


def true_similarity(clean: Volume, degraded: Volume) -> float:
    """Median ``ssim_head`` of the slices that the score judges, at 1 mm, as the network's label is defined."""
    import torch

    from bidsqa.training.ssim_pairs import labelled

    head = rough_head(clean)
    low, scale = head_scale(clean, head)
    found = []
    for axis, indices in choose_slices(clean, head, 0.6):
        windows = [
            torch.from_numpy((cut - low) / scale * (cut != 0))[:, None].float()
            for cut in (
                cut_windows(volume.data, head, clean.spacing, axis, indices, WINDOW, PIXEL_MM)[0]
                for volume in (clean, degraded)
            )
        ]
        mask = cut_windows(clean.data, head, clean.spacing, axis, indices, WINDOW, PIXEL_MM)[1] > 0.5
        found.append(labelled(windows[0], windows[1], torch.from_numpy(mask)[:, None])[0][:, 0].numpy())
    return float(np.median(np.concatenate(found)))


def judge_volumes(
    scorer: SsimScorer,
    data: Path,
    sides: Sequence[str],
    motion: Sequence[float] = MOTION_STRENGTHS,
    others: bool = True,
) -> list[VolumeResult]:
    """Score whole scans, clean, after motion (same path, growing amplitude) and after other artifacts."""
    from bidsqa.simulation import degrade_volume
    from bidsqa.training.pool import real_scans

    results = []
    for scan in real_scans(data, tuple(sides)):
        seed = sum(map(ord, scan.name))
        plan = [("motion", strength) for strength in (0.0, *sorted(motion))]
        plan += list(product(OTHER, OTHER_STRENGTHS)) if others else []
        for artifact, strength in plan:
            volume, _, _ = degrade_volume(scan.volume, artifact, strength, seed)
            score = scorer.score(volume)
            truth = 1.0 if strength == 0 else true_similarity(scan.volume, volume)
            results.append(
                VolumeResult(
                    scan.side, scan.site, scan.subject, scan.contrast, artifact, strength,
                    truth, score.value, score.uncertainty,
                )
            )  # fmt: skip
    return results


def calibrated_error(results: Sequence[VolumeResult]) -> float:
    """Error of the score that its spread over slices can't see: √(mean squared error - mean squared standard error).

    From clean and moved scans; 0 where the standard errors explain all.
    """
    moved = [row for row in results if row.artifact == "motion"]
    square = float(np.mean([(row.score - row.truth) ** 2 for row in moved]))
    return float(np.sqrt(max(square - float(np.mean([row.uncertainty**2 for row in moved])), 0.0)))


def within(results: Sequence[VolumeResult], widths: float = 2.0) -> tuple[int, int]:
    """How many scores lie within that many uncertainties of the truth, of how many (clean and moved scans)."""
    moved = [row for row in results if row.artifact == "motion"]
    return sum(abs(row.score - row.truth) <= widths * row.uncertainty for row in moved), len(moved)


def volume_rows(results: Sequence[VolumeResult]) -> list[list[Any]]:
    """Whole scans by strength of motion: scores, errors, separation from all clean scans, ordering within each scan."""
    clean = np.array([row.score for row in results if row.clean])
    own = {(row.subject, row.contrast): row.score for row in results if row.clean}
    lines = []
    moved = [row for row in results if row.artifact == "motion"]
    for strength in sorted({row.strength for row in moved}):
        rows = [row for row in moved if row.strength == strength]
        scores = np.array([row.score for row in rows])
        truth = np.array([row.truth for row in rows])
        below = [row.score < own[row.subject, row.contrast] for row in rows]
        lines.append(
            [
                strength,
                len(rows),
                f"{np.median(truth):.3f}",
                f"{np.median(scores):.3f} ({scores.min():.3f}-{scores.max():.3f})",
                f"{np.mean(scores - truth):+.3f} ± {np.std(scores - truth):.3f}",
                "" if strength == 0 else f"{area(-scores, -clean):.3f}",
                "" if strength == 0 else f"{sum(below)} of {len(below)}",
                f"{np.mean(scores < GOOD):.2f}",
            ]
        )
    return lines


def other_rows(results: Sequence[VolumeResult]) -> list[list[Any]]:
    """What artifacts other than motion do to the score: its change against the same scan's clean score."""
    own = {(row.subject, row.contrast): row.score for row in results if row.clean}
    lines = []
    for name, strength in product(OTHER, OTHER_STRENGTHS):
        rows = [row for row in results if (row.artifact, row.strength) == (name, strength)]
        if rows:
            change = np.array([row.score - own[row.subject, row.contrast] for row in rows])
            scores = np.array([row.score for row in rows])
            lines.append(
                [
                    name,
                    strength,
                    len(rows),
                    f"{np.median(change):+.3f} ({change.min():+.3f} to {change.max():+.3f})",
                    f"{np.mean(scores < GOOD):.2f}",
                    f"{np.mean(scores < USABLE):.2f}",
                ]
            )
    return lines


def volume_tables(results: Sequence[VolumeResult], digest: str) -> dict[str, Table]:
    """The whole scans' tables by file name."""
    hits, number = within([row for row in results if row.side == "test"])
    low, high = share_interval(hits, number)
    command = "python -m bidsqa.validation.ssim_volumes"
    motion = Table(
        title="SSIM score of whole scans after motion in three dimensions",
        columns=(
            "strength", "scans", "true SSIM, median", "score, median (range)", "score - true", "AUC against clean",
            "below its own clean", "share below 0.85",
        ),
        rows=volume_rows(results),
        note=(
            f"Weights {digest}. Scans of sites and subjects not trained on. Strength 1: pose RMS up to 5 mm and 5 "
            "degrees, one seed a scan, same path at all strengths. AUC: clean scans of all subjects against degraded "
            "ones, one threshold for all. Truth: median SSIM of the scored slices at 1 mm, clean against moved. The "
            f"truth lies within two uncertainties of the score in {hits} of {number} scans of sites not trained on "
            f"({100 * low:.0f} to {100 * high:.0f} %)."
        ),
        command=command,
    )  # fmt: skip
    other = Table(
        title="What other artifacts do to the SSIM score",
        columns=(
            "artifact", "strength", "scans", "change against the clean scan, median (range)", "share below 0.85",
            "share below 0.60",
        ),
        rows=other_rows(results),
        note=f"Weights {digest}. The same scans, no motion added. Below 0.85 the score says that motion is visible, "
        "below 0.60 that the scan should be repeated: what is no motion and lies there is mistaken for it.",
        command=command,
    )  # fmt: skip
    return {"ssim_volumes": motion, "ssim_others": other}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and write them for the documentation."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.validation.ssim_volumes", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--weights", type=Path, help="other weights than the shipped ones")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the documentation's tables")
    parser.add_argument("--calibrate", action="store_true", help="print the error on watched subjects and do no more")
    chosen = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    scorer = SsimScorer(models.load_network("ssim", weights=chosen.weights))
    if chosen.calibrate:
        watched = judge_volumes(scorer, chosen.data, ("watch",), others=False)
        print(f"error beyond the slices' spread, subjects watched in training: {calibrated_error(watched):.4f}")
        return
    results = judge_volumes(scorer, chosen.data, ("test", "watch"))
    digest = scorer.provenance()["sha256"][:12]
    for name, table in volume_tables(results, digest).items():
        print(table.text())
        table.write(chosen.out / f"{name}.json")
    write_rows(chosen.out / "ssim_volumes.csv", results)


if __name__ == "__main__":
    main()
