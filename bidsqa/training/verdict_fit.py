# SPDX-License-Identifier: Apache-2.0
"""Fit what a site's readers accept: a logistic model of scores and metrics that one can read, judged site by site.

Few terms, each a value that alone tells accepted from rejected scans; the penalty is chosen, and the probabilities are
calibrated (Platt 1999), by leaving whole sites out, or fifths of the subjects where there is one site.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsqa.errors import UsageError
from bidsqa.metrics import METRIC_KEYS
from bidsqa.models import SCORES
from bidsqa.training.rated_model import folds
from bidsqa.validation.statistics import area, bootstrap, share_interval
from bidsqa.validation.tables import Table
from bidsqa.validation.temperature import calibration_error
from bidsqa.verdict.fitted import FURTHEST

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
LEAST_SCANS, LEAST_OF_EACH = 30, 8
MOST_MISSING = 0.1
LEAST_AREA = 0.6
MOST_TERMS = 8
LARGEST_CORRELATION = 0.95
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
REVIEW_BELOW, FAIL_BELOW = 0.75, 0.25
SCALE = 1.4826


@dataclass(frozen=True)
class Linear:
    """A fitted model.

    Parameters
    ----------
    names : tuple of str
        Columns of the table.
    weight, middle, spread : ndarray, shape (terms,)
    intercept : float
    """

    names: tuple[str, ...]
    weight: Array
    middle: Array
    spread: Array
    intercept: float

    def logit(self, values: Array) -> Array:
        """Log-odds of acceptance of rows (N, terms); missing values count as the middle."""
        apart = np.nan_to_num(np.clip((values - self.middle) / self.spread, -FURTHEST, FURTHEST))
        logits: Array = self.intercept + apart @ self.weight
        return logits


@dataclass(frozen=True)
class Fitted:
    """The result.

    Parameters
    ----------
    model : Linear
        Calibrated.
    tables : list of Table
    groups : str
        What was left out in turn, in words.
    """

    model: Linear
    tables: list[Table]
    groups: str


def candidates(table: pd.DataFrame) -> list[str]:
    """Columns with scores and metrics that nearly every scan has and that vary."""
    found = []
    for name in table.columns:
        if name not in METRIC_KEYS and name not in SCORES:
            continue
        values = _numbers(table, name)
        if np.isnan(values).mean() <= MOST_MISSING and np.nanstd(values) > 0:
            found.append(name)
    return found


def _numbers(table: pd.DataFrame, name: str) -> Array:
    import pandas as pd

    return pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)


def choose(values: Array, accepted: Array, names: Sequence[str]) -> list[int]:
    """Columns that tell most, at most eight, none nearly the same as one before it."""
    areas = []
    for column in range(values.shape[1]):
        known = np.isfinite(values[:, column])
        bad, good = values[known & (accepted < 0.5), column], values[known & (accepted >= 0.5), column]
        found = area(bad, good)
        areas.append(0.5 if math.isnan(found) else max(found, 1 - found))
    kept: list[int] = []
    filled = np.where(np.isfinite(values), values, np.nanmedian(values, axis=0))
    for column in sorted(range(len(areas)), key=lambda at: (-areas[at], names[at])):
        if areas[column] < LEAST_AREA or len(kept) == MOST_TERMS:
            break
        alike = [abs(_rank_correlation(filled[:, column], filled[:, other])) for other in kept]
        if not alike or max(alike) < LARGEST_CORRELATION:
            kept.append(column)
    return kept


def _rank_correlation(first: Array, second: Array) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def fit_linear(values: Array, accepted: Array, names: Sequence[str], penalty: float) -> Linear:
    """Penalised logistic regression on robustly scaled values.

    Parameters
    ----------
    values : ndarray, shape (N, columns)
        NaN where missing.
    accepted : ndarray, shape (N,)
        Share of readers who accept, 0-1: a scan counts for both answers by that share.
    names : sequence of str
    penalty : float
        Inverse strength, scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression

    chosen = choose(values, accepted, names)
    own = values[:, chosen]
    middle = np.nanmedian(own, axis=0) if chosen else np.zeros(0)
    spread = SCALE * np.nanmedian(np.abs(own - middle), axis=0) if chosen else np.ones(0)
    spread = np.where(spread > 0, spread, np.nanstd(own, axis=0)) if chosen else spread
    spread = np.where(spread > 0, spread, 1.0)
    apart = np.nan_to_num(np.clip((own - middle) / spread, -FURTHEST, FURTHEST))
    if not chosen:
        share = float(np.clip(accepted.mean(), 1e-3, 1 - 1e-3))
        return Linear((), np.zeros(0), middle, spread, math.log(share / (1 - share)))
    model = LogisticRegression(C=penalty, max_iter=2000)
    twice, answer = np.concatenate([apart, apart]), np.repeat([1, 0], len(apart))
    model.fit(twice, answer, sample_weight=np.concatenate([accepted, 1 - accepted]))
    return Linear(tuple(names[at] for at in chosen), model.coef_[0], middle, spread, float(model.intercept_[0]))


def left_out(
    values: Array, accepted: Array, names: Sequence[str], parts: Sequence[Sequence[int]], penalty: float
) -> Array:
    """Log-odds of each scan by a model that has seen nothing of its part, shape (N,)."""
    found = np.zeros(len(values))
    for part in parts:
        rest = np.setdiff1d(np.arange(len(values)), part)
        model = fit_linear(values[rest], accepted[rest], names, penalty)
        columns = [list(names).index(name) for name in model.names]
        found[list(part)] = model.logit(values[list(part)][:, columns])
    return found


def _loss(logits: Array, accepted: Array) -> float:
    return float(np.mean(np.logaddexp(0, -logits) * accepted + np.logaddexp(0, logits) * (1 - accepted)))


def best_penalty(values: Array, accepted: Array, names: Sequence[str], parts: Sequence[Sequence[int]]) -> float:
    """The penalty with the lowest loss on parts left out."""
    return min(PENALTIES, key=lambda value: (_loss(left_out(values, accepted, names, parts, value), accepted), value))


def groups_of(sites: Sequence[str], subjects: Sequence[str], seed: int) -> tuple[list[list[int]], str]:
    """What is left out in turn: sites where there are several, else fifths of the subjects."""
    names = sorted(set(sites))
    if len(names) > 1:
        return [[row for row, own in enumerate(sites) if own == name] for name in names], f"each of {len(names)} sites"
    parts = folds(subjects, seed)
    return parts, f"each of {len(parts)} groups of subjects (there is one site)"


def fit_verdict(
    table: pd.DataFrame, accepted: Array, sites: Sequence[str], subjects: Sequence[str], seed: int = 0
) -> Fitted:
    """Fit, judge and calibrate.

    Parameters
    ----------
    table : DataFrame
        Rows of ``group_<suffix>.tsv`` of the rated scans.
    accepted : ndarray, shape (N,)
        Share of readers who accept the scan.
    sites, subjects : sequence of str
    seed : int
        Of the groups of subjects.

    Raises
    ------
    UsageError
        Too few scans, nearly all with the same answer, or nothing tells them apart.
    """
    bad = int((accepted < 0.5).sum())
    if len(accepted) < LEAST_SCANS or min(bad, len(accepted) - bad) < LEAST_OF_EACH:
        raise UsageError(
            f"There are {len(accepted)} rated scans, {bad} of them rejected.",
            f"At least {LEAST_SCANS} are needed, {LEAST_OF_EACH} of them accepted and {LEAST_OF_EACH} rejected.",
        )
    names = candidates(table)
    values = np.stack([_numbers(table, name) for name in names], axis=1) if names else np.zeros((len(table), 0))
    parts, told = groups_of(sites, subjects, seed)
    logits = np.zeros(len(values))
    for place, part in enumerate(parts):
        # the penalty too is chosen without the part that judges it
        others = [other for at, other in enumerate(parts) if at != place]
        rest = np.array(sorted(row for other in others for row in other))
        inner = [np.searchsorted(rest, other).tolist() for other in others] if len(others) > 1 else _halves(len(rest))
        penalty = best_penalty(values[rest], accepted[rest], names, inner)
        model = fit_linear(values[rest], accepted[rest], names, penalty)
        logits[list(part)] = model.logit(values[list(part)][:, [names.index(name) for name in model.names]])
    slope, shift = platt(logits, accepted)
    whole = fit_linear(values, accepted, names, best_penalty(values, accepted, names, parts))
    if not whole.names or slope <= 0:
        raise UsageError(
            "No score or metric tells your accepted scans from the rejected ones at a site left out.",
            "Rate more scans, or check that the ratings belong to these scans.",
        )
    model = Linear(whole.names, slope * whole.weight, whole.middle, whole.spread, slope * whole.intercept + shift)
    tables = [
        judged_table(slope * logits + shift, accepted, values, names, subjects, told),
        rates_table(slope * logits + shift, accepted),
        terms_table(model),
    ]
    return Fitted(model, tables, told)


def _halves(count: int) -> list[list[int]]:
    return [list(range(0, count, 2)), list(range(1, count, 2))]


def platt(logits: Array, accepted: Array) -> tuple[float, float]:
    """Slope and shift that make log-odds honest: the logistic fit of the answers on them (Platt 1999)."""
    from scipy.optimize import minimize

    found = minimize(lambda at: _loss(at[0] * logits + at[1], accepted) + 1e-3 * (at[0] - 1) ** 2, np.array([1.0, 0.0]))
    return float(found.x[0]), float(found.x[1])


def judged_table(
    logits: Array, accepted: Array, values: Array, names: Sequence[str], subjects: Sequence[str], told: str
) -> Table:
    """Area, accuracy and calibration on what was left out, beside single values and the commonest answer."""
    good = accepted >= 0.5
    chances = 1 / (1 + np.exp(-logits))

    def cell(quality: Array, guess: Array | None) -> list[str]:
        def own(rows: Array) -> float:
            return area(quality[rows][good[rows]], quality[rows][~good[rows]])

        low, high = bootstrap(subjects, own)
        right = "" if guess is None else f"{(guess == good).mean():.2f}"
        return [f"{own(np.arange(len(good))):.2f} [{low:.2f}, {high:.2f}]", right]

    both = np.stack([1 - chances, chances], axis=1)
    error = calibration_error(both, np.stack([1 - accepted, accepted], axis=1))
    rows = [["fitted verdict", *cell(chances, chances >= 0.5), f"{error:.2f}"]]
    for name in ("severity", "ssim", "efc", "cjv"):
        if name in names:
            column = np.nan_to_num(values[:, list(names).index(name)])
            sign = 1.0 if area(column[good], column[~good]) >= 0.5 else -1.0
            rows.append([f"{name} alone (its sign chosen on these scans)", *cell(sign * column, None), ""])
    rows.append(["always the commonest answer", "0.50", f"{max(good.mean(), 1 - good.mean()):.2f}", ""])
    note = (
        f"{len(good)} scans, {int((~good).sum())} of them rejected by most readers; {told} judged by a model that has "
        "seen nothing of it, calibration apart. Intervals by bootstrap over subjects."
    )
    columns = ["verdict", "AUC", "accuracy", "calibration error"]
    return Table("Accepted against rejected scans", columns, rows, note)


def rates_table(logits: Array, accepted: Array) -> Table:
    """How often accepted and rejected scans would get each decision."""
    chances, good = 1 / (1 + np.exp(-logits)), accepted >= 0.5
    rows = []
    for name, own in (("accepted by most readers", good), ("rejected by most readers", ~good)):
        fail = int((chances[own] < FAIL_BELOW).sum())
        review = int((chances[own] < REVIEW_BELOW).sum()) - fail
        total = int(own.sum())
        cells = []
        for count in (total - fail - review, review, fail):
            low, high = share_interval(count, total)
            cells.append(f"{100 * count / total:.0f} % [{100 * low:.0f}, {100 * high:.0f}]")
        rows.append([name, total, *cells])
    note = f"Review below {REVIEW_BELOW:.0%}, fail below {FAIL_BELOW:.0%} chance of acceptance, on what was left out."
    return Table("Decisions that scans would get", ["scans", "number", "pass", "review", "fail"], rows, note)


def terms_table(model: Linear) -> Table:
    """What the verdict reads, the heaviest first."""
    order = np.argsort(-np.abs(model.weight), kind="stable")
    rows = [
        [model.names[at], f"{model.weight[at]:+.2f}", f"{model.middle[at]:.4g}", f"{model.spread[at]:.3g}"]
        for at in order
    ]
    return Table("What it reads", ["value", "log-odds a spread", "middle", "spread"], rows)
