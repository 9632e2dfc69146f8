# SPDX-License-Identifier: Apache-2.0
"""One run's settings: what the command line, the config file and the defaults come to, checked and frozen."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsqa.cli.options import ANALYSIS_LEVELS, LIST, OPTION_KEYS, PATH
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.bids import Selection
    from bidsqa.settings import Settings


@dataclass(frozen=True)
class RunSettings:
    """Everything that one call of ``bidsqa`` was told; the options are documented in `bidsqa.cli.options`.

    Parameters
    ----------
    bids_dir, output_dir : Path
        Absolute.
    levels : tuple of str
        ``participant``, ``group`` or both, in this order.
    """

    bids_dir: Path
    output_dir: Path
    levels: tuple[str, ...]
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    run_label: tuple[str, ...] = ()
    task_label: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    bids_filter_file: Path | None = None
    bids_database_dir: Path | None = None
    skip_bids_validation: bool = False
    models: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    slice_fraction: float = 0.6
    thresholds: Path | None = None
    rulers: Path | None = None
    random_seed: int = 0
    nprocs: int | None = None
    omp_nthreads: int = 1
    mem_gb: str | None = None
    scan_minutes: float = 60.0
    device: str = "auto"
    use_plugin: Path | None = None
    work_dir: Path | None = None
    keep_work: bool = False
    force: bool = False
    stop_on_first_crash: bool = False
    config_file: Path | None = None
    dry_run: bool = False
    reports_only: bool = False
    output_masks: bool = False
    no_saliency: bool = False
    write_graph: bool = False
    site_column: str | None = None
    harmonise: bool = False
    strict: bool = False
    verbose: int = 0
    notrack: bool = False

    @classmethod
    def from_namespace(cls, given: argparse.Namespace) -> RunSettings:
        """From what `bidsqa.cli.parser.parse` returns."""
        values: dict[str, Any] = {key: option.default for key, option in OPTION_KEYS.items()} | vars(given)
        kept: dict[str, Any] = {}
        for key, value in values.items():
            option = OPTION_KEYS.get(key)
            if option is not None and option.kind == LIST:
                value = tuple(value or ())
            elif option is not None and option.kind == PATH and value is not None:
                value = Path(value).expanduser().absolute()
            if option is not None:
                kept[key] = value
        levels = tuple(level for level in ANALYSIS_LEVELS if level in given.analysis_level)
        return cls(_folder(given.bids_dir), _folder(given.output_dir), levels, **kept)

    def option_values(self) -> Mapping[str, Any]:
        """By option key, for the config file that each run leaves in its logs."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.name in OPTION_KEYS}

    def selection(self) -> Selection:
        """Which scans are asked for.

        Raises
        ------
        UsageError
            The BIDS filter file can't be used; an option for labels names none.
        """
        from bidsqa.bids.scan import JUDGED_SUFFIXES
        from bidsqa.bids.selection import Selection, bare_labels, load_filters

        for kind in ("participant", "session", "run", "task"):
            given = getattr(self, f"{kind}_label")
            if given and not bare_labels(given, kind):
                raise UsageError(
                    f"--{kind}-label names no {kind}.",
                    "Is a variable of the shell empty? Without the option all are taken.",
                )
        return Selection(
            participants=bare_labels(self.participant_label, "sub"),
            sessions=bare_labels(self.session_label, "ses"),
            runs=bare_labels(self.run_label, "run"),
            tasks=bare_labels(self.task_label, "task"),
            suffixes=tuple(suffix for suffix in JUDGED_SUFFIXES if suffix in (self.modalities or JUDGED_SUFFIXES)),
            filters=load_filters(self.bids_filter_file) if self.bids_filter_file else {},
            strict_names=not self.skip_bids_validation,
        )

    def step_settings(self) -> Settings:
        """What the steps of a scan need to know.

        Raises
        ------
        UsageError
            Unknown models, weights that are not there, rules that can't be read.
        """
        from bidsqa.cli.checks import (
            check_device,
            check_models,
            check_shipped_weights,
            check_thresholds,
            check_used,
            check_weights,
        )
        from bidsqa.cli.ruler_checks import check_rulers
        from bidsqa.settings import Settings

        check_device(self.device)
        check_thresholds(self.thresholds)
        models = check_models(self.models)
        weights = check_weights(self.weights)
        check_used(models, weights)
        check_shipped_weights(models, weights)
        check_rulers(self.rulers, models, weights)
        return Settings(
            models=models,
            weights=weights,
            slice_fraction=self.slice_fraction,
            thresholds=str(self.thresholds) if self.thresholds else None,
            random_seed=self.random_seed,
            device=self.device,
            output_masks=self.output_masks,
            threads=self.omp_nthreads,
            saliency=not self.no_saliency,
            rulers=str(self.rulers) if self.rulers else None,
        )


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()
