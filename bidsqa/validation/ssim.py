# SPDX-License-Identifier: Apache-2.0
"""How well the SSIM network does on subjects and sites not trained on: ``python -m bidsqa.validation.ssim``.

Slices: predicted minus true SSIM of slices after simulated motion (physical and Sciarra's), with the paper's class
accuracies beside those of always naming the most frequent class, and a baseline of classical sharpness measures fitted
on the training scans. Volumes: whole scans after motion in three dimensions against clean ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bidsqa import models
from bidsqa.models.ssim import CLASS_COUNTS, SsimScorer, clinical_class, equal_class
from bidsqa.validation.statistics import bootstrap
from bidsqa.validation.tables import Table, write_rows

Array = np.ndarray[Any, Any]
DRAWS = 500
SLICE_COLUMNS = (
    "slices of",
    "slices",
    "subjects",
    "mean error [95 %]",
    "SD of error [95 %]",
    "r",
    *(f"{count} classes (largest class)" for count in CLASS_COUNTS),
    "clinical classes, weighted kappa",
)
TABLE = Path("docs/validation_tables/ssim.json")


@dataclass(frozen=True)
class SliceResult:
    """One degraded slice: where it is from, its motion, true SSIM, predictions (also of others), classical measures."""

    side: str
    site: str
    subject: str
    contrast: str
    plane: str
    motion: str
    truth: float
    predicted: float
    measures: tuple[float, ...]
    others: tuple[float, ...] = ()


def classical_measures(image: Array, head: Array) -> tuple[float, ...]:
    """Reference-free sharpness of a slice scaled to its head: what a baseline knows without learning.

    Returns
    -------
    tuple of float
        Entropy focus criterion (Atkinson 1997), average edge strength, Tenengrad, log Laplacian variance, log energy
        outside the head, gradient entropy.
    """
    from scipy import ndimage

    power = np.sqrt(np.sum(image**2)) + 1e-9
    share = image[image > 0] / power
    focus = -float(np.sum(share * np.log(share + 1e-12))) / (np.sqrt(image.size) * np.log(np.sqrt(image.size)))
    rows, columns = np.gradient(image)
    slope = np.hypot(rows, columns)
    inside = slope[head] if head.any() else slope.ravel()
    edges = inside[inside > np.percentile(inside, 90)]
    bend = ndimage.laplace(image)
    outside = float(np.mean(image[~head] ** 2)) if (~head).any() else 0.0
    weights = inside / (inside.sum() + 1e-9)
    return (
        focus,
        float(edges.mean()) if edges.size else 0.0,
        float(np.mean(inside**2)),
        float(np.log(np.var(bend[head] if head.any() else bend) + 1e-6)),
        float(np.log(outside + 1e-6)),
        -float(np.sum(weights * np.log(weights + 1e-12))) / np.log(max(weights.size, 2)),
    )


def judge_slices(
    scorers: Sequence[SsimScorer], data: Path, sides: Sequence[str], per_plane: int, rounds: int, seed: int
) -> list[SliceResult]:
    """Degrade and score slices of the real scans on some sides of the split, without any augmentation.

    The first scorer is the one that is judged; the others see the same slices.
    """
    import torch

    from bidsqa.training.pool import side_of
    from bidsqa.training.ssim_pairs import make_pairs
    from bidsqa.training.ssim_pool import real_slices

    results = []
    for number, part in enumerate(real_slices(data, sides, per_plane)):
        clean = torch.from_numpy(part.images.astype(np.float32))[:, None]
        head = torch.from_numpy(part.heads)[:, None]
        for turn in range(rounds):
            pairs = make_pairs(clean, head, clean == 0, seed + 1000 * turn + number, plain=True)
            images, blocks = pairs.degraded.numpy(), pairs.head.numpy()
            predicted = [scorer.score_slices(images, blocks) for scorer in scorers]
            for row, motion in enumerate(pairs.kind):
                results.append(
                    SliceResult(
                        side_of(part.subject, part.site), part.site, part.subject, part.suffix, part.plane, motion,
                        float(pairs.score[row, 0]), float(predicted[0][row]),
                        classical_measures(images[row, 0], part.heads[row]),
                        tuple(float(values[row]) for values in predicted[1:]),
                    )
                )  # fmt: skip
    return results


def fit_baseline(training: Sequence[SliceResult]) -> Callable[[Sequence[SliceResult]], Array]:
    """Least squares of the true SSIM on the classical measures and their squares."""
    measures = np.array([row.measures for row in training])
    middle, spread = measures.mean(axis=0), measures.std(axis=0) + 1e-9

    def expand(rows: Sequence[SliceResult]) -> Array:
        unit = np.clip((np.array([row.measures for row in rows]) - middle) / spread, -4, 4)
        return np.column_stack([np.ones(len(unit)), unit, unit**2])

    weights = np.linalg.lstsq(expand(training), np.array([row.truth for row in training]), rcond=1e-6)[0]
    return lambda rows: np.clip(expand(rows) @ weights, 0, 1)


def class_accuracy(truth: Array, predicted: Array, count: int) -> tuple[float, float]:
    """Share of right classes, and the share of the most frequent class."""
    true = np.array([equal_class(float(value), count) for value in truth])
    found = np.array([equal_class(float(value), count) for value in predicted])
    return float(np.mean(true == found)), float(np.bincount(true).max() / true.size)


def weighted_kappa(truth: Array, predicted: Array) -> float:
    """Agreement on the clinical classes beyond chance, quadratic weights (Cohen 1968, doi 10.1037/h0026256); 1 is full.

    1 - Σ w O / Σ w E, where O counts the pairs of true and named class, E what their frequencies alone would give, and
    w is the squared distance of the classes. 1 where only one class occurs and all agree.
    """
    order = {name: place for place, name in enumerate(("good", "usable", "rescan"))}
    first, second = (
        np.array([order[clinical_class(float(value))] for value in values]) for values in (truth, predicted)
    )
    distance = (np.arange(3)[:, None] - np.arange(3)[None]) ** 2
    observed = np.zeros((3, 3))
    np.add.at(observed, (first, second), 1 / len(first))
    expected = observed.sum(axis=1)[:, None] * observed.sum(axis=0)[None]
    chance = float((distance * expected).sum())
    return 1.0 if chance == 0 else 1 - float((distance * observed).sum()) / chance


class Known(Protocol):
    """A slice or scan of a subject whose true SSIM is known."""

    @property
    def subject(self) -> str: ...
    @property
    def truth(self) -> float: ...


def summarise(name: str, rows: Sequence[Known], predicted: Array) -> list[Any]:
    """One line of a table of predicted against true SSIM: the columns of ``SLICE_COLUMNS``."""
    truth = np.array([row.truth for row in rows])
    error = predicted - truth
    accuracies = [class_accuracy(truth, predicted, count) for count in CLASS_COUNTS]
    subjects = [row.subject for row in rows]
    bias = bootstrap(subjects, lambda chosen: float(error[chosen].mean()), draws=DRAWS)
    spread = bootstrap(subjects, lambda chosen: float(error[chosen].std()), draws=DRAWS)
    return [
        name,
        len(rows),
        len({row.subject for row in rows}),
        f"{error.mean():+.3f} [{bias[0]:+.3f}, {bias[1]:+.3f}]",
        f"{error.std():.3f} [{spread[0]:.3f}, {spread[1]:.3f}]",
        f"{np.corrcoef(truth, predicted)[0, 1]:.3f}" if min(predicted.std(), truth.std()) > 0 else "",
        *[f"{right:.2f} ({most:.2f})" for right, most in accuracies],
        f"{weighted_kappa(truth, predicted):.2f}",
    ]


def slice_rows(training: Sequence[SliceResult], held_out: Sequence[SliceResult]) -> list[list[Any]]:
    """The slice table: by side, contrast, plane and motion, then the baselines on the same slices."""
    test = [row for row in held_out if row.side == "test"]

    def of(rows: Sequence[SliceResult]) -> Array:
        return np.array([row.predicted for row in rows])

    lines = [summarise("sites not trained on", test, of(test))]
    watch = [row for row in held_out if row.side == "watch"]
    groups: list[tuple[str, list[SliceResult]]] = [("subjects not trained on, site seen", watch)]
    for label, attribute in (("contrast", "contrast"), ("plane", "plane"), ("motion", "motion")):
        for value in sorted({getattr(row, attribute) for row in held_out}):
            chosen = [row for row in held_out if getattr(row, attribute) == value]
            groups.append((f"{label} {value}, all held out", chosen))
    lines += [summarise(name, rows, of(rows)) for name, rows in groups if len(rows) > 1]
    baseline = fit_baseline(training)
    middle = float(np.mean([row.truth for row in training]))
    lines.append(summarise("baseline: sharpness measures, sites not trained on", test, baseline(test)))
    lines.append(summarise("baseline: constant, sites not trained on", test, np.full(len(test), middle)))
    lines.append(summarise("for comparison: training scans", training, of(training)))
    return lines


def network_rows(names: Sequence[str], held_out: Sequence[SliceResult]) -> list[list[Any]]:
    """Networks side by side on the slices of sites not trained on; the first is the one that is judged."""
    test = [row for row in held_out if row.side == "test"]
    predictions = [np.array([row.predicted for row in test])]
    predictions += [np.array([row.others[number] for row in test]) for number in range(len(names) - 1)]
    return [summarise(name, test, predicted) for name, predicted in zip(names, predictions, strict=True)]


def slice_table(training: Sequence[SliceResult], held_out: Sequence[SliceResult], digest: str) -> Table:
    """The slices' table for terminal, documentation and card."""
    return Table(
        title="SSIM network on slices after simulated motion",
        columns=SLICE_COLUMNS,
        rows=slice_rows(training, held_out),
        note=(
            f"Weights {digest}. Error: predicted minus true SSIM (ssim_head). Intervals: bootstrap over subjects, "
            f"{DRAWS} draws. Motion: 12 % none, 70 % rigid between k-space lines, 18 % Sciarra's in-house; uniform "
            "strengths. Scanner-zeroed air is zeroed again after the motion. Motion simulators as in training."
        ),
        command="python -m bidsqa.validation.ssim",
    )


def network_table(names: Sequence[str], held_out: Sequence[SliceResult], digest: str) -> Table:
    """Networks side by side."""
    return Table(
        title="SSIM networks side by side on slices of sites not trained on",
        columns=SLICE_COLUMNS,
        rows=network_rows(names, held_out),
        note=f"The first is shipped (weights {digest}); the same slices and motions for all; as in the table above.",
        command="python -m bidsqa.validation.ssim --compare NAME=FILE ...",
    )


def named_file(text: str) -> tuple[str, Path]:
    """``NAME=FILE`` of ``--compare``."""
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text!r}: NAME=FILE is wanted")
    return name, Path(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and write them, and the plot, for the documentation."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.validation.ssim", description="Validate the SSIM network.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--weights", type=Path, help="other weights than the shipped ones")
    parser.add_argument("--compare", type=named_file, nargs="+", default=[], help="NAME=FILE of networks beside it")
    parser.add_argument("--per-plane", type=int, default=6, help="slices a plane")
    parser.add_argument("--rounds", type=int, default=3, help="motions a slice")
    parser.add_argument("--out", type=Path, default=TABLE, help="table for the documentation")
    chosen = parser.parse_args(arguments)
    import torch

    from bidsqa.validation.plots import predicted_against_true

    torch.set_num_threads(1)
    files = (chosen.weights, *(path for _, path in chosen.compare))
    scorers = [SsimScorer(models.load_network("ssim", weights=path)) for path in files]
    digest = scorers[0].provenance()["sha256"][:12]
    training = judge_slices(scorers[:1], chosen.data, ("train",), chosen.per_plane, chosen.rounds, seed=5000)
    held_out = judge_slices(scorers, chosen.data, ("test", "watch"), chosen.per_plane, chosen.rounds, seed=9000)
    table = slice_table(training, held_out, digest)
    print(table.text())
    table.write(chosen.out)
    write_rows(chosen.out.with_suffix(".csv"), held_out, ("measures", "others"))
    if chosen.compare:
        networks = network_table(["shipped", *(name for name, _ in chosen.compare)], held_out, digest)
        print(networks.text())
        networks.write(chosen.out.with_name("ssim_networks.json"))
    predicted_against_true(
        np.array([row.truth for row in held_out]),
        np.array([row.predicted for row in held_out]),
        [row.contrast for row in held_out],
        chosen.out.with_name("ssim_slices.svg"),
    )


if __name__ == "__main__":
    main()
