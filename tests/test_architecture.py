# SPDX-License-Identifier: Apache-2.0
"""The house rules that can be read off the source: who may import whom, how long things are, what is installed."""

from __future__ import annotations

import ast
import configparser
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_FOLDERS = ("bidsqa", "workflows", "tests", "benchmarks", "docs")
PACKAGE_DIRS = {"bidsqa": ROOT / "bidsqa", "bidsqa.workflows": ROOT / "workflows"}

FLOORS = {
    "errors": 0,
    "accounting": 0,
    "stopping": 0,
    "plain_files": 0,
    "image": 1,
    "bids": 1,
    "record": 1,
    "settings": 1,
    "simulation": 2,
    "models": 2,
    "anatomy": 3,
    "rulers": 3,
    "metrics": 4,
    "verdict": 5,
    "report": 6,
    "group": 6,
    "study_view": 6.5,
    "provenance": 6.5,
    "steps": 7,
    "study": 7,
    "outputs": 7.5,
    "workflows": 8,
    "cli": 9,
}
# never imported by the main job; they may use each other and the floors up to the given one
SIDE_HOUSES = {"rating": 6, "training": 6, "validation": 7}
# the console scripts of the side houses: the modules above that may import them, and that no other imports
SIDE_DOORS = ("bidsqa.cli.rate", "bidsqa.cli.train")
# rooms behind a door, which it alone opens
BEHIND = {
    "bidsqa.cli.rate_plan": "bidsqa.cli.rate",
    "bidsqa.cli.train_rated": "bidsqa.cli.train",
    "bidsqa.cli.train_verdict": "bidsqa.cli.train",
    "bidsqa.cli.ruler_ratings": "bidsqa.cli.ruler",
}
# these try the job as a whole, from above; nothing of it imports them
TRIALS = ("bidsqa.validation.fuzz_datasets", "bidsqa.validation.fuzz_outputs")
HEAVY = {
    "torch",
    "torchio",
    "nipype",
    "bids",
    "bokeh",
    "pandas",
    "SimpleITK",
    "matplotlib",
    "onnxruntime",
    "templateflow",
    "starlette",
    "uvicorn",
}
DISTRIBUTIONS = {
    "bids": "pybids",
    "PIL": "Pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
MODULE_LINES, FUNCTION_LINES, BUILDER_LINES = 400, 60, 120
VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|misc|common|managers?)($|_)")


def modules() -> list[tuple[str, Path]]:
    """Dotted name and file of each module that gets installed."""
    found = []
    for package, folder in PACKAGE_DIRS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


MODULES = modules()
each_module = pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])


def room(name: str) -> str:
    """The part of a dotted name that the floors are about: ``bidsqa.anatomy.brain`` -> ``anatomy``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path, name: str) -> Iterator[str]:
    """Dotted names of all modules that a file imports, anywhere in it."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # "from bidsqa import record" names a module as well as "from bidsqa.record import Record" does
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "bidsqa" else (module,)


def may_import(importer: str, imported: str) -> bool:
    if importer == imported or FLOORS.get(imported) == 0 or imported == "__version__":
        return True
    if importer in SIDE_HOUSES and imported in SIDE_HOUSES:
        return True
    if imported not in FLOORS:
        return False
    if importer in SIDE_HOUSES:
        return FLOORS[imported] <= SIDE_HOUSES[importer]
    return (imported == "record" and FLOORS[importer] >= 1) or FLOORS[imported] < FLOORS[importer]


@each_module
def test_imports_only_lower_floors(name: str, path: Path) -> None:
    here = room(name)
    if here in ("", "__main__") or name in TRIALS:  # the public names may come from any floor
        return
    assert here in FLOORS or here in SIDE_HOUSES, f"{name}: give '{here}' a floor in FLOORS"
    reached = {room(module) for module in imports(path, name) if module.split(".")[0] == "bidsqa"} - {""}
    allowed = set(SIDE_HOUSES) if name in SIDE_DOORS or name in BEHIND else set()
    wrong = sorted(target for target in reached - allowed if not may_import(here, target))
    assert not wrong, f"{name} (floor {FLOORS.get(here, 'beside')}) imports {wrong}"


def test_the_floor_rule_notices_breaches() -> None:
    assert may_import("metrics", "anatomy")
    assert may_import("models", "record")
    assert not may_import("anatomy", "metrics")
    assert not may_import("simulation", "models")
    assert not may_import("report", "group")
    assert not may_import("cli", "training")
    assert not may_import("training", "workflows")


def module_graph() -> dict[str, set[str]]:
    """Which modules each module imports, anywhere in it, also only for its types; a package stands for its __init__."""
    names = {name for name, _ in MODULES}
    graph: dict[str, set[str]] = {}
    for name, path in MODULES:
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level and node.module in names:
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[name] |= (parts & names) or {node.module}
    return graph


def test_no_circular_imports() -> None:
    try:
        graphlib.TopologicalSorter(module_graph()).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@each_module
def test_workflow_siblings_are_imported_relatively(name: str, path: Path) -> None:
    if room(name) == "workflows":
        tree = ast.parse(path.read_text(encoding="utf-8"))
        absolute = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").startswith("bidsqa.workflows")
        ]
        assert not absolute, f"{name}, lines {absolute}: 'from .sibling import ...', so that the folder's place is free"


@each_module
def test_sizes(name: str, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= MODULE_LINES, f"{name}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node)
            limit = BUILDER_LINES if re.fullmatch(r"init_\w+_wf", node.name) else FUNCTION_LINES
            assert length <= limit, f"{name}.{node.name}: {length} lines"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: explaining at length is no fault."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


SOURCES = [path for folder in SOURCE_FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_licence_line_and_names(path: Path) -> None:
    relative = path.relative_to(ROOT)
    head = path.read_text(encoding="utf-8").splitlines()[:2]
    assert "# SPDX-License-Identifier: Apache-2.0" in head, f"{relative}: first line must name the licence"
    vague = [part for part in relative.with_suffix("").parts if VAGUE_NAMES.search(part)]
    assert not vague, f"{relative}: say what it holds, not '{vague[0]}'"


def test_installed_packages_are_the_folders() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    folders = {name if path.name == "__init__.py" else "" for name, path in MODULES} - {""}
    assert sorted(listed) == sorted(folders)
    without_init = {path.parent for _, path in MODULES} - {
        path.parent for _, path in MODULES if path.name == "__init__.py"
    }
    assert not without_init, "a folder without __init__.py is not installed"
    assert listed == sorted(listed)


def test_every_data_file_is_installed() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    shipped = set()
    for package, patterns in setup["options.package_data"].items():
        folder = ROOT.joinpath(*package.split("."))
        shipped |= {path for pattern in re.split(r"[,\s]+", patterns.strip()) for path in folder.glob(pattern)}
    present = {path for path in (ROOT / "bidsqa").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    forgotten = sorted(str(path.relative_to(ROOT)) for path in present - shipped)
    assert not forgotten, "add them to package_data in setup.cfg"


@each_module
def test_imports_are_declared(name: str, path: Path) -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    declared = setup["options"]["install_requires"]
    if room(name) in SIDE_HOUSES:
        extras = setup["options.extras_require"]
        declared += extras["training"] + extras["rating"] + extras["tests"]
    known = {re.match(r"[\w-]*", line.strip())[0].lower() for line in declared.splitlines()}
    outside = {module.split(".")[0] for module in imports(path, name)} - {
        "bidsqa",
        "__future__",
        *sys.stdlib_module_names,
    }
    missing = sorted(module for module in outside if DISTRIBUTIONS.get(module, module).lower() not in known)
    assert not missing, f"{name} imports {missing}; setup.cfg doesn't require them"


def test_tests_can_be_imported_by_file() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert not [path for path in files if path.name == "__init__.py"]
    names = [path.name for path in files]
    assert len(names) == len(set(names)), "two test files share a name"


@pytest.mark.parametrize(
    "module",
    [
        "bidsqa",
        "bidsqa.cli.main",
        "bidsqa.cli.options",
        "bidsqa.cli.demo",
        "bidsqa.cli.hpc",
        "bidsqa.cli.ruler",
        "bidsqa.cli.scan",
        *SIDE_DOORS,
    ],
)
def test_start_up_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({HEAVY | {'scipy'}!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.split()


def test_nothing_comes_in_by_the_side_door() -> None:
    users = [name for name, path in MODULES if any(module in SIDE_DOORS for module in imports(path, name))]
    assert not users
    opened = {(module, name) for name, path in MODULES for module in imports(path, name) if module in BEHIND}
    assert opened == set(BEHIND.items())


def test_trials_are_imported_by_no_module_but_themselves() -> None:
    users = {name for name, path in MODULES if any(module in TRIALS for module in imports(path, name))}
    assert users <= set(TRIALS)


def test_the_main_job_never_imports_training_or_torch() -> None:
    program = (
        "import sys, bidsqa.steps, bidsqa.models, bidsqa.group, bidsqa.report; "
        f"print(*sorted(m for m in sys.modules if m.startswith({tuple(f'bidsqa.{name}' for name in SIDE_HOUSES)}) "
        "or m in ('torch', 'torchio', 'nipype')))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.split()
