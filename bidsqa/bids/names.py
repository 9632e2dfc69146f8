# SPDX-License-Identifier: Apache-2.0
"""Where each product of a scan lies below the output folder (the only place that knows).

Every function takes a `Scan` or its ``bids_name``. Names are built from validated labels, so none can leave the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bidsqa.bids.scan import Scan, split_name

RECORD_DESC = "qa"
_FIGURE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,60}\.[a-z0-9]{2,5}")


def _parts(scan: Scan | str) -> tuple[dict[str, str], str]:
    if isinstance(scan, Scan):
        scan = scan.bids_name
    entities, suffix, extension = split_name(scan)
    if extension or "sub" not in entities:
        raise ValueError(f"{scan!r} is no BIDS name")
    return entities, suffix


def _join(entities: dict[str, str], *tail: str) -> str:
    return "_".join([*(f"{key}-{label}" for key, label in entities.items()), *tail])


def scan_folder(out: Path, scan: Scan | str) -> Path:
    """``OUT/sub-<label>[/ses-<label>]``."""
    entities, _ = _parts(scan)
    folder = out / f"sub-{entities['sub']}"
    return folder / f"ses-{entities['ses']}" if "ses" in entities else folder


def record_path(out: Path, scan: Scan | str) -> Path:
    """``OUT/sub-01[/ses-1]/anat/sub-01[_ses-1]_desc-qa_T1w.json``: the record; its presence means done."""
    entities, suffix = _parts(scan)
    return scan_folder(out, scan) / "anat" / (_join(entities, f"desc-{RECORD_DESC}", suffix) + ".json")


def page_path(out: Path, scan: Scan | str) -> Path:
    """``OUT/sub-01[_ses-1]_T1w.html``: the scan's page."""
    entities, suffix = _parts(scan)
    return out / (_join(entities, suffix) + ".html")


def figure_path(out: Path, scan: Scan | str, name: str) -> Path:
    """``OUT/sub-01[/ses-1]/figures/sub-01[_ses-1]_T1w_<name>``, `name` with extension, e.g. ``mosaic.webp``.

    The name ``{name}`` stays as it is, for those who fill it in later.
    """
    if name != "{name}" and not _FIGURE.fullmatch(name):
        raise ValueError(f"{name!r} can't be the name of a figure")
    entities, suffix = _parts(scan)
    return scan_folder(out, scan) / "figures" / f"{_join(entities, suffix)}_{name}"


def figure_paths(out: Path, scan: Scan | str) -> dict[str, Path]:
    """The figures of a scan that exist, by name as given to `figure_path`, sorted."""
    entities, suffix = _parts(scan)
    start = _join(entities, suffix) + "_"
    folder = scan_folder(out, scan) / "figures"
    if not folder.is_dir():
        return {}
    found = ((path.name.removeprefix(start), path) for path in sorted(folder.iterdir()) if path.name.startswith(start))
    return {name: path for name, path in found if _FIGURE.fullmatch(name)}


def study_figure_path(out: Path, name: str) -> Path:
    """``OUT/figures/group_<name>``: a picture of the whole study, `name` with extension, e.g. ``severity.svg``."""
    if not _FIGURE.fullmatch(name):
        raise ValueError(f"{name!r} can't be the name of a figure")
    return out / "figures" / f"group_{name}"


def mask_path(out: Path, scan: Scan | str, kind: str) -> Path:
    """Masks as BIDS derivatives in the scan's own grid.

    Parameters
    ----------
    kind : str
        ``"brain"`` gives ``..._space-T1w_desc-brain_mask.nii.gz`` (likewise any other label),
        ``"dseg"`` gives ``..._space-T1w_dseg.nii.gz``. The space tells the masks of a participant's contrasts apart.
    """
    entities, suffix = _parts(scan)
    if not kind.isalnum():
        raise ValueError(f"{kind!r} can't be the label of a mask")
    tail = ("dseg",) if kind == "dseg" else (f"desc-{kind}", "mask")
    return scan_folder(out, scan) / "anat" / (_join(entities, f"space-{suffix}", *tail) + ".nii.gz")


def record_paths(out: Path) -> list[Path]:
    """All records below an output folder, sorted by path."""
    return sorted(iter_records(out))


def iter_records(out: Path) -> Iterator[Path]:
    """As `record_paths`, one at a time and in no order."""
    for place in ("sub-*/anat", "sub-*/ses-*/anat"):
        yield from out.glob(f"{place}/*_desc-{RECORD_DESC}_*.json")


def name_of_record(path: Path) -> str:
    """The ``bids_name`` that a record's file name stands for."""
    entities, suffix, _ = split_name(path.name)
    return _join({key: label for key, label in entities.items() if key != "desc"}, suffix)
