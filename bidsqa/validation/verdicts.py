# SPDX-License-Identifier: Apache-2.0
"""How often each verdict is given; ``python -m bidsqa.validation.verdicts``.

Clean scans, and copies of those that no network was trained on with one artifact each, go through all steps of the
main job. The records are kept, so that other rules can be judged without looking at the images again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bidsqa import steps
from bidsqa.accounting import Ledger
from bidsqa.image import Volume
from bidsqa.record import Record
from bidsqa.settings import Settings, Source
from bidsqa.simulation import degrade_volume
from bidsqa.training.pool import Clean, real_scans
from bidsqa.validation.severity_cases import FAMILY_OF, JUDGED, UNFIT, case_seed
from bidsqa.validation.statistics import share_interval
from bidsqa.validation.tables import Table, write_rows
from bidsqa.verdict import RANK

STRENGTHS = (0.3, 0.6, 1.0)
COMMAND = "python -m bidsqa.validation.verdicts"
FOLDER = Path("docs/validation_tables")
# words that the first reason of a verdict may begin with, by the artifact that was put in
NAMED = {"noise": ("noise",), "motion": ("motion",), "ghosting": ("ghosting",), "bias": ("shading",), "blur": ("blur",)}


@dataclass(frozen=True)
class Given:
    """The verdict of one scan or copy.

    Parameters
    ----------
    scan, contrast, side : str
        As :class:`bidsqa.training.pool.Clean`.
    artifact : str
        ``"none"`` for the scan itself.
    strength : float
        0-1.
    decision : str
        ``pass``, ``review`` or ``fail``.
    reasons : str
        The words that the reasons begin with, in order, joined by a comma.
    """

    scan: str
    contrast: str
    side: str
    artifact: str
    strength: float
    decision: str
    reasons: str

    @property
    def named(self) -> bool:
        """Whether a reason names the artifact."""
        return any(word in self.reasons.split(", ") for word in NAMED.get(FAMILY_OF[self.artifact], ()))


def assess_volume(volume: Volume, name: str, suffix: str) -> Record:
    """All steps of the main job but the page, on an image in memory."""
    settings, scores = Settings(saliency=False), steps.Scores({}, {}, {})
    for model in settings.models:
        scores = scores.merged(steps.score(model, volume, settings, maps=False))
    anatomy = steps.delineate(volume, settings)
    metrics, missing = steps.measure(volume, anatomy, suffix)
    return steps.compile_record(Source(name, suffix), volume, anatomy, scores, metrics, missing, settings, Ledger())


def wanted(clean: Clean) -> Iterator[tuple[str, float]]:
    """What is judged of a scan: itself and, unless a network was trained on it, its copies."""
    yield "none", 0.0
    if clean.side != "train":
        for artifact in JUDGED:
            if (clean.site, artifact) not in UNFIT:
                yield from ((artifact, strength) for strength in STRENGTHS)


def build_records(data: Path, out: Path) -> None:
    """Write the records that are missing in ``out``, one JSON file each."""
    out.mkdir(parents=True, exist_ok=True)
    for clean in real_scans(data):
        for artifact, strength in wanted(clean):
            path = out / f"{clean.name}+{artifact}+{strength:g}+{clean.side}.json"
            if path.exists():
                continue
            volume = clean.volume
            if artifact != "none":
                volume, _, _ = degrade_volume(volume, artifact, strength, case_seed(clean.name, artifact))
            record = assess_volume(volume, clean.name, clean.contrast)
            part = path.with_suffix(".part")
            part.write_text(record.dumps(), encoding="utf-8")
            part.replace(path)


def judge_records(folder: Path, thresholds: str | None = None) -> list[Given]:
    """The verdict of every record in a folder, by the rules of the package or a user's file."""
    given = []
    for path in sorted(folder.glob("*.json")):
        scan, artifact, strength, side = path.stem.split("+")
        verdict = steps.judged(Record.loads(path.read_text(encoding="utf-8")), thresholds).verdict
        told = ", ".join(dict.fromkeys(str(reason["text"]).partition(":")[0] for reason in verdict["reasons"]))
        contrast = scan.rpartition("_")[2]
        given.append(Given(scan, contrast, side, artifact, float(strength), verdict["decision"], told))
    return given


def verdict_tables(given: Sequence[Given]) -> dict[str, Table]:
    """``verdicts_clean`` by contrast, ``verdicts_degraded`` by artifact and strength."""
    groups: dict[str, list[Given]] = {}
    copies: dict[tuple[str, float], list[Given]] = {}
    for row in given:
        if row.artifact == "none":
            seen = "trained on" if row.side == "train" else "not trained on"
            for name in (f"all, {seen}", f"{row.contrast}, {seen}"):
                groups.setdefault(name, []).append(row)
        else:
            copies.setdefault((row.artifact, row.strength), []).append(row)
    clean = [[name, len(rows), *_shares(rows), _told(rows)] for name, rows in sorted(groups.items())]
    ordered = sorted(copies.items(), key=lambda entry: (JUDGED.index(entry[0][0]), entry[0][1]))
    degraded = [
        [artifact, f"{strength:g}", len(rows), *_shares(rows), _share([row.named for row in rows if _flagged(row)])]
        for (artifact, strength), rows in ordered
    ]
    note = (
        "Rules of the package; Wilson intervals (95 %), which take scans as independent though subjects have several. "
        "The scale of the severity was calibrated on the clean scans of all sites, these among them, so that the "
        "clean scans' rates are optimistic."
    )
    return {
        "verdicts_clean": Table(
            "Verdicts of clean scans",
            ["scans", "number", *RANK, "reasons"],
            clean,
            f"{note} Whether a severity or SSIM network was trained on the scan stands beside the contrast.",
            COMMAND,
        ),
        "verdicts_degraded": Table(
            "Verdicts of scans with one artifact",
            ["artifact", "strength", "number", *RANK, "flagged ones whose reasons name it"],
            degraded,
            f"{note} Copies of scans of sites and subjects that no score was trained on; at strength 0.3 most "
            "artifacts can just be seen.",
            COMMAND,
        ),
    }


def _flagged(row: Given) -> bool:
    return row.decision != "pass"


def _shares(rows: Sequence[Given]) -> list[str]:
    return [_share([row.decision == decision for row in rows]) for decision in RANK]


def _share(hits: Sequence[bool]) -> str:
    """In per cent, with the interval."""
    if not hits:
        return ""
    low, high = share_interval(sum(hits), len(hits))
    return f"{sum(hits) / len(hits):.0%} [{low * 100:.0f}, {high * 100:.0f}]".replace("%", " %")


def _told(rows: Sequence[Given]) -> str:
    """What those that don't pass were held back for."""
    return "; ".join(f"{row.scan}: {row.reasons}" for row in rows if _flagged(row))


def main(arguments: Sequence[str] | None = None) -> None:
    """Assess what is missing, print the tables and write them for the documentation."""
    parser = argparse.ArgumentParser(prog=COMMAND.removeprefix("python -m "), description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--records", type=Path, default=Path("checkpoints/verdicts"), help="folder of the records")
    parser.add_argument("--thresholds", help="other rules than the package's")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the documentation's tables")
    chosen = parser.parse_args(arguments)
    build_records(chosen.data, chosen.records)
    given = judge_records(chosen.records, chosen.thresholds)
    for name, table in verdict_tables(given).items():
        print(table.text())
        table.write(chosen.out / f"{name}.json")
    write_rows(chosen.out / "verdicts.csv", given)


if __name__ == "__main__":
    main()
