# SPDX-License-Identifier: Apache-2.0
"""Runs that a signal stops at a chosen moment: they end at once and cleanly, and the next one goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bidsqa import steps
from bidsqa.bids import Selection, collect_scans
from bidsqa.bids.names import record_paths
from bidsqa.record import Record
from bidsqa.settings import Settings
from bidsqa.simulation.phantom import Phantom
from bidsqa.workflows import run_scans

Maker = Callable[..., Path]
# one more than processes: the last can't be done before the first is noticed
NAMES = ("sub-01_T1w", "sub-02_T1w", "sub-03_T1w")
LIMIT = 240  # seconds; a run that does not stop is killed and fails the test

# The command with a signal planted at one moment of it. Workers run it as well, so the patches reach them however they
# are started. In a worker the strike is followed by a long sleep: the run must not wait for the node in hand.
DRIVER = """
import importlib.abc, os, signal, sys, time
from pathlib import Path

MOMENT, NUMBER = os.environ["STRIKE_AT"], int(os.environ["STRIKE_WITH"])
MARK = Path(os.environ["STRIKE_MARK"])
RUN = int(os.environ.setdefault("STRIKE_RUN", str(os.getpid())))


def strike():
    try:
        MARK.touch(exist_ok=False)
    except FileExistsError:
        return
    whom = os.environ["STRIKE_WHOM"]
    (os.killpg if whom == "all" else os.kill)(os.getpid() if whom == "itself" else RUN, NUMBER)
    if os.getpid() != RUN:
        MARK.write_text(str(os.getpid()))
        time.sleep(600)


def struck(holder, name, when):
    inner = getattr(holder, name)

    def outer(*given, **more):
        if when(*given):
            strike()
        return inner(*given, **more)

    setattr(holder, name, outer)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "nipype.pipeline.engine":
            try:
                strike()
            except BaseException:
                if MOMENT == "import":
                    raise  # otherwise swallowed, as a library may
        return None


if MOMENT in ("import", "swallowed"):
    sys.meta_path.insert(0, Finder())
elif MOMENT == "collecting":
    import bidsqa.bids
    struck(bidsqa.bids, "collect_scans", lambda *_: True)
elif MOMENT == "node":
    import bidsqa.steps
    struck(bidsqa.steps, "measure", lambda *_: True)
elif MOMENT == "nipype":
    from nipype.interfaces.utility import Merge
    struck(Merge, "_list_outputs", lambda *_: True)
elif MOMENT == "writing":
    write_bytes = Path.write_bytes

    def half(path, data):
        if path.name.startswith(".tmp-") and path.parent.name == "figures" and not MARK.exists():
            write_bytes(path, data[: len(data) // 2])
            strike()
        return write_bytes(path, data)

    Path.write_bytes = half
elif MOMENT == "between":
    from bidsqa.cli.progress import Progress
    struck(Progress, "__call__", lambda progress, event: event.kind == "scan_done")
elif MOMENT != "never":
    raise SystemExit("no such moment")

import bidsqa.steps
from bidsqa.anatomy import Anatomy
bidsqa.steps.delineate = lambda volume, settings: Anatomy.load(Path(os.environ["STRIKE_ANATOMY"]))  # to save time

if __name__ == "__main__":
    from bidsqa.cli.main import main
    sys.exit(main())
"""


@dataclass
class Run:
    """The planted command on a dataset of three scans."""

    place: Path
    root: Path
    anatomy: Path

    @property
    def out(self) -> Path:
        return self.place / "out"

    def __call__(
        self, moment: str, nprocs: int, number: int = signal.SIGTERM, whom: str = "run"
    ) -> subprocess.CompletedProcess[str]:
        driver, temporary = self.place / "driver.py", self.place / "temporary"
        driver.write_text(DRIVER)
        temporary.mkdir(exist_ok=True)
        planted = {"AT": moment, "WITH": int(number), "WHOM": whom}
        planted |= {"MARK": self.place / "mark", "ANATOMY": self.anatomy}
        environment = {**os.environ, **{f"STRIKE_{key}": str(value) for key, value in planted.items()}}
        command = [sys.executable, "-P", str(driver), str(self.root), str(self.out), "participant"]
        command += ["--nprocs", str(nprocs), "--mem-gb", "4", "--models", "severity"]
        return subprocess.run(
            command,
            env={**environment, "TMPDIR": str(temporary)},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
            start_new_session=True,
        )

    def records(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in record_paths(self.out)}

    def check_clean(self) -> None:
        """No record of a failure, no half file, no worker, nothing in the temporary folder."""
        for path in self.records():
            assert Record.loads(path.read_text()).status == "ok"
        files = [path for path in self.out.rglob("*") if path.is_file()] if self.out.exists() else []
        assert not [path for path in files if path.name.startswith((".tmp-", "crash-"))]
        assert os.listdir(self.place / "temporary") == []
        worker = (self.place / "mark").read_text()
        if worker:
            with pytest.raises(ProcessLookupError):
                os.kill(int(worker), 0)

    def check_goes_on(self, nprocs: int) -> None:
        """The same command does what is not finished, and only that."""
        before = self.records()
        again = self("never", nprocs)
        assert again.returncode == 0, again.stderr
        after = self.records()
        assert len(after) == len(NAMES)
        assert before.items() <= after.items(), "finished scans are not redone"
        self.check_clean()


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory: pytest.TempPathFactory, phantom_3mm: Phantom) -> Path:
    """What the masks of the scans are, found once."""
    path = tmp_path_factory.mktemp("anatomy") / "anatomy.npz"
    image = phantom_3mm.to_nifti(phantom_3mm.image("T1w", seed=3))
    steps.delineate(steps.conform(image), Settings()).save(path)
    return path


@pytest.fixture
def run(tmp_path: Path, bids_dataset: Maker, anatomy: Path) -> Run:
    return Run(tmp_path, bids_dataset(*NAMES), anatomy)


@pytest.mark.slow
@pytest.mark.parametrize("nprocs", [1, 2])
@pytest.mark.parametrize("moment", ["import", "swallowed", "collecting", "node", "nipype", "writing", "between"])
def test_stopped_run_is_clean_and_goes_on(run: Run, moment: str, nprocs: int) -> None:
    stopped = run(moment, nprocs)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert "was stopped" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "failed" not in stopped.stdout + stopped.stderr
    run.check_clean()
    finished = len(run.records())
    assert finished < len(NAMES), "it did not go on with the next scan"
    # with several processes the worker of another scan may have written its record by then
    assert finished in (range(1, nprocs + 1) if moment == "between" else [0])
    if moment in ("node", "writing", "between"):
        run.check_goes_on(nprocs)


@pytest.mark.slow
@pytest.mark.parametrize(("nprocs", "whom"), [(1, "run"), (2, "run"), (2, "all")])
def test_ctrl_c_reaches_one_or_all_processes(run: Run, nprocs: int, whom: str) -> None:
    stopped = run("node", nprocs, signal.SIGINT, whom)
    assert stopped.returncode == 128 + signal.SIGINT, stopped.stderr
    assert "failed" not in stopped.stdout + stopped.stderr
    assert run.records() == {}
    run.check_clean()


@pytest.mark.slow
def test_killed_worker_costs_only_its_own_scan(run: Run) -> None:
    done = run("node", 2, signal.SIGKILL, "itself")
    assert done.returncode == 1, done.stderr
    records = [Record.loads(path.read_text()) for path in run.records()]
    lost = [record.failure for record in records if record.status == "failed"]
    assert len(records) == len(NAMES)
    assert len(lost) == 1
    assert all(failure and "without a result" in failure["cause"] for failure in lost)
    assert run("never", 2).returncode == 0
    assert {Record.loads(path.read_text()).status for path in run.records()} == {"ok"}


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_from_python_is_no_failure_of_the_scan(
    tmp_path: Path, bids_dataset: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def interrupted(path: object) -> None:
        begun.append(path)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("bidsqa.steps.conform", interrupted)
    scans = collect_scans(bids_dataset(*NAMES), Selection()).scans
    with pytest.raises(KeyboardInterrupt):
        run_scans(scans, tmp_path / "out", tmp_path / "work", Settings(models=()))
    assert len(begun) == 1, "it did not go on with the next scan"
    assert record_paths(tmp_path / "out") == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
