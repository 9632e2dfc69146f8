# SPDX-License-Identifier: Apache-2.0
"""The plots of the validation, as SVG files that are the same bytes for the same numbers.

``python -m bidsqa.validation.plots OUT.svg NAME=CURVE.csv[@SLICES] ...`` draws learning curves of SSIM networks; SLICES
is what the weights that a training went on from had seen before. With ``--column``, ``--batch``, ``--label`` it draws
those of other networks, e.g. ``--column watch_auc --batch 42`` for the severity.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bidsqa.validation.separation import Scored
from bidsqa.validation.severity_cases import JUDGED
from bidsqa.validation.statistics import area

Array = np.ndarray[Any, Any]
# Okabe and Ito's colours, told apart by colour-blind readers
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@contextmanager
def drawing(path: Path, columns: int, rows: int, width: float = 3.2, height: float = 2.7) -> Iterator[Array]:
    """Axes of a figure that is written to ``path`` as SVG; nothing in it depends on the day or the machine."""
    import matplotlib

    with matplotlib.rc_context(
        {"svg.hashsalt": "bidsqa", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    ):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        FigureCanvasSVG(figure)
        axes: Array = np.atleast_2d(np.asarray(figure.subplots(rows, columns, squeeze=False)))
        yield axes
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def dose_response(cases: Scored, path: Path, label: str, limit: float) -> None:
    """Score of every scan against the strength of each artifact; the clean scan is strength 0.

    Parameters
    ----------
    cases : sequence of (Judged, float)
        Few scans are told apart by colour and named, many by contrast only.
    path : Path
        SVG file to write.
    label : str
        Name of the score.
    limit : float
        Drawn as a dotted line.
    """
    clean = {case.scan: (case, value) for case, value in cases if case.artifact == "none"}
    contrasts = sorted({case.contrast for case, _ in clean.values()})
    names = sorted(clean) if len(clean) <= len(COLOURS) else contrasts
    artifacts = [name for name in JUDGED if any(case.artifact == name for case, _ in cases)]
    columns = min(3, len(artifacts)) or 1
    with drawing(path, columns, -(-len(artifacts) // columns) or 1) as axes:
        for axis, artifact in zip(axes.flat, artifacts, strict=False):
            for scan, (case, value) in sorted(clean.items()):
                own = [(0.0, value)]
                own += [(row.strength, score) for row, score in cases if (row.scan, row.artifact) == (scan, artifact)]
                number = names.index(scan if scan in names else case.contrast)
                axis.plot(
                    *zip(*sorted(own), strict=True),
                    marker="os^Dv"[number % 5],
                    markersize=3,
                    linewidth=0.9,
                    linestyle=("-", "--", "-.", ":")[contrasts.index(case.contrast) % 4],
                    color=COLOURS[number % len(COLOURS)],
                )
            axis.axhline(limit, color="grey", linewidth=0.8, linestyle=":")
            axis.set(title=artifact, xlabel="strength", ylabel=label)
        for axis in axes.flat[len(artifacts) :]:
            axis.set_axis_off()
        for number, name in enumerate(names):
            style = {"marker": "os^Dv"[number % 5], "color": COLOURS[number % len(COLOURS)]}
            axes.flat[0].plot([], [], markersize=3, linewidth=0.9, label=name.removeprefix("sub-"), **style)
        axes.flat[0].legend(fontsize=5, frameon=False)


def areas_by_strength(result: Mapping[str, Any], path: Path, shown: Sequence[str] = ()) -> None:
    """AUC of clean against degraded scans by strength, of the severity and of what it is compared with.

    Parameters
    ----------
    result : Mapping
        From :func:`bidsqa.validation.severity.evaluate`.
    path : Path
    shown : sequence of str
        Scores to draw beside ``severity``; by default the published network and the classical measures.
    """
    names = [
        "severity",
        *(
            shown
            or [
                name
                for name in result["scores"]
                if name not in ("severity", "constant") and not name.startswith("reading")
            ]
        ),
    ]
    with drawing(path, 3, 2) as axes:
        for axis, artifact in zip(axes.flat, JUDGED, strict=True):
            for number, name in enumerate(name for name in names if name in result["scores"]):
                part = result["scores"][name]["artifacts"].get(artifact)
                if part is not None:
                    points = sorted((float(strength), area) for strength, area in part["auc_by_strength"].items())
                    axis.plot(
                        *zip(*points, strict=True),
                        marker="o",
                        markersize=3,
                        linewidth=1.6 if name == "severity" else 0.8,
                        color=COLOURS[number % len(COLOURS)],
                        label=name,
                    )
            axis.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
            axis.set(title=artifact, xlabel="strength", ylabel="AUC", ylim=(0, 1.03))
        axes.flat[0].legend(fontsize=6, frameon=False)


def area_bars(bars: Mapping[str, Mapping[str, tuple[float, float, float]]], path: Path, learned: int) -> None:
    """AUC of each score by artifact with its interval; learned scores are filled, classical measures hatched.

    Parameters
    ----------
    bars : Mapping of Mapping of (value, low, high)
        By score, then by artifact; NaN values are left out.
    path : Path
    learned : int
        How many scores, from the first, are learned.
    """
    artifacts = list(next(iter(bars.values()), {}))
    width = 0.8 / max(len(bars), 1)
    with drawing(path, 1, 1, width=max(3.5, 1.3 * len(artifacts) + 1.6), height=3.0) as axes:
        axis = axes.flat[0]
        for number, (name, parts) in enumerate(bars.items()):
            shown = [(place, *parts[kind]) for place, kind in enumerate(artifacts) if not np.isnan(parts[kind][0])]
            if not shown:
                continue
            place, value, low, high = (np.array(column, dtype=float) for column in zip(*shown, strict=True))
            axis.bar(
                place + (number - (len(bars) - 1) / 2) * width,
                value,
                0.92 * width,
                yerr=np.maximum([value - low, high - value], 0),
                color=COLOURS[number % len(COLOURS)],
                alpha=1.0 if number < learned else 0.55,
                hatch="" if number < learned else ("//", "..", "xx", "--", "++")[(number - learned) % 5],
                edgecolor="white",
                linewidth=0.3,
                error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
                label=name,
            )
        axis.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        axis.set(xticks=range(len(artifacts)), ylabel="AUC, clean against strong copies", ylim=(0, 1.03))
        axis.set_xticklabels(artifacts)
        axis.legend(fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def predicted_against_true(truth: Array, predicted: Array, groups: Sequence[str], path: Path) -> None:
    """Predicted against true SSIM of slices, one panel a group, with the line of equality and the error's mean and SD.

    Parameters
    ----------
    truth, predicted : ndarray, shape (N,)
    groups : sequence of str
        Group of each slice, e.g. its contrast.
    path : Path
    """
    names = sorted(set(groups))
    group = np.asarray(groups)
    with drawing(path, len(names), 1, height=3.2) as axes:
        for axis, name in zip(axes.flat, names, strict=True):
            own = group == name
            error = predicted[own] - truth[own]
            axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
            axis.scatter(truth[own], predicted[own], s=6, alpha=0.5, color=COLOURS[0], linewidths=0)
            axis.set(
                title=f"{name}: error {error.mean():+.3f} ± {error.std():.3f}, n = {own.sum()}",
                xlabel="true SSIM",
                ylabel="predicted SSIM",
                xlim=(0, 1),
                ylim=(0, 1),
            )


def roc_curves(answers: Mapping[str, tuple[Array, Array]], path: Path, what: str) -> None:
    """ROC curves with their areas, and the line of a guess.

    Parameters
    ----------
    answers : Mapping of (ndarray, ndarray)
        Values of the bad and of the good by classifier, a bad one's being higher.
    path : Path
    what : str
        The bad ones, in words.
    """
    with drawing(path, 1, 1, width=3.6, height=3.2) as axes:
        axis = axes.flat[0]
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
        for number, (name, (bad, good)) in enumerate(answers.items()):
            # from above all values down to below all: the corners of the curve
            limits = np.unique(np.concatenate([bad, good]))[::-1]
            points = [[0.0, *((values[None] >= limits[:, None]).mean(axis=1))] for values in (good, bad)]
            axis.plot(
                *points,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", "-.")[number % 3],
                linewidth=1.2,
                label=f"{name}: {area(bad, good):.2f}",
            )
        axis.set(xlabel="share of the others called so", ylabel=f"share of {what} found", xlim=(0, 1), ylim=(0, 1.01))
        axis.legend(fontsize=6, frameon=False, loc="lower right", title="area", title_fontsize=6)


def learning_curves(curves: Mapping[str, Sequence[tuple[float, float]]], measure: str, path: Path) -> None:
    """A measure on the watched subjects against the slices seen in training, one line a training.

    Parameters
    ----------
    curves : Mapping of str to sequence of (slices seen, value)
    measure : str
        Label of the vertical axis.
    path : Path
    """
    with drawing(path, 1, 1, width=4.5, height=3.2) as axes:
        axis = axes.flat[0]
        for number, (name, points) in enumerate(curves.items()):
            axis.plot(*zip(*points, strict=True), color=COLOURS[number % len(COLOURS)], linewidth=1.2, label=name)
        axis.set(xlabel="slices seen in training", ylabel=measure, xscale="log")
        axis.legend(fontsize=6, frameon=False)


def read_curve(path: Path, before: int = 0, batch: int = 16, column: str = "watch_sd") -> list[tuple[float, float]]:
    """(slices seen, a measure on watched subjects) from a training's ``curve.csv``.

    Parameters
    ----------
    path : Path
    before : int
        Slices that the starting weights had seen.
    batch : int
        Slices a step.
    column : str
        The measure: by default the SD of the error, as the SSIM networks' curves have it.
    """
    with path.open(encoding="utf-8") as rows:
        return [
            (before + batch * float(row["step"]), float(row[column])) for row in csv.DictReader(rows) if row.get(column)
        ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw learning curves; see the module's first lines."""
    parser = argparse.ArgumentParser(prog="python -m bidsqa.validation.plots", description="Draw learning curves.")
    parser.add_argument("out", type=Path, help="SVG file")
    parser.add_argument("curves", nargs="+", help="NAME=CURVE.csv[@SLICES SEEN BEFORE]")
    parser.add_argument("--column", default="watch_sd", help="measure in the files (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="slices a step (default: %(default)s)")
    parser.add_argument("--label", default="SD of the error, watched subjects", help="the measure in words")
    chosen = parser.parse_args(arguments)
    curves = {}
    for text in chosen.curves:
        name, _, place = text.partition("=")
        path, _, before = place.partition("@")
        curves[name] = read_curve(Path(path), int(before or 0), chosen.batch, chosen.column)
    learning_curves(curves, chosen.label, chosen.out)


if __name__ == "__main__":
    main()
