# SPDX-License-Identifier: Apache-2.0
"""What makes the output folder a BIDS derivative: its description, what validators pass over, how to cite it."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import bidsqa
from bidsqa.bids.names import iter_records, mask_path
from bidsqa.bids.scan import JUDGED_SUFFIXES, Scan
from bidsqa.bids.writing import write_changed
from bidsqa.errors import UsageError
from bidsqa.plain_files import read_text

NAME = "bidsqa"
BIDS_VERSION = "1.9.0"
MASK_KINDS = ("brain", "dseg")
DESCRIPTION = "dataset_description.json"

# what BIDS has no names for; masks are left to the validator. Some validators know one star a pattern, and no more
BIDSIGNORE = "\n".join(
    ["*.html", "*.md", "logs", "figures", "group_*", *(f"*_desc-qa_{suffix}.json" for suffix in JUDGED_SUFFIXES), ""]
)

CITATION = """\
# How these results were made

{text}

References:

1. Gorgolewski KJ et al. BIDS apps: improving ease of use, accessibility, and reproducibility of neuroimaging data
   analysis methods. PLoS Comput Biol 13(3):e1005209, 2017. doi:10.1371/journal.pcbi.1005209
2. Gorgolewski KJ et al. The brain imaging data structure, a format for organizing and describing outputs of
   neuroimaging experiments. Sci Data 3:160044, 2016. doi:10.1038/sdata.2016.44
3. Esteban O et al. MRIQC: advancing the automatic prediction of image quality in MRI from unseen sites.
   PLoS One 12(9):e0184661, 2017. doi:10.1371/journal.pone.0184661
{models}
Please cite bidsqa by its CITATION.cff as well.
"""


TEXT = """\
Image quality was assessed with bidsqa {version}, run as a BIDS app (Gorgolewski et al., 2017) on data organised after
the Brain Imaging Data Structure (Gorgolewski et al., 2016). Each scan was read at its native resolution. {scoring}
Brain, tissue and air masks were drawn on each scan, and image-quality metrics were measured in them under the
definitions and names of MRIQC (Esteban et al., 2017). Rules with published thresholds turned {numbers} into one verdict
a scan (pass, review or fail) with its reasons; they stand in each record together with the versions of {made} that made
it."""
COUNTED = {1: "One network", 2: "Two networks", 3: "Three networks"}
WIDTH = 118


def write_dataset_files(
    out: Path,
    root: Path | None = None,
    *,
    methods: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> None:
    """Write ``dataset_description.json``, ``.bidsignore`` and ``CITATION.md``; files that are the same already stay.

    Parameters
    ----------
    out : Path
        The output folder.
    root : Path, optional
        The dataset that was judged.
    methods : tuple of str
        What each network that gave scores does, for CITATION.md: ``*<name>* tells how ...``.
    sources : tuple of str
        Further references for CITATION.md, one sentence each (the models').
    environment : mapping, optional
        Where to look for the container's name; the process's by default.
    text : str
        The paragraph of CITATION.md on what was done, where no scan was judged.
    """
    content = describe(out, root, os.environ if environment is None else environment)
    write_changed(out / DESCRIPTION, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    write_changed(out / ".bidsignore", BIDSIGNORE)
    listed = "".join(f"{number}. {source}\n" for number, source in enumerate(sources, start=4))
    write_changed(
        out / "CITATION.md", CITATION.format(text=_filled(text) if text else _methods_text(methods), models=listed)
    )


def _methods_text(methods: tuple[str, ...]) -> str:
    """The paragraph of CITATION.md on what was run."""
    who = COUNTED.get(len(methods), f"{len(methods)} networks")
    text = TEXT.format(
        version=bidsqa.__version__,
        scoring=f"{who} scored slices of each scan: {'; '.join(methods)}." if methods else "",
        numbers="scores and metrics" if methods else "the metrics",
        made="software and models" if methods else "the software",
    )
    return _filled(text)


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def describe(out: Path, root: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
    """Content of the output's ``dataset_description.json``."""
    source = read_description(root) if root else {}
    title = source.get("Name")
    title = f" of {title[:200]}" if isinstance(title, str) and title.strip() else ""
    generated: dict[str, Any] = {"Name": NAME, "Version": bidsqa.__version__}
    generated |= {
        key: value for key, value in (("CodeURL", _code_url()), ("Container", _container(environment))) if value
    }
    content: dict[str, Any] = {
        "Name": f"bidsqa: image quality{title}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [generated],
        "HowToAcknowledge": "Please cite as CITATION.md tells.",
    }
    if root:
        # relative: the folders may move together, and nobody's home folder is published
        place = quote(PurePath(os.path.relpath(root, out)).as_posix())
        origin = {"URL": place}
        for key, entry in (("DOI", "DatasetDOI"), ("Version", "DatasetVersion")):
            if isinstance(source.get(entry), str) and source[entry].strip():
                origin[key] = source[entry].strip()
        content["SourceDatasets"] = [origin]
        content["DatasetLinks"] = {"raw": place}
    return content


def mask_sidecar(scan: Scan, kind: str) -> dict[str, Any]:
    """Metadata that BIDS wants beside a mask or segmentation in the scan's own grid.

    Parameters
    ----------
    scan : Scan
    kind : str
        As for `names.mask_path`: ``"brain"``, ``"dseg"``, ...
    """
    source = f"bids:raw:{scan.relative_path}"
    content: dict[str, Any] = {"Sources": [source], "SpatialReference": source}
    if kind == "dseg":
        return {"Description": "Brain tissues in the grid of the scan", "Manual": False, **content}
    return {"Description": f"Mask ({kind}) in the grid of the scan", "Type": kind.capitalize(), **content}


def write_mask_sidecars(out: Path, scan: Scan) -> None:
    """Write the metadata beside those masks of a scan that are there."""
    for kind in MASK_KINDS:
        path = mask_path(out, scan, kind)
        if path.exists():
            sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
            write_changed(sidecar, json.dumps(mask_sidecar(scan, kind), indent=2) + "\n")


def read_description(root: Path) -> dict[str, Any]:
    """``dataset_description.json`` of a dataset; empty where there is none that can be used."""
    try:
        content = json.loads(read_text(root / DESCRIPTION))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def check_output_is_ours(out: Path) -> None:
    """Refuse to write into a folder that holds another dataset.

    Parameters
    ----------
    out : Path
        May not exist yet.

    Raises
    ------
    UsageError
        It has a ``dataset_description.json`` that bidsqa didn't write.
    """
    if not (out / DESCRIPTION).exists():
        return
    generated = read_description(out).get("GeneratedBy")
    names = [entry.get("Name") for entry in generated if isinstance(entry, dict)] if isinstance(generated, list) else []
    if names[:1] != [NAME]:
        what = f"results of {names[0]}" if names and isinstance(names[0], str) else "another dataset"
        raise UsageError(
            f"The output folder {out} holds {what}.", "Give a folder of its own, for example .../derivatives/bidsqa."
        )


def holds_outputs(out: Path) -> bool:
    """Whether bidsqa has written into a folder: its description, the log of a run, or records put together by hand."""
    return (
        (out / DESCRIPTION).exists()
        or any((out / "logs").glob("bidsqa-*.log"))
        or next(iter_records(out), None) is not None
    )


def _code_url() -> str | None:
    """Where the code lives, as far as the package says so."""
    try:
        facts = metadata.metadata(NAME)
    except metadata.PackageNotFoundError:
        return None
    urls = dict(entry.split(", ", 1) for entry in facts.get_all("Project-URL") or [] if ", " in entry)
    return urls.get("Source") or next(iter(facts.get_all("Home-page") or []), None)


def _container(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The container that this runs in: by what Apptainer sets, else by its own variables (set in our images)."""
    tag, uri = environment.get("BIDSQA_CONTAINER_TAG"), environment.get("BIDSQA_CONTAINER_URI")
    kind = environment.get("BIDSQA_CONTAINER_TYPE")
    # first, since a Docker image may have become an Apptainer image
    if environment.get("APPTAINER_CONTAINER") or environment.get("SINGULARITY_CONTAINER"):
        kind = "apptainer"
    if not kind:
        return None
    return {"Type": kind} | {key: value for key, value in (("Tag", tag), ("URI", uri)) if value}
