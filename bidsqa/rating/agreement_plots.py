# SPDX-License-Identifier: Apache-2.0
"""Plots of agreement, as SVG and PNG: overlap of readers, Jaccard matrices, times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
MOST_MATRICES = 12


@contextmanager
def _figure(path: Path, columns: int, rows: int, width: float, height: float) -> Iterator[Array]:
    """Axes of a figure that is written beside ``path`` as .svg and .png, the same bytes on every day."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "bidsqa", "font.size": 9}):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes: Array = np.atleast_2d(np.asarray(figure.subplots(rows, columns, squeeze=False)))
        yield axes
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


def _matrix(axis: Any, values: Array, across: Sequence[str], down: Sequence[str], title: str) -> None:
    """A matrix with its numbers written in it, so that nothing depends on colour alone."""
    axis.imshow(np.nan_to_num(values), cmap="cividis", vmin=0, vmax=1)
    axis.set_xticks(range(len(across)), across)
    axis.set_yticks(range(len(down)), down)
    axis.set_title(title)
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        words = "n/a" if np.isnan(value) else f"{value:.2f}"
        axis.text(column, row, words, ha="center", va="center", color="black" if value > 0.5 else "white")


def draw_overlap(table: pd.DataFrame, codes: Sequence[str], title: str, path: Path) -> None:
    """Overlap of each pair of readers; on the diagonal how well each repeats themselves.

    Parameters
    ----------
    table : DataFrame
        As :func:`bidsqa.rating.agreement_tables.agreement_table` gives it.
    codes : sequence of str
    title : str
    path : Path
        The suffix is replaced.
    """
    values = np.full((len(codes), len(codes)), np.nan)
    for measure, one, two, value in zip(
        table["measure"], table["rater_1"], table["rater_2"], table["value"], strict=True
    ):
        if measure in ("overlap", "repeats") and one in codes and two in codes and value == value and value is not None:
            at, to = list(codes).index(one), list(codes).index(two)
            values[at, to] = values[to, at] = float(value)
    side = max(3.2, 0.75 * len(codes) + 1.6)
    with _figure(path, 1, 1, side, side) as axes:
        _matrix(axes[0, 0], values, codes, codes, f"{title}\noverlap; diagonal: repeats")


def draw_jaccard(table: pd.DataFrame, codes: Sequence[str], levels: Sequence[str], title: str, path: Path) -> None:
    """Jaccard matrices of the first dozen pairs of readers."""
    pairs = list(combinations(codes, 2))[:MOST_MATRICES]
    if not pairs:
        return
    columns = min(3, len(pairs))
    rows, side = -(-len(pairs) // columns), max(2.6, 0.6 * len(levels) + 1.2)
    with _figure(path, columns, rows, side, side) as axes:
        for axis in axes.flat[len(pairs) :]:
            axis.set_axis_off()
        for axis, (one, two) in zip(axes.flat, pairs, strict=False):
            own = table[(table["rater_1"] == one) & (table["rater_2"] == two)]
            values = own["jaccard"].astype(float).to_numpy().reshape(len(levels), len(levels))
            _matrix(axis, values, levels, levels, f"{title}\nJaccard")
            axis.set_ylabel(one)
            axis.set_xlabel(two)


def draw_times(times: Mapping[str, Sequence[float]], title: str, path: Path) -> None:
    """Time per answer of each reader, in seconds, as boxes (quartiles; whiskers 5 and 95 %)."""
    kept = {code: np.asarray(values, dtype=float) / 1000 for code, values in times.items() if len(values)}
    if not kept:
        return
    with _figure(path, 1, 1, max(3.2, 0.7 * len(kept) + 1.5), 3.0) as axes:
        axis = axes[0, 0]
        axis.boxplot(list(kept.values()), whis=(5, 95), showfliers=False)
        axis.set_xticks(range(1, len(kept) + 1), list(kept))
        axis.set_ylabel("seconds an answer")
        axis.set_ylim(bottom=0)
        axis.set_title(title)
