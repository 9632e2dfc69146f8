# SPDX-License-Identifier: Apache-2.0
"""Checks before the work starts: each failure is one sentence with a hint."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bidsqa.bids.folders import is_folder
from bidsqa.bids.selection import suggestion
from bidsqa.errors import UsageError, WeightsError

LOG_ENDINGS = (".log", ".out", ".err")


def check_input(root: Path, *, strict: bool = True) -> list[str]:
    """The input is a BIDS dataset.

    Parameters
    ----------
    root : Path
        The dataset.
    strict : bool
        Also look at its description.

    Returns
    -------
    list of str
        Warnings.

    Raises
    ------
    UsageError
        It isn't there, can't be read, or holds nothing of BIDS.
    """
    if not root.exists():
        raise UsageError(f"The dataset {root} doesn't exist.", "Check the path (in a container: is the folder bound?).")
    if not root.is_dir():
        raise UsageError(f"The path {root} is a file, not a dataset.", "For one image use: bidsqa-scan FILE")
    try:
        with os.scandir(root) as entries:
            has_participants = any(entry.name.startswith("sub-") and is_folder(entry) for entry in entries)
    except OSError as error:
        raise UsageError(f"The dataset {root} can't be read: {error.strerror}.", "Check its permissions.") from error
    description = root / "dataset_description.json"
    if not has_participants and not description.exists():
        raise UsageError(
            f"The folder {root} is not a BIDS dataset: it has no dataset_description.json and no sub-* folders.",
            "Give the folder that holds the sub-* folders; for one image use: bidsqa-scan FILE",
        )
    return _description_warnings(description) if strict else []


def _description_warnings(path: Path) -> list[str]:
    from bidsqa.bids.sidecar import load_sidecar

    if not path.exists():
        return ["The dataset has no dataset_description.json, which BIDS demands."]
    content, problem = load_sidecar(path)
    if problem:
        return [f"dataset_description.json was not used: {problem}."]
    missing = [key for key in ("Name", "BIDSVersion") if key not in content]
    return [f"dataset_description.json has no {' and no '.join(missing)}."] if missing else []


def check_folders(root: Path, out: Path, work: Path | None) -> None:
    """The three folders don't get in each other's way, and the input stays as it is.

    The output may lie in the dataset's ``derivatives`` folder, as BIDS has it, and nowhere else in the dataset, and the
    dataset not in the output.

    Raises
    ------
    UsageError
    """
    source, target = _real(root), _real(out)
    if target == source:
        raise UsageError(
            "The output folder is the dataset itself.", f"Give another, for example {root}/derivatives/bidsqa."
        )
    if target.is_relative_to(source):
        inside = target.relative_to(source).parts
        if inside[0] != "derivatives" or len(inside) < 2:
            raise UsageError(
                f"The output folder {out} lies inside the dataset.",
                f"Give a folder outside of it, or {root}/derivatives/bidsqa.",
            )
    if source.is_relative_to(target):
        raise UsageError(
            f"The output folder {out} holds the dataset.",
            f"Give a folder of its own, for example {root}/derivatives/bidsqa.",
        )
    if work is not None:
        place = _real(work)
        if place.is_relative_to(source):
            raise UsageError(f"The work folder {work} lies inside the dataset.", "Give a folder outside of it.")
        if place == target:
            raise UsageError("The work folder is the output folder.", "Give another, on a fast local disk.")
    from bidsqa.bids.dataset import check_output_is_ours

    if out.exists() and not out.is_dir():
        raise UsageError(f"The output {out} is a file.", "Give a folder.")
    check_output_is_ours(out)


def check_room(out: Path, work: Path | None) -> None:
    """The output folder is new, empty or holds outputs of bidsqa.

    Hidden files (``.datalad``, ``.git``), logs of batch systems and the work folder count for nothing.

    Raises
    ------
    UsageError
    """
    from bidsqa.bids.dataset import holds_outputs

    if not out.is_dir() or holds_outputs(out):
        return
    inner = _real(work) if work is not None else None
    try:
        with os.scandir(out) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(
            f"The output folder {out} can't be read: {error.strerror}.", "Check its permissions."
        ) from error
    foreign = [
        name
        for name in names
        if not name.endswith(LOG_ENDINGS) and not (inner is not None and inner.is_relative_to(_real(out / name)))
    ]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"The output folder {out} holds other things ({foreign[0]}{more}) and no output of bidsqa.",
            "Give a folder of its own, for example .../derivatives/bidsqa; --force takes it all the same.",
        )


def check_links(out: Path, places: Iterable[Path] = ()) -> None:
    """No folder in the output folder is a link that leads out of it: results would be written to where it leads.

    Parameters
    ----------
    out : Path
        May itself be a link, or not exist yet.
    places : iterable of Path
        Folders below it that will be written to, beside those of the study (``figures``, ``logs``).

    Raises
    ------
    UsageError
    """
    inside = _real(out)
    for place in sorted({out / "figures", out / "logs", *places}):
        if not _real(place).is_relative_to(inside):
            below = [part for part in (*reversed(place.parents), place) if out in part.parents]
            link = next((part for part in below if part.is_symlink()), place)
            raise UsageError(
                f"{link} in the output folder is a link that leads out of it, to {_real(link)}.",
                "Remove it; to keep results elsewhere give another output folder.",
            )


def _real(path: Path) -> Path:
    """Where a path leads; links in a circle stay as they are."""
    return Path(os.path.realpath(path))


def make_folder(folder: Path, what: str) -> None:
    """Make a folder that can be written.

    Raises
    ------
    UsageError
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "no permission to write"
    except OSError as error:
        writable, reason = False, error.strerror or "input/output error"
    if not writable:
        raise UsageError(f"The {what} folder {folder} can't be written: {reason}.", "Give another folder.")


def check_writable(folder: Path, what: str) -> None:
    """A folder that is made later can be made and written, as far as its nearest parent tells.

    Raises
    ------
    UsageError
    """
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    reason = "no permission to write" if there.is_dir() else f"{there} is no folder"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"The {what} folder {folder} can't be written: {reason}.", "Give another folder.")


def check_models(names: Sequence[str]) -> tuple[str, ...]:
    """Names of models that give scores, without doubles; the default ones where none is named.

    Parameters
    ----------
    names : sequence of str
        As given, also joined by commas; ``none`` alone asks for metrics without scores.

    Raises
    ------
    UsageError
        There is no such model.
    """
    from bidsqa.models import SCORES
    from bidsqa.settings import DEFAULT_MODELS

    known = list(SCORES)
    asked = tuple(dict.fromkeys(part for name in names for part in name.split(",") if part))
    if asked == ("none",):
        return ()
    for name in asked:
        if name not in known:
            raise UsageError(f"There is no model {name!r}.", suggestion(name, known))
    return asked or DEFAULT_MODELS


def check_weights(pairs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The user's weights: ``NAME=FILE`` pairs.

    Raises
    ------
    UsageError
        Not a pair, no such model, no such file.
    WeightsError
        The file holds no weights of that model: said once, before a scan that has good scores is judged with it.
    """
    from bidsqa.models import load

    kept = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals or not file:
            raise UsageError(
                f"--weights {pair} is no pair.", "Write --weights NAME=FILE, for example severity=mine.onnx."
            )
        check_models([name])
        path = Path(file).expanduser().absolute()
        if not path.is_file():
            raise UsageError(f"The weights file {path} doesn't exist.", "Check the path.")
        load(name, weights=path)
        kept[name] = str(path)
    return tuple(kept.items())


def check_used(names: Sequence[str], own: Sequence[tuple[str, str]]) -> None:
    """Own weights are of models that run.

    Parameters
    ----------
    names : sequence of str
        The models that run.
    own : sequence of (str, str)
        Model and file, as :func:`check_weights` gives them: of models with a score alone.

    Raises
    ------
    UsageError
    """
    for name, _ in own:
        if name not in names:
            asked = " ".join((*names, name))
            raise UsageError(
                f"--weights {name}=...: the model {name} is not asked for.", f"Ask for it: --models {asked}"
            )


def check_shipped_weights(names: Sequence[str], own: Sequence[tuple[str, str]]) -> None:
    """The weights of the chosen models and of the masks are there and whole: said once, not by every scan.

    Raises
    ------
    WeightsError
    """
    from bidsqa.models import MODELS, read_weights

    masks = [name for name, row in MODELS.items() if row.kind == "internal"]
    missing = [name for name in (*names, *masks) if name not in dict(own) and not MODELS[name].path.is_file()]
    if missing:
        if not MODELS[missing[0]].weights:
            raise WeightsError(
                f"No weights ship for {missing[0]}: it learns from your own readers.",
                f"Train it (bidsqa-train {missing[0]}), then give the file: --weights {missing[0]}=FILE",
            )
        yours = f", or give your own: --weights {missing[0]}=FILE" if missing[0] not in masks else "."
        raise WeightsError(
            f"This installation has no weights for {' and '.join(missing)}.", f"Install bidsqa again{yours}"
        )
    for row in [MODELS[name] for name in (*names, *masks) if name not in dict(own)]:
        read_weights(row.path, expected=row.sha256, model=row)


def check_thresholds(path: Path | None) -> None:
    """The user's rules can be read.

    Raises
    ------
    UsageError
    """
    if path is not None:
        from bidsqa.verdict import load_rules

        load_rules(path)


def check_device(device: str) -> None:
    """The device is there.

    Raises
    ------
    UsageError
    """
    if device == "cuda":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UsageError(
                "--device cuda: this installation has no CUDA.",
                "Install the package onnxruntime-gpu, or: --device auto",
            )
