# SPDX-License-Identifier: Apache-2.0
"""Nothing is ever unpickled, evaluated or run that comes from a file: read off the source, and watched in a run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidsqa.simulation.phantom import Phantom

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for folder in ("bidsqa", "workflows") for path in sorted((ROOT / folder).rglob("*.py"))]
# modules that run what a file says, or parse XML, whose entities can grow without bound
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "xml",
    "lxml",
    "jsonpickle",
}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
FORBIDDEN_CALLS |= {"pd.read_pickle", "pandas.read_pickle", "loadpkl"}
REQUIRED = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}


def breaches(text: str) -> Iterator[str]:
    """What a module does that none may."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: word.value for word in node.keywords}
            if called in FORBIDDEN_CALLS:
                yield f"calls {called}"
            if called in REQUIRED:
                word, wanted = REQUIRED[called]
                if not (isinstance(given.get(word), ast.Constant) and given[word].value is wanted):
                    yield f"calls {called} without {word}={wanted}"
            shell = given.get("shell")
            if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
                yield f"calls {called} with a shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_runs_nothing_from_files(path: Path) -> None:
    assert not list(breaches(path.read_text(encoding="utf-8")))


def test_breaches_are_noticed() -> None:
    text = """
import pickle, xml.dom
from joblib import load
np.load(path)
np.load(path, allow_pickle=True)
torch.load(path, map_location="cpu")
yaml.load(text)
eval(text)
subprocess.run(text, shell=True)
"""
    assert len(list(breaches(text))) == 9
    assert not list(breaches("np.load(path, allow_pickle=False); torch.load(path, weights_only=True); model.eval()"))


WATCHED = """
import sys
from pathlib import Path

found = []

def watch(event, details):
    if event in ("pickle.find_class", "marshal.loads") and "importlib" not in sys._getframe(1).f_code.co_filename:
        found.append(event)
    if event in ("os.system", "subprocess.Popen", "socket.connect"):
        found.append(f"{event} {details!r:.80}")

scan, out = map(Path, sys.argv[1:])
import bidsqa
from bidsqa import models, outputs, report, settings, steps, study
from bidsqa.bids import names, write_atomic
import matplotlib.pyplot, onnxruntime, scipy.stats, SimpleITK  # what libraries load of their own is not watched
sys.addaudithook(watch)
done = steps.examine(scan)
for name in ("sub-01_T1w", "sub-02_T1w"):
    done.record.bids_name = name
    write_atomic(names.record_path(out, name), done.record.dumps())
    outputs.redraw(out, names.record_path(out, name))
study.run_group(out)
print(done.record.status, sorted(set(found)))
"""


@pytest.mark.slow
def test_a_scan_and_a_study_unpickle_and_start_nothing(tmp_path: Path, phantom_3mm: Phantom) -> None:
    scan = tmp_path / "sub-01_T1w.nii.gz"
    phantom_3mm.to_nifti(phantom_3mm.image("T1w", seed=1)).to_filename(scan)
    command = [sys.executable, "-P", "-c", WATCHED, str(scan), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ok []"
