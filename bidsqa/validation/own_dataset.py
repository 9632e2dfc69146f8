# SPDX-License-Identifier: Apache-2.0
"""Judge weights on any BIDS dataset of good scans: each scan is degraded on purpose, clean and degraded are scored.

Whole scans are degraded in three dimensions. The scale is that of the weights, which no scan of the dataset had a part
in; scans that the weights say they learned from are left out. Sites are told apart in tables of their own, in which
degraded scans of a site stand against clean scans of the other sites.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from bidsqa.errors import UsageError
from bidsqa.image import Volume
from bidsqa.models import MODELS, Scorer
from bidsqa.simulation import degrade_volume
from bidsqa.training.pool import DIGEST, Clean
from bidsqa.validation.baselines import baselines
from bidsqa.validation.own_kinds import named_kinds
from bidsqa.validation.own_protocol import protocol
from bidsqa.validation.own_results import Result
from bidsqa.validation.own_separation import (
    LIMITS,
    beside_baselines,
    by_artifact,
    by_contrast,
    by_site,
    by_strength,
    clean_scans,
    draw_areas,
)
from bidsqa.validation.own_similarity import draw_similarity, similarity
from bidsqa.validation.plots import dose_response
from bidsqa.validation.severity_cases import JUDGED, PAPER
from bidsqa.validation.severity_cases import STRENGTHS as BUILT
from bidsqa.validation.ssim_volumes import true_similarity
from bidsqa.validation.tables import Table

STRENGTHS = tuple(sorted(BUILT))
ARTIFACTS = JUDGED
MINIMUM_SUBJECTS = 2


def check_subjects(subjects: Collection[str]) -> None:
    """There are enough subjects to tell them apart.

    Raises
    ------
    UsageError
    """
    if len(subjects) < MINIMUM_SUBJECTS:
        raise UsageError(
            f"Judging needs good scans of at least {MINIMUM_SUBJECTS} subjects that the weights did not learn from; "
            f"there are {len(subjects)}.",
            "Give another dataset.",
        )


def copies_of(strengths: Sequence[float], artifacts: Sequence[str], paper: bool = True) -> list[tuple[str, float]]:
    """Artifact and strength of all that each scan is judged as: clean, degraded, and for the paper's protocol."""
    wanted = [("none", 0.0), *product(artifacts, strengths)]
    if paper:
        wanted += [(name, strength) for name, strength in PAPER.items() if name in artifacts]
    return list(dict.fromkeys(wanted))


def judge(
    scans: Iterable[Clean],
    scorers: Mapping[str, Scorer],
    copies: Sequence[tuple[str, float]],
    done: Iterable[Result] = (),
) -> Iterator[Result]:
    """Score each scan clean and degraded, one result at a time.

    Parameters
    ----------
    scans : iterable of Clean
    scorers : Mapping of Scorer
    copies : sequence of (artifact, strength)
        From :func:`copies_of`; the same seed at each strength, so that an artifact only grows.
    done : iterable of Result
        Of an earlier start; not judged again if the image is still the same, but with the subject, site and contrast
        that the dataset gives it now.

    Yields
    ------
    Result
        Each copy of each scan, in order.
    """
    known = {result.key: result for result in done}
    for clean in scans:
        seed = int.from_bytes(clean.name.encode(), "little") % 1_000_003
        for artifact, strength in copies:
            earlier = known.get((clean.name, artifact, strength))
            if earlier is not None and earlier.image == image_digest(clean):
                yield replace(earlier, subject=clean.subject, site=clean.site, contrast=clean.contrast)
            else:
                yield _judged(clean, scorers, artifact, strength, seed)


def image_digest(clean: Clean) -> str:
    """First digits of the SHA-256 of a scan's data."""
    return clean.volume.facts.sha256[:DIGEST]


def _judged(clean: Clean, scorers: Mapping[str, Scorer], artifact: str, strength: float, seed: int) -> Result:
    volume, harm, paper = clean.volume, {"damage": 0.0}, 0.0 if artifact == "none" else None
    if strength > 0:
        volume, described, harm = degrade_volume(clean.volume, artifact, strength, seed)
        paper = described["s_paper"]
    scores = {name: scorer.score(volume) for name, scorer in scorers.items()}
    return Result(
        scan=clean.name,
        subject=clean.subject,
        site=clean.site,
        contrast=clean.contrast,
        image=image_digest(clean),
        artifact=artifact,
        strength=strength,
        damage=float(harm["damage"]),
        scores={name: float(score.value) for name, score in scores.items()},
        uncertainties={name: float(score.uncertainty) for name, score in scores.items()},
        kinds={name: str(score.extra["family"]) for name, score in scores.items() if "family" in score.extra},
        baselines=baselines(volume),
        s_paper=float("nan") if paper is None else float(paper),
        truth=_truth(clean.volume, volume, artifact) if "ssim" in scorers else float("nan"),
    )


def _truth(clean: Volume, degraded: Volume, artifact: str) -> float:
    """True SSIM, which only motion lowers: it is what the score predicts."""
    if artifact == "none":
        return 1.0
    return true_similarity(clean, degraded) if artifact == "motion" else float("nan")


def tables(results: Sequence[Result], model: str, note: str, strengths: Sequence[float]) -> dict[str, Table]:
    """The tables of a model by file name.

    Parameters
    ----------
    results : sequence of Result
    model : str
    note : str
        From :func:`describe`.
    strengths : sequence of float
        Copies at others were made for the paper's protocol and enter only that.
    """
    graded = [row for row in results if row.clean or row.strength in strengths]
    made = {
        f"{model}_artifacts": by_artifact(graded, model, note),
        f"{model}_contrasts": by_contrast(graded, model, note),
        f"{model}_strengths": by_strength(graded, model, note),
        f"{model}_sites": by_site(graded, model, note),
        f"{model}_clean": clean_scans(graded, model, note),
    }
    further = {
        f"{model}_kinds": named_kinds(graded, model, note),
        f"{model}_truth": similarity(graded, note) if model == "ssim" else None,
    }
    return {**made, **{name: table for name, table in further.items() if table is not None}}


def shared_tables(
    results: Sequence[Result], models: Sequence[str], note: str, strengths: Sequence[float]
) -> dict[str, Table]:
    """The tables in which the models stand beside the baselines, by file name."""
    graded = [row for row in results if row.clean or row.strength in strengths]
    made = beside_baselines(graded, models, note)
    paper = protocol(results, models, note, strengths)
    return made if paper is None else {**made, "scores_protocol": paper}


def describe(results: Sequence[Result], weights: Mapping[str, str]) -> str:
    """What the numbers rest on."""
    clean = [result for result in results if result.clean]
    subjects, sites = len({result.subject for result in clean}), sorted({result.site for result in clean})
    kinds = ", ".join(sorted({result.contrast for result in clean}))
    which = ", ".join(f"{name} {digest[:12]}" for name, digest in weights.items())
    return (
        f"Weights: {which}. {len(clean)} clean scans ({kinds}) of {subjects} subjects and {len(sites)} "
        f"site{'s' if len(sites) > 1 else ''}, and {len(results) - len(clean)} degraded copies of them (simulated in "
        "three dimensions; blanked air blanked again). What counts as clean is what the dataset holds. AUC: degraded "
        "scans against clean ones of other subjects, one threshold for all scans; empty where there is no other "
        "subject; intervals (95 %) by bootstrap over subjects, of shares after Wilson."
    )


def draw(results: Sequence[Result], models: Sequence[str], strengths: Sequence[float], folder: Path) -> None:
    """The plots, as SVG: scores against strength, areas beside the baselines, predicted against true similarity."""
    graded = [row for row in results if row.clean or row.strength in strengths]
    for model in models:
        scored = [(row, row.scores[model]) for row in graded]
        dose_response(scored, folder / f"{model}.svg", MODELS[model].title, LIMITS[model])
    draw_areas(graded, models, folder / "scores_auc.svg")
    if "ssim" in models:
        draw_similarity(graded, folder / "ssim_truth.svg")
