# SPDX-License-Identifier: Apache-2.0
"""The participant level: collect, plan, judge, tell."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bidsqa.cli.console import complain
from bidsqa.cli.memory import available_memory_gb, available_processors, parse_memory
from bidsqa.cli.progress import Progress, count, printable, say_duration
from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from bidsqa.bids import Collection, Scan
    from bidsqa.cli.plan import Plan
    from bidsqa.cli.settings import RunSettings
    from bidsqa.settings import Settings
    from bidsqa.workflows import Event

MANY_SKIPPED = 12
MANY_UNSURE = 10
log = logging.getLogger("bidsqa")


def run_participants(settings: RunSettings, warnings: list[str]) -> int:
    """Judge the scans asked for; returns the exit code (0 or 1).

    Parameters
    ----------
    settings : RunSettings
    warnings : list of str
        About the dataset, to be told.

    Raises
    ------
    UsageError
        Wrong settings, or nothing to do.
    """
    if settings.reports_only:
        return _redraw(settings)
    from bidsqa.cli.checks import check_links, make_folder
    from bidsqa.cli.plugin import check_plugin, hands_over, read_plugin
    from bidsqa.cli.study import update_participants
    from bidsqa.cli.surroundings import prepare_environment, start_log, work_folder

    memory = parse_memory(settings.mem_gb) if settings.mem_gb else available_memory_gb()
    chosen = settings.step_settings()
    plugin = read_plugin(settings.use_plugin) if settings.use_plugin else None
    if settings.dry_run:
        with work_folder(None, keep=False) as work:
            prepare_environment(work)
            if plugin is not None:
                check_plugin(plugin, settings.work_dir or settings.output_dir)
            plan = plan_scans(settings, chosen)
        _describe(plan, settings, memory, [*warnings, *plan.warnings])
        return 0
    shared = plugin is not None and hands_over(plugin)
    with work_folder(settings.work_dir, settings.keep_work, settings.output_dir, shared=shared) as work:
        prepare_environment(work)
        if plugin is not None:
            check_plugin(plugin, work)
        plan = plan_scans(settings, chosen)
        warnings = [*warnings, *plan.warnings]
        make_folder(settings.output_dir, "output")
        check_links(settings.output_dir, _folders(plan.todo, settings.output_dir))
        if plan.todo:
            _dataset_files(settings, chosen)  # first, since by these a later run knows the folder for its own
        warnings += update_participants(settings)
        logfile = start_log(settings.output_dir, settings.verbose)
        _write_down(settings, chosen, logfile, warnings, plan)
        _announce(plan, warnings)
        _remove_half_written(plan, settings.output_dir)
        if settings.write_graph:
            from bidsqa.workflows import write_graph

            scan = plan.states[0][0]
            print(f"Graph: {write_graph(scan, settings.output_dir, work, chosen)}")
        code = _judge(plan, settings, chosen, work, plugin, memory) if plan.todo else 0
        if settings.keep_work:
            print(f"Intermediate files: {work}")
    return code


def plan_scans(settings: RunSettings, chosen: Settings) -> Plan:
    """The scans asked for and what is to be done with each.

    Raises
    ------
    UsageError
        There is none.
    """
    from bidsqa.cli.plan import make_plan

    collection = _collect(settings)
    return make_plan(collection, settings.output_dir, chosen, settings.force)


def _collect(settings: RunSettings) -> Collection:
    from bidsqa.bids import collect_scans
    from bidsqa.cli.plan import describe_skipped

    collection = collect_scans(settings.bids_dir, settings.selection(), settings.bids_database_dir)
    if not collection.scans:
        for warning in collection.warnings:
            print(f"Warning: {printable(warning)}", file=sys.stderr)
        for line in describe_skipped(collection.skipped[:MANY_SKIPPED]) if collection.skipped else ():
            print(line, file=sys.stderr)
        if any(
            (
                settings.participant_label,
                settings.session_label,
                settings.run_label,
                settings.task_label,
                settings.modalities,
                settings.bids_filter_file,
            )
        ):
            raise UsageError("No scan fits the selection.", "--dry-run without a selection lists all scans.")
        raise UsageError(
            f"The dataset {settings.bids_dir} has no scan to judge.",
            "It judges T1w, T2w, FLAIR and PDw images in anat folders.",
        )
    return collection


def _describe(plan: Plan, settings: RunSettings, memory: float, warnings: list[str]) -> None:
    from bidsqa.cli.plan import describe_plan

    for warning in warnings:
        print(f"Warning: {printable(warning)}", file=sys.stderr)
    nprocs = settings.nprocs or available_processors()
    for line in describe_plan(plan, settings.output_dir, nprocs, memory):
        print(line)


def _write_down(settings: RunSettings, chosen: Settings, logfile: Path, warnings: list[str], plan: Plan) -> None:
    """What this run was told and found, in its log and as a config file that repeats it."""
    from bidsqa.cli.protocol import write_protocol

    write_protocol(settings, chosen, logfile)
    for text in warnings:
        log.warning("%s", printable(text))
    for what, why in plan.skipped:
        log.info("skipped %s: %s", printable(what), printable(why))
    log.info("%s: %s", count(len(plan.states), "scan"), plan.counts())


def _announce(plan: Plan, warnings: list[str]) -> None:
    for text in warnings:
        print(f"Warning: {printable(text)}", file=sys.stderr)
    print(f"{count(len(plan.states), 'scan')}: {plan.counts()}.")
    if plan.skipped:
        from bidsqa.cli.plan import describe_skipped

        if len(plan.skipped) <= MANY_SKIPPED:
            print("\n".join(describe_skipped(plan.skipped)))
        else:
            print(f"{len(plan.skipped)} things skipped; --dry-run lists them with the reason.")
    sys.stdout.flush()


def _judge(
    plan: Plan, settings: RunSettings, chosen: Settings, work: Path, plugin: dict[str, object] | None, memory: float
) -> int:
    """Run the graphs, tell how it went."""
    import time

    from bidsqa.bids.dataset import write_mask_sidecars
    from bidsqa.workflows import run_scans

    out = settings.output_dir
    todo = plan.todo
    live = sys.stderr.isatty() and not settings.verbose
    progress = Progress(len(todo), sys.stderr, live=live)
    start = time.monotonic()
    by_name = {scan.bids_name: scan for scan in todo}

    def notice(event: Event) -> None:
        progress(event)
        if chosen.output_masks and event.kind == "scan_done":
            write_mask_sidecars(out, by_name[event.bids_name])

    try:
        result = run_scans(
            todo,
            out,
            work,
            chosen,
            nprocs=settings.nprocs or min(available_processors(), len(todo)),
            mem_gb=memory,
            minutes_a_scan=settings.scan_minutes,
            apart=True,
            plugin=plugin,
            keep_work=settings.keep_work,
            stop_on_first_crash=settings.stop_on_first_crash,
            work_is_fixed=settings.work_dir is not None,
            on_event=notice,
        )
    finally:
        progress.close()
    decisions = Counter(result.decisions.values())
    words = [f"{decisions[word]} {word}" for word in ("pass", "review", "fail") if decisions[word]]
    left = len(todo) - len(result.done) - len(result.failed)
    told = [f"{count(len(result.done), 'scan')} judged" + (f" ({', '.join(words)})" if words else "")]
    told += [f"{len(result.failed)} failed"] if result.failed else []
    told += [f"{left} not begun"] if left else []
    line = f"{', '.join(told)} in {say_duration(time.monotonic() - start)}."
    log.info("%s", line)
    print(line)
    for line in describe_unsure(result.decisions, out, "group" in settings.levels):
        print(line)
    if result.ended is not None:
        complain(result.ended, "bidsqa")
    _say_page(settings, result.done or result.failed)
    return 1 if result.failed or left else 0


def describe_unsure(decisions: Mapping[str, str], out: Path, group: bool) -> Iterator[str]:
    """The scans that are not good as they are, each with its first reason, failures first, at most ten.

    Parameters
    ----------
    decisions : mapping of str to str
        By the scan's name.
    out : Path
        Output folder with their records.
    group : bool
        The group level follows and writes the whole list.
    """
    from bidsqa.bids.names import record_path
    from bidsqa.record import Record

    unsure = [name for word in ("fail", "review") for name in sorted(decisions) if decisions[name] == word]
    width = max(map(len, unsure[:MANY_UNSURE]), default=0)
    for name in unsure[:MANY_UNSURE]:
        text = ""
        with suppress(OSError, ValueError, LookupError, TypeError):
            record = Record.load(record_path(out, name))
            text = str(record.verdict["reasons"][0]["text"])
        yield f"  {decisions[name]:<6}  {printable(name):<{width}}  {printable(text)}".rstrip()
    if len(unsure) > MANY_UNSURE:
        where = "see group_exclusions.tsv" if group else "the group level lists them in group_exclusions.tsv"
        yield f"  and {len(unsure) - MANY_UNSURE} more: {where}"


def _dataset_files(settings: RunSettings, chosen: Settings) -> None:
    from bidsqa.bids.dataset import write_dataset_files
    from bidsqa.models import MODELS

    out = settings.output_dir
    rows = [MODELS[name] for name in chosen.models]
    write_dataset_files(
        out,
        settings.bids_dir,
        methods=tuple(f"*{row.name}* {row.method}" for row in rows),
        sources=tuple(f"*{row.name}*: {row.citation} {row.source}" for row in rows),
    )


def _remove_half_written(plan: Plan, out: Path) -> None:
    """What a killed run was writing, in the folders of the scans asked for: one task of many must not search all."""
    from bidsqa.bids.names import record_path
    from bidsqa.bids.writing import sweep

    known = {record_path(out, scan).parent for scan, _ in plan.states}
    folders = known | _folders(plan.todo, out)
    for folder in {out, out / "logs", *folders, *(folder.with_name("figures") for folder in folders)}:
        sweep(folder)


def _folders(scans: Iterable[Scan], out: Path) -> set[Path]:
    """Where the results of scans are written, beside the output folder itself."""
    from bidsqa.bids.names import record_path

    anat = {record_path(out, scan).parent for scan in scans}
    return anat | {folder.with_name("figures") for folder in anat}


def _say_page(settings: RunSettings, names: list[str]) -> None:
    from bidsqa.bids.names import page_path

    pages = [page for page in (page_path(settings.output_dir, name) for name in names) if page.exists()]
    if "group" not in settings.levels and pages:
        page = pages[0]
        more = f" (and {len(pages) - 1} more beside it)" if len(pages) > 1 else ""
        print(f"Open {page}{more}")
        sys.stdout.flush()


def _redraw(settings: RunSettings) -> int:
    """Draw the pages anew from the records that are asked for (``--reports-only``)."""
    from bidsqa.bids.choosing import choose_records
    from bidsqa.bids.names import name_of_record, record_paths
    from bidsqa.cli.checks import make_folder
    from bidsqa.cli.surroundings import prepare_environment, work_folder
    from bidsqa.outputs import redraw

    out = settings.output_dir
    if not record_paths(out):
        raise UsageError(f"The output folder {out} has no records yet.", "Run the participant level first.")
    with work_folder(None, keep=False, spare=out) as work:
        prepare_environment(work)
        paths, warnings = choose_records(out, settings.selection())
    for warning in warnings:
        print(f"Warning: {printable(warning)}", file=sys.stderr)
    if not paths:
        raise UsageError(
            f"The output folder {out} has no record that fits the selection.", "Without a selection all are drawn."
        )
    make_folder(out, "output")
    failed = 0
    for path in paths:
        if settings.dry_run:
            print(f"{name_of_record(path)}  page to be drawn")
            continue
        try:
            redraw(out, path, saliency=not settings.no_saliency)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"failed  {name_of_record(path)}: {printable(str(error))}", file=sys.stderr)
    if not settings.dry_run:
        print(f"{count(len(paths) - failed, 'page')} drawn{f', {failed} failed' if failed else ''}.")
    return 1 if failed else 0
