# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to shipped weights: calibrate, judge, write ONNX, card, curve and tables.

``python -m bidsqa.training.severity_export --data ../shared/data --out checkpoints/severity --ship``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bidsqa.models.loading import load_network
from bidsqa.models.networks_severity import ARCHITECTURES, SCALARS
from bidsqa.models.severity import ERROR_KEY, SeverityScorer
from bidsqa.models.severity_inputs import WINDOW
from bidsqa.models.severity_scale import Scale
from bidsqa.training.checkpoints import averaged_weights
from bidsqa.training.export import half_rounded, last_row, ship, to_onnx, to_safetensors
from bidsqa.training.pool import learned_from
from bidsqa.training.severity import Recipe
from bidsqa.training.severity_card import card
from bidsqa.validation.severity import describe, draw, evaluate, tables, watched, write
from bidsqa.validation.severity_judging import (
    beyond,
    calibrate,
    clean_left_out,
    judge,
    kinds_of,
    left_out,
    model_error,
    visible_steps,
)

VERSION = "3"


def exported(
    network: Any, scale: Scale | None = None, version: str = VERSION, more: Mapping[str, str] | None = None
) -> bytes:
    """The compact network as ONNX with its calibration in the metadata.

    Parameters
    ----------
    network : CompactNetwork
    scale : Scale, optional
    version : str
        Of the weights, for the records.
    more : Mapping of str, optional
        Further metadata.
    """
    rng = np.random.default_rng(0)
    examples = {
        "image": rng.random((2, 1, WINDOW, WINDOW), dtype=np.float32),
        "head": np.ones((2, 1, WINDOW, WINDOW), dtype=np.float32),
        "scalars": np.zeros((2, SCALARS), dtype=np.float32),
    }
    settings = {"bidsqa_model": "severity", "architecture": "compact", "version": version, **(more or {})}
    if scale is not None:
        settings["calibration"] = scale.to_json()
    return to_onnx(half_rounded(network), examples, ("readings",), settings)


def scorer_of(content: bytes) -> SeverityScorer:
    """A scorer that runs given ONNX bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "severity.onnx"
        path.write_bytes(content)
        return SeverityScorer(load_network("severity", weights=path))


def export_published(folder: Path) -> Path:
    """The published network of a training in ``folder`` as ``published.safetensors`` beside its checkpoint."""
    network = ARCHITECTURES["hays"]()
    tensors, facts = averaged_weights(folder / "hays.safetensors")
    network.load_state_dict(tensors)
    path = folder / "published.safetensors"
    settings = {"bidsqa_model": "severity", "architecture": "hays", "version": f"trained for {facts['step']} steps"}
    path.write_bytes(to_safetensors(network, settings))
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Export, calibrate and judge a trained severity network.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the training: checkpoint, pool, cases")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes, help="as given to the training, for the card")
    parser.add_argument("--steps", type=int, help="as given to the training instead of minutes, for the card")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--published", type=Path, help="weights of the published network, to be judged beside")
    parser.add_argument("--rate", type=float, help="as given to the training, for the card")
    parser.add_argument("--start", type=Path, help="as given to the training, for the card")
    parser.add_argument("--ship", action="store_true", help="write weights and card into the package")
    parser.add_argument("--tables", type=Path, help="folder for the tables of the documentation")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="compact")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.architecture == "hays":
        print(export_published(given.out))
        return
    tensors, state = averaged_weights(given.out / "compact.safetensors")
    network = ARCHITECTURES["compact"]()
    network.load_state_dict(tensors)
    published = SeverityScorer(load_network("severity", weights=given.published)) if given.published else None
    scorer = scorer_of(exported(network))
    judged = judge(given.out / "cases", scorer, published)
    kinds = kinds_of(judged)
    rows = left_out(judged, kinds=kinds)
    further = beyond([*watched(judged), *judge(given.out / "contrasts", scorer)], judged)
    result = evaluate(rows, clean_left_out(judged), further) if any(not row.clean for row in judged) else {}
    scale = calibrate([row for row in judged if row.clean], kinds=kinds, steps=visible_steps(judged))
    print(scale.to_json())
    content = exported(network, scale, more={**learned_from(given.data), ERROR_KEY: f"{model_error(judged):.4f}"})
    (given.out / "severity.onnx").write_bytes(content)
    note = describe(judged, hashlib.sha256(content).hexdigest(), published)
    shown = tables(result, note) if result else {}
    for table in shown.values():
        print(table.text())
    (given.out / "validation.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    if given.tables and result:
        write(result, given.tables, note)
        draw(result, rows, given.tables)
    if given.ship:
        curve = given.out / "curve_compact.csv"
        told = {name: getattr(given, name) for name in ("minutes", "steps", "seed", "rate", "start")}
        recipe = Recipe(given.data, given.out, **told)
        ship(
            "severity.onnx",
            content,
            card(recipe, state, note, list(shown.values()), given.out / "train.npz"),
            curve,
        )
        print("last of the curve:", last_row(curve))


if __name__ == "__main__":
    main()
