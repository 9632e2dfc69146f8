# SPDX-License-Identifier: Apache-2.0
"""The model table: one row a learned model, with everything that docs, pages and the loader need to know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from bidsqa.models.score_parts import SEVERITY_PARTS, SSIM_PARTS

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
        File names in ``bidsqa/models/weights``.
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

MODELS: Mapping[str, Model] = MappingProxyType({row.name: row for row in (SEVERITY, SSIM, SEGMENTATION)})
"""Every model by name: scores first, in the order in which they are shown."""

SCORES: Mapping[str, Model] = MappingProxyType({name: row for name, row in MODELS.items() if row.kind == "score"})
"""The models that give a score."""
