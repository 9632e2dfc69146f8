# SPDX-License-Identifier: Apache-2.0
"""Noise and motion judged: ``python -m bidsqa.validation.noise_motion --data ../shared/data --variants FOLDER``.

Each scorer reads every version of every case, and every version of every ruler; a scan's version is read as the one of
the ruler whose output is nearest. Tables go into ``docs/validation_tables``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.image import Volume
from bidsqa.models import load
from bidsqa.models.noise_estimate import iedd_score
from bidsqa.models.noise_motion import NoiseMotionScorer
from bidsqa.models.noise_motion_inputs import prepare_images
from bidsqa.rulers import shipped_rulers
from bidsqa.validation.noise_motion_alpha import alpha_table
from bidsqa.validation.noise_motion_cases import Case, CleanScan, build_cases, load_cases, plain_snr, save_cases
from bidsqa.validation.noise_motion_motion import WholeScan, clean_table, motion_table, task_table
from bidsqa.validation.noise_motion_tables import (
    NETWORK,
    Judged,
    Rulers,
    label_table,
    ruler_table,
    threshold_table,
    unseen_table,
)

Array = np.ndarray[Any, Any]
# from images (N, H, W) to scores (N,), higher is better
Reader = Callable[[Array], Array]


def shipped_readers(scorer: NoiseMotionScorer) -> dict[str, Reader]:
    """The shipped network and the scores without a network."""
    return {
        NETWORK: lambda images: scorer.score_images(prepare_images(images))[0],
        "IEDD": lambda images: np.array([iedd_score(image) for image in images]),
        "plain SNR": lambda images: np.array([plain_snr(image) for image in images]),
    }


def variant_readers(folder: Path) -> tuple[dict[str, Reader], dict[str, Reader]]:
    """Readers of noise and of motion of the variants that were trained side by side."""
    import torch

    from bidsqa.models.networks_noise_motion import NoiseMotionNet
    from bidsqa.training.networks_meon import MeonShaped, noise_quality
    from bidsqa.validation.noise_motion_variants import MEON, VARIANTS, load_variant

    def reader(network: Any, task: str) -> Reader:
        def read(images: Array) -> Array:
            with torch.no_grad():
                slices = torch.from_numpy(prepare_images(images))
                if isinstance(network, MeonShaped):
                    return noise_quality(network, slices).numpy()
                output = network.task_output(slices, task)
                return np.asarray((output if task == "noise" else torch.sigmoid(-output)).numpy())

        return read

    noise, moved = {}, {}
    for name in (*VARIANTS, MEON):
        network = load_variant(folder, name)
        tasks = network.tasks if isinstance(network, NoiseMotionNet) else ("noise",)
        if "noise" in tasks:
            noise[name] = reader(network, "noise")
        if "motion" in tasks:
            moved[name] = reader(network, "motion")
    return noise, moved


def judge(cases: Sequence[Case], noise: Mapping[str, Reader], moved: Mapping[str, Reader]) -> list[Judged]:
    """Every scorer on every case."""
    empty = np.empty(0)
    return [
        Judged(
            replace(case, versions=empty, pair=empty),
            {name: read(case.versions) for name, read in noise.items()},
            {name: read(case.pair) for name, read in moved.items()},
        )
        for case in cases
    ]


def ruler_scores(noise: Mapping[str, Reader]) -> dict[str, dict[str, Array]]:
    """Scores of the eight versions of each shipped ruler, by ruler and scorer."""
    return {
        ruler.name: {name: read(ruler.versions.astype(np.float32)) for name, read in noise.items()}
        for ruler in shipped_rulers()
    }


def judge_scans(scorer: NoiseMotionScorer, scans: Sequence[CleanScan]) -> list[WholeScan]:
    """Noise output and probability of motion of whole scans as they are and moved: medians over their slices."""
    found = []
    for scan in scans:
        noise, still = scorer.score_images(scan.slices.astype(np.float32))
        _, moved = scorer.score_images(scan.moved.astype(np.float32))
        medians = (float(np.median(values)) for values in (noise, still, moved))
        found.append(WholeScan(scan.data, scan.subject, scan.contrast, *medians))
    return found


def spent_on(scorer: NoiseMotionScorer) -> float:
    """Processor time (s) for a scan of 256 x 256 x 176 voxels of 1 mm, its rough head included."""
    rng = np.random.default_rng(0)
    data = np.zeros((256, 256, 176), dtype=np.float32)
    data[40:216, 30:226, 20:160] = 100 + 10 * rng.standard_normal((176, 196, 140), dtype=np.float32)
    volume = Volume.from_array(data)
    scorer.score(volume)
    began = time.process_time()
    scorer.score(volume)
    return time.process_time() - began


def write_tables(
    judged: Sequence[Judged],
    rulers: Rulers,
    scans: Sequence[WholeScan],
    seconds: float,
    sha256: str,
    variants: Path | None,
    out: Path,
) -> None:
    """Make, print and write all tables.

    Parameters
    ----------
    judged : sequence of Judged
    rulers : Mapping
        Scores of the shipped rulers' versions by ruler and scorer.
    scans : sequence of WholeScan
    seconds : float
        Of processor time for a scan of 256 x 256 x 176 voxels.
    sha256 : str
        Of the weights.
    variants : Path, optional
        Facts of the variants' training; without it their tables are left out.
    out : Path
        Folder.
    """
    note = f"Weights {sha256[:12]}. Intervals: 95 %, subjects drawn anew."
    facts = json.loads(variants.read_text(encoding="utf-8")) if variants is not None else {}
    few = f"The MEON-shaped network had {facts['steps']} steps of training. " if facts else ""
    tables = {
        "ruler": ruler_table(judged, rulers, few + note),
        "thresholds": threshold_table(judged, rulers, few + note),
        "motion": motion_table(judged, scans, note),
        "clean": clean_table(scans, seconds, note),
        "alpha": alpha_table(judged, rulers, note),
    }
    if facts:
        equal = (
            f"Trained side by side on the same slices, {facts['steps']} steps of each task (5 versions of a slice, 3 "
            f"pairs), seed {facts['seed']}: a comparison, not the shipped network. Sites, subjects and maps not "
            f"trained on. {note}"
        )
        tables |= {
            "labels": label_table(judged, rulers, equal),
            "unseen": unseen_table(judged, rulers, equal),
            "tasks": task_table(judged, rulers, equal),
        }
    for name, table in tables.items():
        print(table.text(), flush=True)
        table.write(out / f"noise_motion_{name}.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge and write the tables."""
    parser = argparse.ArgumentParser(description="Judge the noise and motion network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/ and labels/")
    parser.add_argument("--cases", type=Path, help="file to keep the cases in, or to take them from")
    parser.add_argument("--variants", type=Path, help="folder of the variants that were trained side by side")
    parser.add_argument("--weights", type=Path, help="weights to judge instead of the shipped ones")
    parser.add_argument("--out", type=Path, default=Path("docs/validation_tables"))
    chosen = parser.parse_args(arguments)
    if chosen.cases is not None and chosen.cases.is_file():
        cases, scans = load_cases(chosen.cases)
    else:
        cases, scans = build_cases(chosen.data)
        if chosen.cases is not None:
            save_cases(cases, scans, chosen.cases)
    scorer = load("noise_motion", weights=chosen.weights)
    assert isinstance(scorer, NoiseMotionScorer)
    noise = shipped_readers(scorer)
    # the offset that the weights may hold already was found on these very scans: it is found anew without each subject
    scorer.motion_offset = 0.0
    moved: dict[str, Reader] = {NETWORK: lambda images: scorer.score_images(prepare_images(images))[1]}
    if chosen.variants is not None:
        for readers, more in zip((noise, moved), variant_readers(chosen.variants), strict=True):
            readers.update(more)
    judged = judge(cases, noise, moved)
    facts = chosen.variants / "variants.json" if chosen.variants is not None else None
    sha256 = scorer.provenance()["sha256"]
    whole = judge_scans(scorer, scans)
    write_tables(judged, ruler_scores(noise), whole, spent_on(scorer), sha256, facts, chosen.out)


if __name__ == "__main__":
    main()
