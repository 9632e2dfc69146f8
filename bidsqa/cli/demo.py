# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-demo DIR``: a small synthetic BIDS dataset, so that the report has something to find."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bidsqa
from bidsqa.cli.console import FINE, run_command
from bidsqa.cli.parser import Parser
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.image import Volume
    from bidsqa.simulation.phantom import Phantom

NAME = "Synthetic heads of the bidsqa demo"
EXAMPLES = """\
example:
  bidsqa-demo demo
  bidsqa demo demo-out participant group

exit codes: 0 written; 2 wrong usage, or DIR holds something else.
"""
README = """\
# Synthetic heads of the bidsqa demo

Two made-up adult heads, computed by `bidsqa-demo`; no person was scanned. Each has a T1w scan (1.1 mm) and a T2w scan
(0.9 x 0.9 x 3 mm). Two of the four scans were degraded on purpose: the T1w scan of sub-02 by motion, the T2w scan of
sub-01 by noise; their sidecars say so under `SimulatedDegradation`. The acquisition parameters are those that the
signal was computed with.

The data may be used without restriction (CC0).
"""
CHANGES = """\
1.0.0 2026-01-01
  - First version.
"""


@dataclass(frozen=True)
class DemoScan:
    """One scan of the demo.

    Parameters
    ----------
    subject : str
        Label without ``sub-``.
    contrast : str
        BIDS suffix.
    spacing : tuple of float
        Voxel edges in mm.
    noise : float
        Relative to white matter.
    artifact : str
        A row of ``bidsqa.simulation.ARTIFACTS``, or empty for a good scan.
    strength : float
        0-1.
    """

    subject: str
    contrast: str
    spacing: tuple[float, float, float]
    noise: float = 0.025
    artifact: str = ""
    strength: float = 0.0

    @property
    def stem(self) -> str:
        """Path in the dataset without extension."""
        return f"sub-{self.subject}/anat/sub-{self.subject}_{self.contrast}"


SCANS = (
    DemoScan("01", "T1w", (1.1, 1.1, 1.1)),
    DemoScan("01", "T2w", (0.9, 0.9, 3.0), artifact="noise", strength=0.6),
    DemoScan("02", "T1w", (1.1, 1.1, 1.1), artifact="motion", strength=0.5),
    DemoScan("02", "T2w", (0.9, 0.9, 3.0)),
)
SUBJECTS = {"01": {"head": 1, "age": 34, "sex": "n/a"}, "02": {"head": 2, "age": 52, "sex": "n/a"}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's by default, without the program's name.

    Returns
    -------
    int
        0 written, 2 wrong usage, 130 or 143 stopped by a signal.
    """
    return run_command("bidsqa-demo", lambda: _start(arguments))


def _start(arguments: Sequence[str] | None) -> int:
    given = build_parser().parse_args(arguments)
    if find_spec("torch") is None:
        raise UsageError(
            "The demo needs torch, which is not installed here.",
            "Lean container images leave it out; take the usual one, or: pip install torch",
        )
    write_demo(Path(given.dir).expanduser(), given.seed)
    return FINE


def build_parser() -> Parser:
    """The parser of ``bidsqa-demo``; its `parse_args` raises `UsageError`."""
    parser = Parser(
        prog="bidsqa-demo",
        description="Writes a small synthetic BIDS dataset: two heads, T1w and T2w, one scan with motion and one with "
        "noise. Takes about 25 seconds on one core, 1 GB of memory and 25 MB on disk.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("dir", metavar="DIR", help="folder to write; must be new, empty or an earlier demo")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other numbers make other heads (%(default)s)")
    parser.add_argument("--version", action="version", version=f"bidsqa {bidsqa.__version__}")
    return parser


def write_demo(root: Path, seed: int = 0, scans: Sequence[DemoScan] = SCANS, quiet: bool = False) -> list[Path]:
    """Write the dataset.

    Parameters
    ----------
    root : Path
        New, empty or an earlier demo, which is replaced file by file.
    seed : int
        0 or more; which heads.
    scans : sequence of DemoScan
        What to write.
    quiet : bool
        Print nothing.

    Returns
    -------
    list of Path
        The images.

    Raises
    ------
    UsageError
        The folder holds something else or can't be written.
    """
    from bidsqa.bids.writing import write_atomic

    _check_folder(root)
    if seed < 0:
        raise UsageError(f"The seed must be 0 or more, not {seed}.")
    written = []
    try:
        for name, text in _dataset_files(scans).items():
            write_atomic(root / name, text)
        for scan in scans:
            image, sidecar = _make_scan(scan, seed)
            path = root / f"{scan.stem}.nii.gz"
            write_atomic(path, image)
            write_atomic(root / f"{scan.stem}.json", _as_json(sidecar))
            written.append(path)
            if not quiet:
                print(f"{path}: {_describe(scan)}", flush=True)
    except OSError as error:
        raise UsageError(
            f"The demo can't be written to {root}: {error.strerror or error}.", "Give another folder or make room."
        ) from error
    if not quiet:
        print(f"Next: bidsqa {root} {root}-out participant group")
    return written


def _check_folder(root: Path) -> None:
    from bidsqa.cli.checks import make_folder

    if root.exists() and not root.is_dir():
        raise UsageError(f"The path {root} is a file.", "Give a folder that is new or empty.")
    try:
        occupied = root.is_dir() and any(root.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {root} can't be read: {error.strerror}.", "Give another folder.") from error
    if occupied and not _is_demo(root):
        raise UsageError(f"The folder {root} isn't empty and isn't an earlier demo.", "Give a new folder.")
    make_folder(root, "demo")


def _is_demo(root: Path) -> bool:
    try:
        description = json.loads((root / "dataset_description.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(description, dict) and description.get("Name") == NAME


def _dataset_files(scans: Sequence[DemoScan]) -> dict[str, str]:
    description = {
        "Name": NAME,
        "BIDSVersion": "1.9.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["bidsqa developers"],
        "Keywords": ["simulation", "quality control", "phantom"],
        "GeneratedBy": [{"Name": "bidsqa-demo", "Version": bidsqa.__version__}],
    }
    subjects = list(dict.fromkeys(scan.subject for scan in scans))
    rows = [f"sub-{label}\t{SUBJECTS[label]['age']}\t{SUBJECTS[label]['sex']}" for label in subjects]
    columns = {
        "participant_id": {"Description": "Label of the made-up head"},
        "age": {"Description": "Invented age, only to have a column", "Units": "year"},
        "sex": {"Description": "Not applicable: nobody was scanned", "Levels": {"F": "female", "M": "male"}},
    }
    return {
        "dataset_description.json": _as_json(description),
        "README.md": README,
        "CHANGES": CHANGES,
        "participants.tsv": "\n".join(["participant_id\tage\tsex", *rows, ""]),
        "participants.json": _as_json(columns),
    }


def _make_scan(scan: DemoScan, seed: int) -> tuple[bytes, dict[str, Any]]:
    """The compressed image and its sidecar."""
    from bidsqa.simulation.phantom import make_phantom

    head = int(SUBJECTS[scan.subject]["head"]) + 10 * seed  # type: ignore[call-overload]
    phantom = make_phantom(seed=head, spacing=scan.spacing)
    volume = phantom.image(scan.contrast, seed=seed, noise=scan.noise)
    sidecar = _sidecar(scan)
    if scan.artifact:
        volume = _degrade(volume, scan, seed)
        sidecar["SimulatedDegradation"] = {"Name": scan.artifact, "Strength": scan.strength}
    return _compressed(phantom, volume), sidecar


def _degrade(volume: Volume, scan: DemoScan, seed: int) -> Volume:
    from bidsqa.simulation import degrade_volume

    degraded, _, _ = degrade_volume(volume, scan.artifact, scan.strength, seed=100 + seed)
    return degraded


def _compressed(phantom: Phantom, volume: Volume) -> bytes:
    # no time stamp, so that the same version writes the same bytes
    return gzip.compress(phantom.to_nifti(volume).to_bytes(), compresslevel=3, mtime=0)


def _sidecar(scan: DemoScan) -> dict[str, Any]:
    """Acquisition parameters the signal was computed with, in BIDS units (seconds)."""
    from bidsqa.simulation.contrast import PROTOCOLS

    protocol = PROTOCOLS[scan.contrast]
    volumetric = protocol.family == "gradient"
    sidecar: dict[str, Any] = {
        "Manufacturer": "Simulated",
        "ManufacturersModelName": "bidsqa head phantom",
        "MagneticFieldStrength": 3,
        "MRAcquisitionType": "3D" if volumetric else "2D",
        "ScanningSequence": {"gradient": ["GR", "IR"], "spin": "SE", "inversion": ["SE", "IR"]}[protocol.family],
        "RepetitionTime": protocol.tr / 1000,
        "EchoTime": protocol.te / 1000,
        "FlipAngle": protocol.flip,
        "SliceThickness": max(scan.spacing),
        "ConversionSoftware": "bidsqa-demo",
        "ConversionSoftwareVersion": bidsqa.__version__,
    }
    if protocol.ti:
        sidecar["InversionTime"] = protocol.ti / 1000
    return sidecar


def _describe(scan: DemoScan) -> str:
    edges = " x ".join(f"{edge:g}" for edge in scan.spacing)
    state = f"degraded by {scan.artifact}" if scan.artifact else "a good scan"
    return f"{scan.contrast}, {edges} mm, {state}"


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
