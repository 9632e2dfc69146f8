# SPDX-License-Identifier: Apache-2.0
"""The state of a training in one safetensors file: tensors and plain numbers, nothing that runs when it is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bidsqa.bids.writing import atomic_path
from bidsqa.errors import UsageError

FORMAT = "bidsqa-training-1"
Groups = Mapping[str, Mapping[str, Tensor]]


def write_checkpoint(path: Path, groups: Groups, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Parameters
    ----------
    path : Path
    groups : Mapping
        Tensors by group (``network``, ``average``, ...) and name.
    facts : Mapping
        Plain values; floats come back bit for bit.
    """
    from safetensors.torch import save_file

    tensors = {
        f"{group}/{name}": value.detach().cpu().contiguous()
        for group, values in groups.items()
        for name, value in values.items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "facts": json.dumps(facts, sort_keys=True)})


def read_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Groups and facts of :func:`write_checkpoint`.

    Raises
    ------
    UsageError
        The file is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise ValueError("another format")
            for key in file.keys():  # noqa: SIM118 (no mapping)
                group, _, name = key.partition("/")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
        return groups, json.loads(about["facts"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"The checkpoint {path} can't be read: {' '.join(str(error).split())[:160]}.",
            "Start anew (bidsqa-train: --force).",
        ) from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of each parameter as ``<number>/<name>``."""
    return {
        f"{number}/{key}": value if isinstance(value, Tensor) else torch.tensor(float(value))
        for number, entry in optimiser.state_dict()["state"].items()
        for key, value in entry.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of :func:`optimiser_tensors`."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split("/", 1)
        moments.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def averaged_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged network of a training, also of those that an earlier version wrote (:func:`earlier_state`).

    Returns
    -------
    tensors : dict
    facts : dict
        ``step`` and ``seconds`` at least.
    """
    groups, facts = read_checkpoint(path) if path.is_file() else earlier_state(path)
    return groups["best" if "best" in groups else "average"], facts


def earlier_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What earlier versions wrote where now a checkpoint would be.

    That is ``network.safetensors``, ``average.safetensors`` and ``optimiser.safetensors`` beside it, or one file of the
    same name with ``.pt``, which is read without running what it may hold.

    Raises
    ------
    FileNotFoundError
        There is neither.
    """
    if path.with_name("average.safetensors").is_file():
        from safetensors import safe_open
        from safetensors.torch import load_file

        groups = {name: load_file(path.with_name(f"{name}.safetensors")) for name in ("network", "average")}
        moments = load_file(path.with_name("optimiser.safetensors"))
        groups["optimiser"] = {name.replace(".", "/", 1): value for name, value in moments.items()}
        with safe_open(path.with_name("average.safetensors"), framework="pt") as file:
            about = file.metadata()
        return groups, {"step": int(about["step"]), "seconds": float(about["spent"])}
    state = torch.load(path.with_suffix(".pt"), weights_only=True)
    groups = {"network": state["network"], "average": state["average"]}
    groups["optimiser"] = {
        f"{number}/{key}": value
        for number, entry in state["optimiser"]["state"].items()
        for key, value in entry.items()
    }
    return groups, {"step": state["iteration"], "seconds": state["seconds"]}


def adopt_earlier(path: Path) -> None:
    """Turn what an earlier version left into a checkpoint to go on from, where there is no checkpoint yet."""
    if path.is_file():
        return
    try:
        groups, facts = earlier_state(path)
    except FileNotFoundError:
        return
    looked = {"looked_step": facts["step"], "looked_seconds": facts["seconds"]}
    write_checkpoint(path, groups, {**facts, **looked, "best_step": -1, "best_loss": None})
