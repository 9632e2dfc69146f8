# SPDX-License-Identifier: Apache-2.0
"""Reading the rules of the verdict: the package's own, and a user's file that overrides them by key."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from bidsqa.errors import UsageError
from bidsqa.plain_files import read_text
from bidsqa.verdict.cohort import OutlierRule, ProtocolRule, cohort_rule, overlay_cohort
from bidsqa.verdict.fitted import FittedRule, check_fitted, fitted_rules
from bidsqa.verdict.overlay import Tables, for_suffix, lay_over, near
from bidsqa.verdict.reading import DERIVED, READABLE, number

PARTS = ("version", "rules", "families", "cohort", "fitted")
LIMITS = ("review_above", "review_below", "fail_above", "fail_below")
MISSING = ("review", "accept")


@dataclass(frozen=True)
class Rule:
    """One rule, as it applies to one suffix.

    Parameters
    ----------
    name : str
        The rule's key.
    reads : str
        Dotted place in the record: ``scores.<model>.<key>``, ``metrics.<name>``, ``image.<key>``, ``derived.<name>``.
    quantity : str
        What is read, in plain words.
    about : str
        The word that a reason begins with.
    unit : str
        Empty for a pure number. ``%``: the value and its limits are shares between 0 and 1, told in per cent.
    review_above, review_below, fail_above, fail_below : float or None
        Limits in the unit of the quantity; the limit itself is still good.
    missing : str
        ``review``: without a value the scan needs a look. ``accept``: without a value the rule is silent.
    advice, advice_fail : str
        What to do; the second replaces the first for a failure.
    families : str
        Place in the record with numbers by cause (noise, motion, ...); the largest names the cause.
    suffixes : tuple of str
        Where the rule applies; empty for everywhere.
    basis : str
        Why these limits.
    off : bool
        True switches the rule off.
    """

    name: str
    reads: str
    quantity: str
    about: str = ""
    unit: str = ""
    review_above: float | None = None
    review_below: float | None = None
    fail_above: float | None = None
    fail_below: float | None = None
    missing: str = "review"
    advice: str = ""
    advice_fail: str = ""
    families: str = ""
    suffixes: tuple[str, ...] = ()
    basis: str = ""
    off: bool = False


@dataclass(frozen=True)
class Rules:
    """All rules with their version.

    Parameters
    ----------
    version : str
        The package's version of the rules on single scans; where a user's file changes these also that file's version
        and a digest of the whole.
    tables : dict
        The rules as merged from the files.
    families : dict
        The causes that a score can name: ``{about, advice, advice_fail}`` each.
    cohort : dict
        The rules that compare scans with others, ``outlier`` and ``protocol``; the group level alone uses them.
    cohort_version : str
        As `version`, of the rules in `cohort`.
    fitted : dict
        Verdicts learned from a site's ratings; only a user's file holds any.
    """

    version: str
    tables: Mapping[str, Mapping[str, Any]]
    families: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cohort: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cohort_version: str = ""
    fitted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def for_suffix(self, suffix: str) -> tuple[Rule, ...]:
        """The rules that apply to a suffix, in the file's order."""
        found = []
        for name, table in self.tables.items():
            row = for_suffix(dict(table), suffix)
            row["suffixes"] = tuple(row.get("suffixes", ()))
            rule = Rule(name=name, **row)
            if not rule.off and (not rule.suffixes or suffix in rule.suffixes):
                found.append(rule)
        return tuple(found)

    def fitted_for(self, suffix: str) -> tuple[FittedRule, ...]:
        """The learned rules that apply to a suffix."""
        return fitted_rules(self.fitted, suffix)

    def outlier_rule(self, suffix: str) -> OutlierRule | None:
        """How outliers of a suffix are told; None where they aren't."""
        rule = cohort_rule(self.cohort, "outlier", suffix)
        return rule if isinstance(rule, OutlierRule) else None

    def protocol_rule(self, suffix: str) -> ProtocolRule | None:
        """How scans of another protocol are told; None where they aren't."""
        rule = cohort_rule(self.cohort, "protocol", suffix)
        return rule if isinstance(rule, ProtocolRule) else None


def load_rules(user_file: Path | None = None) -> Rules:
    """The rules of the package, with a user's file laid over them.

    A key in the user's file wins over the package's: under ``[rules.<name>]`` for every suffix (also over the
    package's own exceptions for a suffix), under ``[rules.<name>.<suffix>]`` for that suffix alone.

    Parameters
    ----------
    user_file : path, optional
        TOML, see the head of the package's ``verdict/rules.toml``.

    Returns
    -------
    Rules

    Raises
    ------
    UsageError
        When the file can't be read, isn't TOML, or holds a key or a value that means nothing.
    """
    text = resources.files("bidsqa.verdict").joinpath("rules.toml").read_text(encoding="utf-8")
    shipped = tomllib.loads(text)
    if user_file is None:
        return Rules(shipped["version"], shipped["rules"], shipped["families"], shipped["cohort"], shipped["version"])
    user = _read(Path(user_file))
    _check_top(user, Path(user_file).name)
    rules = _overlay_rules(shipped["rules"], user.get("rules", {}), Path(user_file).name)
    families = copy.deepcopy(shipped["families"])
    for name, table in user.get("families", {}).items():
        families.setdefault(name, {}).update(_family(name, table, Path(user_file).name))
    cohort = overlay_cohort(shipped["cohort"], user.get("cohort", {}), Path(user_file).name)
    fitted = check_fitted(user.get("fitted", {}), Path(user_file).name)
    version = cohort_version = str(shipped["version"])
    label = re.sub(r"[^\w.-]", "-", str(user.get("version", "user")))[:40]
    # records know nothing of the cohort: its part changes no record's version
    if fitted or [rules, families] != [shipped["rules"], shipped["families"]]:
        version = f"{shipped['version']}+{label}.{_digest([rules, families, *([fitted] if fitted else [])])}"
    if cohort != shipped["cohort"]:
        cohort_version = f"{shipped['version']}+{label}.{_digest(cohort)}"
    return Rules(version, rules, families, cohort, cohort_version, fitted)


def _digest(tables: Any) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:8]


def _read(path: Path) -> Tables:
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise UsageError(f"the thresholds file {path} can't be read: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the thresholds file {path} is not UTF-8 text", "save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the thresholds file {path} is not valid TOML: {error}", "see docs/verdicts") from error


def _check_top(user: Tables, file: str) -> None:
    for key, value in user.items():
        if key not in PARTS:
            raise UsageError(f"{file}: unknown key {key!r}", near(key, PARTS) or "rules go under [rules]")
        if key == "version" and not isinstance(value, (str, int, float)):
            raise UsageError(f"{file}: version must be a text", 'for example version = "our-lab-1"')
        if key != "version" and not (isinstance(value, dict) and all(isinstance(row, dict) for row in value.values())):
            example = {"rules": "ssim", "cohort": "outlier", "fitted": "readers"}.get(key, "noise")
            raise UsageError(f"{file}: [{key}] must hold tables", f"for example [{key}.{example}]")


def _overlay_rules(shipped: Tables, user: Tables, file: str) -> Tables:
    merged = copy.deepcopy(shipped)
    for name, table in user.items():
        if name not in merged and "reads" not in table:
            raise UsageError(f"{file}: there is no rule {name!r}", near(name, merged) or "a new rule needs `reads`")
        row = merged.setdefault(name, {})
        lay_over(row, table)
        row.setdefault("quantity", str(row.get("reads", "")).rpartition(".")[2])
        _check_rule(name, row, file)
    return merged


def _check_rule(name: str, row: Tables, file: str) -> None:
    where = f"{file}: [rules.{name}]"
    for suffix, special in row.items():
        if isinstance(special, dict):
            _check_values(f"{file}: [rules.{name}.{suffix}]", special)
    _check_values(where, {key: value for key, value in row.items() if not isinstance(value, dict)})
    parts = str(row.get("reads", "")).split(".")
    if parts[0] not in READABLE or len(parts) < 2:
        hint = "it reads scores.<model>.value, metrics.<name>, image.<key> or derived.<name>"
        raise UsageError(f"{where} reads {row.get('reads')!r}, which is no place in a record", hint)
    known = _known(parts[0])
    if known and parts[1] not in known:
        raise UsageError(f"{where} reads {row['reads']!r}: nothing has that name", near(parts[1], known))
    tables = [row, *(entry for entry in row.values() if isinstance(entry, dict))]
    if not any(key in table for table in tables for key in LIMITS):
        raise UsageError(f"{where} has no limit", "give one of " + ", ".join(LIMITS))


def _check_values(where: str, row: Tables) -> None:
    kinds = {part.name for part in fields(Rule)} - {"name"}
    for key, value in row.items():
        if key not in kinds:
            raise UsageError(f"{where} has an unknown key {key!r}", near(key, kinds) or "see docs/verdicts")
        if key in LIMITS:
            good, wanted = number(value) is not None, "a finite number"
        elif key == "off":
            good, wanted = isinstance(value, bool), "true or false"
        elif key == "missing":
            good, wanted = value in MISSING, " or ".join(MISSING)
        elif key == "suffixes":
            good = isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value)
            wanted = "a list of suffixes"
        else:
            good, wanted = isinstance(value, str), "a text"
        if not good:
            raise UsageError(f"{where}: {key} is {value!r}", f"it must be {wanted}")


def _family(name: str, table: Tables, file: str) -> dict[str, str]:
    for key, value in table.items():
        if key not in ("about", "advice", "advice_fail") or not isinstance(value, str):
            raise UsageError(f"{file}: [families.{name}] has a bad entry {key!r}", "about, advice, advice_fail: texts")
    return {"about": name, **table}


def _known(part: str) -> set[str]:
    """The names that the tables of models and metrics know; empty where any name may stand."""
    if part == "metrics":
        from bidsqa.metrics import METRIC_KEYS

        return set(METRIC_KEYS)
    if part == "scores":
        from bidsqa.models import SCORES

        return set(SCORES)
    return set(DERIVED) if part == "derived" else set()
