# SPDX-License-Identifier: Apache-2.0
"""Ship the trained noise and motion network: ``python -m bidsqa.training.noise_motion_export --checkpoint FOLDER``.

Writes the weights, their checksum, the training curve and the card, whose validation tables are those that
``python -m bidsqa.validation.noise_motion`` wrote last for the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bidsqa.bids.writing import write_atomic
from bidsqa.models.networks_noise_motion import ARCHITECTURES, NoiseMotionNet, WithMaps
from bidsqa.models.noise_motion_inputs import WINDOW
from bidsqa.models.noise_motion_maps import OFFSET_KEY
from bidsqa.models.table import MODELS
from bidsqa.training.checkpoints import read_checkpoint
from bidsqa.training.curve import Row, as_csv, read_curve
from bidsqa.training.export import half_rounded, ship, to_onnx
from bidsqa.training.noise_motion_card import card
from bidsqa.training.pool import learned_from

FILE = "noise_motion.onnx"


def exported(network: NoiseMotionNet, architecture: str, version: str, more: Mapping[str, str] | None = None) -> bytes:
    """A network of both tasks as ONNX, with further metadata.

    The file holds the tensors under their own names, so that a training can go
    on from it; ONNX Runtime folds them when it loads it.
    """
    settings = {"bidsqa_model": "noise_motion", "architecture": architecture, "version": version, **(more or {})}
    example = {"slices": np.zeros((2, 1, WINDOW, WINDOW), dtype=np.float32)}
    return to_onnx(WithMaps(half_rounded(network)), example, WithMaps.output_names, settings, fold=False)


def trained(checkpoint: Path, architecture: str, *, last: bool = False) -> NoiseMotionNet:
    """The averaged network of a training, of the best look or the last."""
    network = ARCHITECTURES[architecture]()
    groups, _ = read_checkpoint(checkpoint / "checkpoint.safetensors")
    network.load_state_dict(groups["average" if last or "best" not in groups else "best"])
    network.eval()
    assert isinstance(network, NoiseMotionNet)
    return network


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, check sum, card, curve."""
    parser = argparse.ArgumentParser(description="Ship the noise and motion network.")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/noise_motion"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with scans/")
    parser.add_argument("--tables", type=Path, default=Path("docs/validation_tables"), help="validation tables")
    parser.add_argument("--architecture", default=MODELS["noise_motion"].architecture, choices=sorted(ARCHITECTURES))
    parser.add_argument("--motion-offset", type=float, default=0.0, help="as the validation prints it")
    parser.add_argument("--last", action="store_true", help="the last weights instead of the best look's")
    parser.add_argument("--before", type=Path, nargs="*", default=(), help="folders of earlier stages, for the curve")
    chosen = parser.parse_args(arguments)
    network = trained(chosen.checkpoint, chosen.architecture, last=chosen.last)
    more = {OFFSET_KEY: f"{chosen.motion_offset:.3f}", **learned_from(chosen.data)}
    content = exported(network, chosen.architecture, MODELS["noise_motion"].version, more)
    digest = hashlib.sha256(content).hexdigest()
    facts = read_checkpoint(chosen.checkpoint / "checkpoint.safetensors")[1]
    rows = joined_curve([*(folder / "curve.csv" for folder in chosen.before), chosen.checkpoint / "curve.csv"])
    curve = chosen.checkpoint / "curve_of_all_stages.csv"
    write_atomic(curve, as_csv(rows))
    text = card(digest, facts, rows[-1]["seconds"] / 3600, chosen.tables)
    print(ship(FILE, content, text, curve))


def joined_curve(paths: Sequence[Path]) -> list[Row]:
    """The curves of stages one after the other, steps and seconds going on; a curve of several stages keeps theirs."""
    rows: list[Row] = []
    for path in paths:
        last = rows[-1] if rows else {"stage": 0.0, "step": 0.0, "seconds": 0.0}
        for row in read_curve(path):
            going = {name: row[name] + last[name] for name in ("step", "seconds")}
            rows.append({**row, "stage": row.get("stage", 1.0) + last["stage"], **going})
    return rows


if __name__ == "__main__":
    main()
