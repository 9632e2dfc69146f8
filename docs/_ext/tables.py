# SPDX-License-Identifier: Apache-2.0
"""Pages made from the tables in the code: ``.. from-table:: metrics`` puts what ``metrics()`` writes in its place.

Each function here returns reStructuredText. ``tests/test_catalogue.py`` asks the same functions whether a row is
documented.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).resolve().parents[1]
PRINTED = {"validation": DOCS / "validation_tables", "benchmarks": DOCS / "benchmark_tables"}
# old ones hold pairs of brackets, and ; < > within them: 10.1002/(SICI)1099-...
# shown on the page about clusters, not on that about performance
CLUSTER = ("slurm", "scan_costs", "scan_files", "million")
# tables of benchmarks that pages of their own show
ELSEWHERE = ("bad_input", "containers", "fuzz", "faults", "kills", *CLUSTER)
# tables of validations that the page about readers shows
DIAGNOSTIC = tuple(f"diagnostic_networks{end}" for end in ("", "_two", "_confusion", "_scans", "_learning"))
DOI = re.compile(r"(?:doi:? ?)?\b(10\.\d{4,9}/(?:\([^\s()]*\)|[^\s,;()])+(?:[;<>][^\s,()]+)*(?<![.,;]))", re.IGNORECASE)
LITERAL = re.compile(r"(``[^`]+``|`[^`]+`|https?://[^\s,;)]+)")


def _linked(found: re.Match[str]) -> str:
    shown = re.sub(r"([<>])", r"\\\1", found[1])
    return f"`doi {shown} <https://doi.org/{quote(found[1], safe='/().:-_')}>`__"


def escape(text: str) -> str:
    """Plain words as reStructuredText; code in backticks and addresses are kept as such."""
    parts = []
    for part in LITERAL.split(" ".join(str(text).split())):
        if part.startswith("`"):
            parts.append(f"``{part.strip('`')}``")
        elif part.startswith("http"):
            parts.append(part)
        else:
            plain = re.sub(r"([\\*`|_])", r"\\\1", part)
            parts.append(DOI.sub(_linked, plain))
    return "".join(parts)


def heading(text: str, mark: str, label: str = "") -> str:
    above = f".. _{label}:\n\n" if label else ""
    return f"\n{above}{text}\n{mark * len(text)}\n\n"


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f":{name}: {value}\n" for name, value in pairs if value) + "\n"


def list_table(columns: Sequence[str], rows: Iterable[Sequence[str]], widths: str = "auto") -> str:
    """A table whose cells are already reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [columns, *rows]:
        for number, cell in enumerate(row):
            lines.append(f"   {'* -' if number == 0 else '  -'} {cell}".rstrip())
    return "\n".join(lines) + "\n\n"


def limits(bounds: Sequence[float | None]) -> str:
    low, high = ("open" if bound is None or abs(bound) == float("inf") else f"{bound:g}" for bound in bounds)
    return f"{low} to {high}"


def metrics() -> str:
    """Every metric with its definition."""
    from bidsqa.metrics import METRICS

    contrasts, ranges, text = real_ranges()
    for row in METRICS:
        text += heading(row.name, "-", f"metric-{row.name}")
        text += "".join(f"- ``{key}``: {escape(says)}\n" for key, says in row.keys.items()) + "\n"
        text += facts(
            unit=row.unit,
            direction=row.direction,
            bounds=row.bounds,
            more=(
                *(f"{key} {f'in {unit}' if unit else 'without a unit'}" for key, unit in row.units.items()),
                f"needs {', '.join(need.replace('_', ' ') for need in row.needs) or 'the image alone'}",
                f"for {', '.join(row.suffixes)}",
                f"definition {row.version}",
            ),
        )
        pairs = [
            ("Computed as", escape(row.formula)),
            ("MRIQC", "the same definition" if row.mriqc == "same" else escape(row.mriqc)),
            ("Source", escape(row.source)),
        ]
        text += fields(pairs)
        told = [(f"``{key}``", *ranges[key]) for key in row.keys if key in ranges]
        text += list_table(("on real scans", *contrasts), told) if told else ""
    return text


def real_ranges() -> tuple[list[str], dict[str, list[str]], str]:
    """Contrasts, what each metric comes to on real scans in these, and a note on them; empty if that wasn't printed."""
    path = PRINTED["validation"] / "metric_ranges.json"
    if not path.is_file():
        return [], {}, ""
    table = json.loads(path.read_text(encoding="utf-8"))
    known = {key: cells for key, *cells in table["rows"] if any(cell != "none" for cell in cells)}
    note = f"*On real scans*: {escape(table['note'])} Printed by ``{table['command']}``.\n\n"
    return table["columns"][1:], known, note


def facts(unit: str, direction: str, bounds: Sequence[float | None], more: Sequence[str] = ()) -> str:
    """One line of what one needs to read a number."""
    better = "neither high nor low is better" if direction == "none" else direction.removesuffix(" is better")
    better += " is better" if better in ("higher", "lower") else ""
    parts = [f"unit {unit}" if unit else "a pure number", better, f"range {limits(bounds)}", *more]
    return "*" + escape("; ".join(part for part in parts if part)) + ".*\n\n"


def models() -> str:
    """Every learned model: what it tells, how to read it, where it comes from."""
    from bidsqa.models import MODELS

    text = ""
    for row in MODELS.values():
        text += heading(row.name, "-", f"model-{row.name}") + escape(row.says) + "\n\n"
        text += facts(row.unit, row.direction, row.bounds)
        pairs = [
            ("Limits", escape(row.limits)),
            ("Method", escape(f"{row.citation}, {row.source}")),
            (
                "Weights",
                f"version {row.version}, architecture ``{row.architecture}``, SHA-256 ``{row.sha256[:16]}…``"
                if row.weights
                else "none ship: :doc:`readers`",
            ),
        ]
        text += fields(pairs)
        if row.readings:
            cells = [
                (reading.name, limits((reading.low, reading.high)), escape(reading.says)) for reading in row.readings
            ]
            text += list_table(("reading", "from, to", "meaning"), cells)
        if row.card and (DOCS / "generated" / "cards" / row.card).is_file():
            card = f":doc:`model card <generated/cards/{Path(row.card).stem}>`"
            text += f"Training data, recipe, validation and licence: {card}.\n\n"
    return text


def artifacts() -> str:
    """Every simulated artifact, with the parameters that one draw gives."""
    import torch

    from bidsqa.simulation import ARTIFACTS

    rows = []
    for row in ARTIFACTS.values():
        drawn = row.sample(torch.Generator().manual_seed(0), 0.5, (1.0,) * max(row.dims))
        ways = {key: " " + ", ".join(f"``{name}``" for name in names) for key, names in row.choices.items()}
        cells = (
            f"``{row.name}`` {escape(row.title)}",
            row.family,
            escape(row.strength_meaning),
            "; ".join(f"``{key}``{ways.get(key, '')}" for key in drawn if key != "strength"),
            " and ".join(f"{dims}D" for dims in row.dims),
            "yes" if row.paper_severity else "no",
            escape(row.source),
        )
        rows.append(cells)
    columns = ("name", "family", "strength 0 to 1", "parameters, ways", "images", "s_paper", "source")
    return list_table(columns, rows, "18 8 20 22 6 6 20")


def rules() -> str:
    """Every rule of the verdict with its limits by suffix."""
    from bidsqa.verdict import load_rules

    table = load_rules()
    text = f"The rules that ship are version {table.version}.\n\n"
    for name, row in table.tables.items():
        text += heading(name, "-", f"rule-{name}")
        exceptions = {key: value for key, value in row.items() if isinstance(value, dict)}
        pairs = [
            ("Reads", f"``{row['reads']}``, {escape(row['quantity'])}"),
            ("Limits", _rule_limits(row)),
            *((suffix, _rule_limits(special)) for suffix, special in exceptions.items()),
            ("Advice", escape(row.get("advice", ""))),
            ("Advice on failure", escape(row.get("advice_fail", ""))),
            ("Without a value", "" if row.get("missing", "review") == "review" else "the rule is silent"),
            ("Why these limits", escape(row.get("basis", ""))),
        ]
        text += fields(pairs)
    return text


def cohort_rules() -> str:
    """Every rule that compares scans, with its keys."""
    from bidsqa.verdict import load_rules

    text = ""
    for name, row in load_rules().cohort.items():
        text += heading(f"cohort.{name}", "-", f"rule-cohort-{name}")
        words = ("about", "advice", "basis")
        limits = {key: value for key, value in row.items() if key not in words and not isinstance(value, dict)}
        pairs = [
            (key, ", ".join(f"``{entry}``" for entry in value) if isinstance(value, list) else f"``{value}``")
            for key, value in limits.items()
        ]
        text += fields([*pairs, ("Advice", escape(row["advice"])), ("Why these limits", escape(row["basis"]))])
    return text


def _rule_limits(row: dict[str, Any]) -> str:
    keys = ("review_above", "review_below", "fail_above", "fail_below")
    return ", ".join(f"{key.replace('_', ' ')} {row[key]:g}" for key in keys if key in row)


def rulers() -> str:
    """The rulers that ship with the package."""
    from bidsqa.rulers import shipped_rulers

    rows = [
        [
            f"``{ruler.name}``",
            escape(f"{ruler.kind.suffix} {ruler.kind.dimension}, {ruler.kind.field_strength:g} T"),
            f"{ruler.kind.pixel:.2f}",
            escape(f"{ruler.snr_db[0]:g} to {ruler.snr_db[-1]:g}"),
            f"{ruler.threshold.value:g}",
            escape(ruler.threshold.source),
            escape(str(ruler.provenance["source"])),
        ]
        for ruler in shipped_rulers()
    ]
    header = ["Ruler", "For", "Pixel (mm)", "SNR of versions 0 to 6 (dB)", "Threshold", "Set by", "Made from"]
    return list_table(header, rows)


def options() -> str:
    """Every option of the command, by group."""
    from bidsqa.cli.options import OPTIONS

    return option_list(OPTIONS)


def train_options() -> str:
    """Every option of ``bidsqa-train severity`` and ``ssim``, by group."""
    from bidsqa.cli.train_options import TRAIN_OPTIONS

    return option_list(TRAIN_OPTIONS, "~")


def evaluate_options() -> str:
    """Every option of ``bidsqa-train evaluate``, by group."""
    from bidsqa.cli.train_options import EVALUATE_OPTIONS

    return option_list(EVALUATE_OPTIONS, "~")


def rated_options() -> str:
    """Every option of the tasks of ``bidsqa-train`` that learn from ratings, by task and group."""
    from bidsqa.cli.train_options import ARCHITECTURES, OPTIONS_OF

    tasks = (*ARCHITECTURES, "verdict")
    return "".join(heading(f"Options of {task}", "-") + option_list(OPTIONS_OF[task], "~") for task in tasks)


def hpc_options() -> str:
    """Every option of ``bidsqa-hpc``, by group."""
    from bidsqa.cli.hpc_options import HPC_OPTIONS

    return option_list(HPC_OPTIONS, "~")


def rate_options() -> str:
    """Every option of ``bidsqa-rate``, by group."""
    from bidsqa.cli.rate_options import RATE_OPTIONS

    return option_list(RATE_OPTIONS, "~")


def option_list(rows: Sequence[Any], mark: str = "-") -> str:
    """A table of options, by group."""
    text = ""
    for group in dict.fromkeys(row.group for row in rows):
        text += heading(group, mark)
        for row in (row for row in rows if row.group == group):
            value = row.metavar or ("{" + ",".join(row.choices) + "}" if row.choices else "")
            spellings = ([f"-{row.short}"] if row.short else []) + [f"--{row.name}"]
            text += ", ".join(f"``{f'{flag} {value}'.strip()}``" for flag in spellings)
            text += f"\n    {escape(row.help.replace('%(default)s', str(row.default)))}\n"
            if row.metavar and row.choices:
                text += f"    One of {', '.join(row.choices)}.\n"
            text += "\n"
    return text


def printed(kind: str, *names: str, leave_out: tuple[str, ...] = ()) -> str:
    """The tables that scripts printed into a folder of ``docs/``: those named, or all by file name."""
    chosen = names or tuple(sorted(path.stem for path in PRINTED[kind].glob("*.json")))
    paths = [PRINTED[kind] / f"{name}.json" for name in chosen if name not in leave_out]
    text = "".join(printed_table(path) for path in paths if path.is_file())
    return text or "No table has been printed yet.\n"


def printed_table(path: Path) -> str:
    """One table as :class:`bidsqa.validation.tables.Table` writes it."""
    table = json.loads(path.read_text(encoding="utf-8"))
    text = heading(table["title"], "-", f"table-{path.stem}")
    text += list_table(
        [escape(name) for name in table["columns"]], [[escape(cell) for cell in row] for row in table["rows"]]
    )
    if table.get("note"):
        text += escape(table["note"]) + "\n\n"
    if table.get("command"):
        text += f"Printed by ``{table['command']}``.\n\n"
    return text


SOURCES: dict[str, Callable[[], str]] = {
    "metrics": metrics,
    "models": models,
    "artifacts": artifacts,
    "rules": rules,
    "rulers": rulers,
    "cohort_rules": cohort_rules,
    "options": options,
    "train_options": train_options,
    "evaluate_options": evaluate_options,
    "rated_options": rated_options,
    "rate_options": rate_options,
    "validation": lambda: printed("validation", leave_out=("metric_ranges", *DIAGNOSTIC)),
    "diagnostic": lambda: printed("validation", *DIAGNOSTIC),
    "hpc_options": hpc_options,
    "benchmarks": lambda: printed("benchmarks", leave_out=ELSEWHERE),
    "slurm": lambda: printed("benchmarks", "slurm"),
    "scan_costs": lambda: printed("benchmarks", "scan_costs", "scan_files"),
    "million": lambda: printed("benchmarks", "million"),
    "containers": lambda: printed("benchmarks", "containers"),
    "faults": lambda: printed("benchmarks", "kills", "faults"),
    "bad_input": lambda: printed("benchmarks", "bad_input"),
    "fuzz": lambda: printed("benchmarks", "fuzz"),
}


class FromTable(SphinxDirective):
    """``.. from-table:: NAME``: the text of ``SOURCES[NAME]`` in this place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return self.parse_text_to_nodes(SOURCES[self.arguments[0]](), allow_section_headings=True)


def copy_cards(app: Sphinx) -> None:
    """The model cards stand beside the weights; the site shows copies."""
    from bidsqa.models.table import WEIGHTS_FOLDER

    folder = DOCS / "generated" / "cards"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for card in sorted(WEIGHTS_FOLDER.glob("*.md")):
        shutil.copyfile(card, folder / card.name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("from-table", FromTable)
    app.connect("builder-inited", copy_cards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
