# SPDX-License-Identifier: Apache-2.0
"""One scan's job: what its nodes need to know, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.settings import Settings, Source

if TYPE_CHECKING:
    from bidsqa.bids import Scan


@dataclass(frozen=True)
class Job:
    """One scan's input, outputs and settings.

    Parameters
    ----------
    source : Source
        The scan as its record names it.
    path : str
        The image file.
    record, page : str
        Where the record and the page go.
    figure : str
        Path of a figure with `{name}` where its name goes.
    masks : dict of str to str
        ``brain`` and ``dseg`` to their paths; empty without ``--output-masks``.
    logs : str
        Folder of the crash files.
    settings : dict
        ``Settings.to_dict()``.
    """

    source: dict[str, Any]
    path: str
    record: str
    page: str
    figure: str
    masks: dict[str, str]
    logs: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, scan: Scan, out: Path, settings: Settings) -> Job:
        """The job of a collected scan."""
        from bidsqa.bids import names

        return cls(
            source=asdict(source_of(scan)),
            path=str(scan.path),
            record=str(names.record_path(out, scan)),
            page=str(names.page_path(out, scan)),
            figure=str(names.figure_path(out, scan, "{name}")),
            masks={kind: str(names.mask_path(out, scan, kind)) for kind in ("brain", "dseg")}
            if settings.output_masks
            else {},
            logs=str(out / "logs"),
            settings=settings.to_dict(),
        )

    @classmethod
    def loads(cls, text: str) -> Job:
        """Inverse of :meth:`dumps`."""
        return cls(**json.loads(text))

    def dumps(self) -> str:
        """As JSON, the form in which it reaches the nodes."""
        return json.dumps(asdict(self), sort_keys=True)

    def figure_path(self, name: str) -> Path:
        """Where a figure goes; the folders above may be called ``{name}`` as well."""
        before, _, after = self.figure.rpartition("{name}")
        return Path(f"{before}{name}{after}")

    @property
    def folders(self) -> set[Path]:
        """Where it writes, besides its work directory."""
        return {Path(path).parent for path in (self.record, self.page, self.figure)} | {Path(self.logs)}

    @property
    def parsed_source(self) -> Source:
        """The scan as its record names it."""
        return Source(**{**self.source, "warnings": tuple(self.source["warnings"])})

    @property
    def parsed_settings(self) -> Settings:
        """The run's settings."""
        return Settings.from_dict(self.settings)


def source_of(scan: Scan) -> Source:
    """The scan as its record names it; a file that can't be looked at has size 0."""
    from bidsqa.bids import acquisition

    try:
        status = Path(scan.path).stat()
        size, mtime = status.st_size, int(status.st_mtime)
    except OSError:
        size, mtime = 0, 0
    return Source(
        bids_name=scan.bids_name,
        suffix=scan.suffix,
        path=str(scan.relative_path),
        size=size,
        mtime=mtime,
        acquisition=acquisition(scan.sidecar),
        warnings=tuple(getattr(scan, "warnings", ())),
    )
