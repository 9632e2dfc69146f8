# SPDX-License-Identifier: Apache-2.0
"""The model table: one row a learned model, with everything that docs, pages and the loader need to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from bidsqa.models.score_parts import (
    DIAGNOSTIC_PARTS,
    NOISE_MOTION_PARTS,
    RANKING_PARTS,
    SEVERITY_PARTS,
    SSIM_PARTS,
)

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
CHECKSUMS_FILE = "SHA256SUMS"


@dataclass(frozen=True)
class Reading:
    """What a range of a score means, in plain words.

    Parameters
    ----------
    name : str
        One word for tables, e.g. ``"usable"``.
    low, high : float
        The reading holds for ``low <= score < high``.
    says : str
        One sentence for pages.
    """

    name: str
    low: float
    high: float
    says: str


@dataclass(frozen=True)
class Model:
    """One row of the table.

    Parameters
    ----------
    name : str
        Key in the record's ``scores`` and in ``--models``.
    title : str
        Short name on pages.
    says : str
        What the number tells, in plain words.
    unit : str
        Empty for a pure number.
    direction : str
        ``"higher is better"``, ``"lower is better"`` or empty for an internal model.
    bounds : tuple of float
        Smallest and largest possible value.
    readings : tuple of Reading
        Ranges with a meaning, best first; together they cover the bounds.
    version : str
        Of the shipped weights; a new training gets a new one.
    architecture : str
        Name of the shipped network in the family's table of architectures.
    weights, card : str
        File names in ``bidsqa/models/weights``; empty where none ship.
    source : str
        Address of the method (DOI, preprint or code).
    citation : str
        Authors, venue and year, for CITATION.md.
    scorer : str
        ``"module:function"`` that makes a scorer from (model, network); empty for an internal model.
    kind : str
        ``"score"`` (gives a score in the record) or ``"internal"`` (used by another part, e.g. masks).
    limits : str
        What the number can't tell, in plain words.
    method : str
        What the network does with a slice, for CITATION.md: goes on from the model's name.
    parts : Mapping of str
        What the uncertainty and the further numbers and words of the score tell (``Score.extra``), by key;
        ``<key>_<name>`` for keys that hold several.
    """

    name: str
    title: str
    says: str
    unit: str
    direction: str
    bounds: tuple[float, float]
    readings: tuple[Reading, ...]
    version: str
    architecture: str
    weights: str
    card: str
    source: str
    citation: str
    scorer: str
    kind: str = "score"
    limits: str = ""
    method: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The shipped weights file."""
        return WEIGHTS_FOLDER / self.weights

    @property
    def sha256(self) -> str:
        """Checksum that the shipped weights must have (hex), empty where none are shipped."""
        return read_checksums(WEIGHTS_FOLDER).get(self.weights, "")

    def reading(self, value: float) -> Reading | None:
        """The reading that the value falls in; values at the upper bound belong to the reading that ends there."""
        for row in self.readings:
            if row.low <= value < row.high or (value == row.high == self.bounds[1]):
                return row
        return None


@cache
def read_checksums(folder: Path) -> Mapping[str, str]:
    """Checksums by file name from the folder's ``SHA256SUMS`` (the format of the ``sha256sum`` command)."""
    listing = folder / CHECKSUMS_FILE
    if not listing.is_file():
        return MappingProxyType({})
    rows = (line.split(maxsplit=1) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip())
    return MappingProxyType({name.strip().lstrip("*"): digest.lower() for digest, name in rows})


SEVERITY = Model(
    name="severity",
    title="Artifact severity",
    says="How strongly the scan is degraded by artifacts of any kind: 0 is clean, 1 is where a scan deserves a look.",
    unit="",
    direction="lower is better",
    bounds=(0.0, float("inf")),
    readings=(
        Reading("clean", 0.0, 0.5, "No artifact worth mentioning."),
        Reading("mild", 0.5, 1.0, "Some degradation, below the review threshold."),
        Reading("severe", 1.0, float("inf"), "Degraded beyond the review threshold: look at the scan."),
    ),
    version="3",
    architecture="compact",
    weights="severity.onnx",
    card="severity.md",
    source="https://github.com/shays15/artifact_scoring",
    citation="Hays et al., Medical Imaging with Deep Learning (MIDL) 2025",
    scorer="bidsqa.models.severity:make_scorer",
    limits=(
        "Learned from simulated artifacts; loss of resolution across thick slices is invisible within them, motion "
        "between the slices of a 2D scan was not learned and can be missed, and a strong change of contrast can bring "
        "a good scan above 1."
    ),
    method="(after Hays et al.) tells how strongly a slice is degraded by artifacts of any kind",
    parts=SEVERITY_PARTS,
)

SSIM = Model(
    name="ssim",
    title="Motion similarity (SSIM)",
    says=(
        "How similar the scan is to the image it would have been without motion, estimated without that image: "
        "1 is motion-free, lower is worse."
    ),
    unit="",
    direction="higher is better",
    bounds=(0.0, 1.0),
    readings=(
        Reading("good", 0.85, 1.0, "Little or no motion."),
        Reading("usable", 0.60, 0.85, "Motion is visible; fine structures may be affected."),
        Reading("rescan", 0.0, 0.60, "Strong motion: acquire the scan again where possible."),
    ),
    version="3",
    architecture="ssim_map",
    weights="ssim.onnx",
    card="ssim.md",
    source="https://arxiv.org/abs/2206.06725",
    citation=(
        "Sciarra et al., Automated SSIM regression for detection and quantification of motion artefacts in brain MR "
        "images, 2022"
    ),
    scorer="bidsqa.models.ssim:make_scorer",
    limits=(
        "Learned from simulated motion between k-space lines; noise, bias field and low resolution are meant to leave "
        "it unchanged, but strong noise, ghosts and thick slices lower it as motion does, motion between the slices of "
        "a 2D scan can be missed, and the similarity of the same motion depends on contrast."
    ),
    method="(after Sciarra et al.) predicts a slice's structural similarity to the same slice without motion",
    parts=SSIM_PARTS,
)

NOISE_MOTION = Model(
    name="noise_motion",
    title="Noise (on a ruler)",
    says=(
        "Where the scan's noise lies between the eight versions of an image ruler: 0 is as noisy as the worst, 7 as "
        "the original. What is good enough, the threshold set on the ruler tells; values on other rulers don't compare."
    ),
    unit="",
    direction="higher is better",
    bounds=(0.0, 7.0),
    readings=(
        Reading("clear", 5.0, 7.0, "Like the best versions of the ruler."),
        Reading("grainy", 2.5, 5.0, "Like the middle versions of the ruler: noise is visible."),
        Reading("noisy", 0.0, 2.5, "Like the worst versions of the ruler: strong noise."),
    ),
    version="2",
    architecture="dual",
    weights="noise_motion.onnx",
    card="noise_motion.md",
    source="https://doi.org/10.1016/j.media.2021.102344",
    citation=(
        "Lei, Syed, Zhu, Pauly and Vasanawala, Artifact- and content-specific quality assessment for MRI with image "
        "rulers, Medical Image Analysis 2022"
    ),
    scorer="bidsqa.models.noise_motion:make_scorer",
    limits=(
        "Learned from simulated noise and motion; noise that the scanner has smoothed away reads as none, and motion "
        "that leaves no trace in single slices is not seen."
    ),
    method="(after Lei et al.) tells how noisy a slice is and whether the head moved while it was acquired",
    parts=NOISE_MOTION_PARTS,
)

RANKING = Model(
    name="ranking",
    title="Rank-based quality",
    says=(
        "How a reader would rank the scan, of two scans one unit apart preferring the better one with the odds 2.7 to "
        "1; 0 is a typical clean scan of the sites that were learned from. The shipped weights learned a formula's "
        "opinion, no person's."
    ),
    unit="",
    direction="higher is better",
    bounds=(float("-inf"), float("inf")),
    readings=(
        Reading("like clean scans", -2.0, float("inf"), "Clean scans of other sites are ranked as low as this."),
        Reading("ranked lower", -4.0, -2.0, "Most readers would prefer a clean scan."),
        Reading("ranked far lower", float("-inf"), -4.0, "Nearly every reader would prefer a clean scan."),
    ),
    version="2",
    architecture="efficientnet_b0_free",
    weights="ranking.onnx",
    card="ranking.md",
    source="https://doi.org/10.1002/jmri.29672",
    citation="Tang et al., Journal of Magnetic Resonance Imaging 61:2572, 2025",
    scorer="bidsqa.models.ranking:make_scorer",
    limits=(
        "The shipped weights learned from synthetic readers (a formula's opinion of simulated noise, blur, jumps and "
        "dropped samples), from no person; those of a site know its readers and its kind of images alone."
    ),
    method="(after Tang et al.) tells how high a reader would rank a slice among others",
    parts=RANKING_PARTS,
)

DIAGNOSTIC = Model(
    name="diagnostic",
    title="Diagnostic quality",
    says=(
        "The class that a site's readers would give the scan, as the mean over its slices: 0 non-diagnostic, "
        "1 diagnostic, 2 excellent (where the weights know three)."
    ),
    unit="",
    direction="higher is better",
    bounds=(0.0, 2.0),
    readings=(
        Reading("excellent", 1.5, 2.0, "Mostly excellent slices."),
        Reading("diagnostic", 0.5, 1.5, "Mostly slices that serve a diagnosis."),
        Reading("non-diagnostic", 0.0, 0.5, "Mostly slices that don't serve a diagnosis."),
    ),
    version="",
    architecture="convnet_3",
    weights="",
    card="",
    source="https://arxiv.org/abs/1912.02907",
    citation="Ma et al., Diagnostic image quality assessment and classification in medical imaging, 2020",
    scorer="bidsqa.models.diagnostic:make_scorer",
    limits="Learned from the ratings of the site that trained it; none are shipped.",
    method="(after Ma et al.) tells how useful a slice is for a diagnosis",
    parts=DIAGNOSTIC_PARTS,
)

SEGMENTATION = Model(
    name="segmentation",
    title="Masks",
    says="Which share of each voxel around the brain is air, head, CSF, grey or white matter, on any contrast.",
    unit="",
    direction="",
    bounds=(0.0, 1.0),
    readings=(),
    version="1",
    architecture="shares",
    weights="segmentation.onnx",
    card="segmentation.md",
    source="https://doi.org/10.1016/j.media.2023.102789",
    citation="Billot et al., SynthSeg, Medical Image Analysis 2023 (the idea of drawing contrasts from label maps)",
    scorer="",
    kind="internal",
    limits="Learned from adult heads alone; lesions, resections and implants were never seen.",
    method="mends the tissue shares that an average head and a mixture of intensities give",
)

MODELS: Mapping[str, Model] = MappingProxyType(
    {row.name: row for row in (SEVERITY, SSIM, NOISE_MOTION, RANKING, DIAGNOSTIC, SEGMENTATION)}
)
"""Every model by name: scores first, in the order in which they are shown."""

SCORES: Mapping[str, Model] = MappingProxyType({name: row for name, row in MODELS.items() if row.kind == "score"})
"""The models that give a score."""


@dataclass(frozen=True)
class ScoreValue:
    """A value of a score that is compared between the scans of a study: the score itself, or a part of it.

    Parameters
    ----------
    reads : str
        Its place in the record, as rules name it.
    title, says, unit, direction : str
        As for a model.
    bounds : tuple of float
    readings : tuple of Reading
        Empty for a part.
    """

    reads: str
    title: str
    says: str
    unit: str
    direction: str
    bounds: tuple[float, float]
    readings: tuple[Reading, ...] = ()


# parts that tell of something else than their score: by model, the part's key in the record
_PARTS = {
    "noise_motion": {
        "p_motion": ("Motion (probability)", "lower is better", (0.0, 1.0)),
    },
}


def _score_values() -> Mapping[str, ScoreValue]:
    found = {}
    for name, row in SCORES.items():
        found[name] = ScoreValue(
            f"scores.{name}.value", row.title, row.says, row.unit, row.direction, row.bounds, row.readings
        )
        for part, (title, direction, bounds) in _PARTS.get(name, {}).items():
            found[f"{name}_{part}"] = ScoreValue(
                f"scores.{name}.{part}", title, f"{row.parts[part]}.", "", direction, bounds
            )
    return MappingProxyType(found)


SCORE_VALUES: Mapping[str, ScoreValue] = _score_values()
"""What is compared between scans, by its column in the tables: each score, and after it its parts that stand alone."""
