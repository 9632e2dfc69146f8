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
    """The averaged network of a training, also of those that an earlier version wrote.

    Parameters
    ----------
    path : Path
        The checkpoint. Where it isn't there, what earlier versions wrote beside it is taken: ``average.safetensors``,
        or the same name with ``.pt`` (read without running what it may hold).

    Returns
    -------
    tensors : dict
    facts : dict
        ``step`` and ``seconds`` at least.
    """
    if path.is_file():
        groups, facts = read_checkpoint(path)
        return groups["best" if "best" in groups else "average"], facts
    earlier = path.with_name("average.safetensors")
    if earlier.is_file():
        from safetensors import safe_open

        with safe_open(earlier, framework="pt") as file:
            about = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return tensors, {"step": int(about["step"]), "seconds": float(about["spent"])}
    state = torch.load(path.with_suffix(".pt"), weights_only=True)
    return state["average"], {"step": state["iteration"], "seconds": state["seconds"]}
