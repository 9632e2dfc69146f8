# SPDX-License-Identifier: Apache-2.0
"""The files that images are made from. Building and running them is tests/containers/build_and_run.sh's."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bidsqa
from bidsqa.errors import NotComputable
from bidsqa.metrics.template import TEMPLATE, find_priors

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEFINITIONS = ("Singularity.def", "containers/scratch.def")


def script(name: str) -> ModuleType:
    """A module of containers/, which is no package."""
    specification = importlib.util.spec_from_file_location(f"containers_{name}", ROOT / "containers" / f"{name}.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_one_version_in_all_of_them() -> None:
    assert (ROOT / "version").read_text(encoding="utf-8") == f"{bidsqa.__version__}\n"
    assert f"\nARG VERSION={bidsqa.__version__}\n" in DOCKERFILE
    for name in DEFINITIONS:
        found = re.findall(r"bidsqa:(\d[\w.]*)|image\.version (\S+)", (ROOT / name).read_text(encoding="utf-8"))
        assert {one or other for one, other in found} == {bidsqa.__version__}, name


def test_the_base_is_pinned_and_the_same() -> None:
    (base,) = re.findall(r"^ARG BASE=(.+)$", DOCKERFILE, re.M)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert f"    FROM={base}\n" in (ROOT / "containers" / "scratch.def").read_text(encoding="utf-8")


def test_not_as_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == ["1000:1000"]
    assert 'ENTRYPOINT ["bidsqa"]' in DOCKERFILE


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_caller_s_python_stays_outside(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "unset PYTHONPATH" in text
    assert "PYTHONNOUSERSITE=1" in text
    assert 'exec bidsqa "$@"' in text


def test_everything_that_is_copied_reaches_the_build() -> None:
    """The list of exceptions in .dockerignore holds what Dockerfile and pip need."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / name).exists() for name in kept)
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = {"bidsqa", "workflows", "setup.cfg", "pyproject.toml", "containers", "version", "constraints.txt"}
    needed |= {setup["metadata"]["license_files"], setup["metadata"]["long_description"].removeprefix("file: ")}
    assert needed <= kept


def test_requirements_of_an_image(tmp_path: Path) -> None:
    module = script("requirements")
    usual = module.requirements(ROOT / "setup.cfg", "cpu", True)
    names = [re.match(r"[\w-]+", line)[0] for line in usual]
    assert {"torch", "torchio", "onnxruntime", "onnxscript", "matplotlib"} <= set(names)
    assert len(names) == len(set(names))
    lean = module.requirements(ROOT / "setup.cfg", "cpu", False)
    left_out = {re.match(r"[\w-]+", line)[0] for line in set(usual) - set(lean)}
    assert left_out == {"torch", "torchio", "onnx", "onnxscript", "scikit-learn"}
    cuda = module.requirements(ROOT / "setup.cfg", "cuda", True)
    (build,) = [line for line in cuda if line.startswith("onnxruntime")]
    assert re.fullmatch(r"onnxruntime-gpu\[cuda,cudnn\] >= [\d.]+", build)
    assert len(cuda) == len(usual)


def test_priors_are_kept_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("templates")

    def fetch() -> None:
        folder = tmp_path / f"tpl-{TEMPLATE}"
        (folder / "scripts").mkdir(parents=True)
        (tmp_path / "tpl-Other").mkdir()
        for tissue in ("CSF", "GM", "WM"):
            (folder / f"tpl-{TEMPLATE}_res-02_label-{tissue}_probseg.nii.gz").write_bytes(b"content")
        (folder / f"tpl-{TEMPLATE}_res-01_T1w.nii.gz").touch()
        (folder / "LICENSE").write_text("terms of use")
        (tmp_path / "tpl-Other" / "tpl-Other_T1w.nii.gz").touch()

    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(module, "fetch", fetch)
    module.main()
    assert len(find_priors(tmp_path)) == 3
    assert [path.name for path in tmp_path.iterdir()] == [f"tpl-{TEMPLATE}"]
    assert sorted(path.name.rpartition("_")[2] for path in (tmp_path / f"tpl-{TEMPLATE}").iterdir()) == [
        "LICENSE",
        *["probseg.nii.gz"] * 3,
    ]


@pytest.mark.parametrize("error", [ConnectionError("no network"), None])
def test_without_a_network_the_priors_are_left_out(
    error: Exception | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("templates")

    def fetch() -> None:
        (tmp_path / "tpl-Other").mkdir()
        if error:
            raise error

    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    monkeypatch.setattr(module, "fetch", fetch)
    module.main()
    assert "tpm_overlap_* is null" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["README"]
    with pytest.raises(NotComputable):
        find_priors(tmp_path)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    folders = (ROOT / "containers", ROOT / "tests" / "containers")
    scripts = sorted(str(path) for folder in folders for path in folder.glob("*.sh"))
    done = subprocess.run(["shellcheck", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("code", [0, 1])
def test_records_are_compared(code: int, tmp_path: Path) -> None:
    for name, value in (("a", 1000.0), ("b", 1000.0 + 0.1 * code)):
        folder = tmp_path / name / "sub-01" / "anat"
        folder.mkdir(parents=True)
        record = f'{{"bids_name": "sub-01_T1w", "status": "ok", "metrics": {{"cjv": 0.3, "summary_bg_k": {value}}}}}'
        (folder / "sub-01_desc-qa_T1w.json").write_text(record)
    command = [
        sys.executable,
        str(ROOT / "tests" / "containers" / "compare_records.py"),
        tmp_path / "a",
        tmp_path / "b",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert ("at sub-01_T1w/metrics/summary_bg_k" in done.stdout) == bool(code)
