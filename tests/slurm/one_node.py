# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster of one node on the loopback address, for tests: its own key, ports and state in one folder.

    python tests/slurm/one_node.py FOLDER [COMMAND ...]

runs a command on it (a shell by default). Debian: ``apt-get install slurmctld slurmd slurm-client munge``; no service
needs to run.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
SOCKET_PATH = 100  # bytes that a path of a Unix socket may have, and a little less
START_SECONDS = 40.0
STOP_SECONDS = 15.0
CONFIGURATION = """\
ClusterName=bidsqa
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=UsePss,OverMemoryKill
AccountingStorageType=accounting_storage/none
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobRequeue=1
KillWait=10
MaxArraySize=2001
MinJobAge=3600
ReturnToService=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE DefMemPerCPU={memory_a_cpu}
"""


def missing_programs() -> list[str]:
    """What of Slurm and munge isn't installed here."""
    return [name for name in PROGRAMS if _program(name) is None]


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS]))


class OneNode:
    """The cluster; `environment` is what commands and jobs need to find it.

    Parameters
    ----------
    folder : Path
        Made anew; its path must be short (a Unix socket lies in it) and plain.
    cpus : int
        What the node claims to have, whatever there is.
    """

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder = folder.absolute()
        self.cpus = cpus
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs.

        Raises
        ------
        RuntimeError
            One of them ends, or the node doesn't come up; with the end of its log.
        """
        if len(str(self.folder)) > SOCKET_PATH - 20 or not re.fullmatch(r"[\w./-]+", str(self.folder)):
            raise RuntimeError(f"Slurm can't live in {self.folder}: too long, or characters that it doesn't take")
        for name in ("state", "spool", "log"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        (self.folder / "cgroup.conf").touch()
        (self.folder / "slurm.conf").write_text(self._configuration())
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
            f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/munge.seed",
        )  # fmt: skip
        self._wait(lambda: (self.folder / "munge.socket").exists())
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D")
        self._wait(lambda: self.run("sinfo", "-h", "-o", "%T").strip() in ("idle", "mixed", "allocated"))

    def stop(self) -> None:
        """End all jobs and the daemons."""
        if len(self._daemons) == 3:
            with contextlib.suppress(subprocess.CalledProcessError):
                for job in set(self.run("squeue", "-h", "-a", "-o", "%A").split()):
                    self.run("scancel", job)
                self.until(lambda: not self.run("squeue", "-h", "-a").strip(), STOP_SECONDS)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def run(self, *command: str) -> str:
        """Output of one of Slurm's commands.

        Raises
        ------
        subprocess.CalledProcessError
        """
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def wait_for(self, *jobs: str, seconds: float = 300.0) -> None:
        """Wait until the jobs have left the queue.

        Raises
        ------
        TimeoutError
            They haven't; with the queue.
        """
        listed = ",".join(jobs)
        if not self.until(lambda: not self.run("squeue", "-h", "-j", listed).strip(), seconds):
            raise TimeoutError(self.run("squeue", "-a"))

    def _configuration(self) -> str:
        host = socket.gethostname().partition(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10
        controller_port, node_port = _free_ports(2)
        return CONFIGURATION.format(
            host=host,
            folder=self.folder,
            user=getpass.getuser(),
            controller_port=controller_port,
            node_port=node_port,
            cpus=self.cpus,
            memory=memory,
            memory_a_cpu=memory // self.cpus,
        )

    def _daemon(self, name: str, *options: str) -> None:
        program = _program(name)
        if program is None:
            raise RuntimeError(f"{name} is not installed")
        with (self.folder / "log" / f"{name}.out").open("wb") as output:
            self._daemons.append(
                subprocess.Popen(
                    [program, *options],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a Ctrl-C is for the tests, which then stop it in order
                )
            )

    def _wait(self, ready: Callable[[], object]) -> None:
        if not self.until(ready, START_SECONDS):
            told = "".join(
                f"\n{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in self.folder.glob("log/*")
            )
            raise RuntimeError(f"the node doesn't come up{told}")

    def until(self, ready: Callable[[], object], seconds: float) -> bool:
        """Wait until something is true; False when it isn't in time, or a daemon has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(daemon.poll() is not None for daemon in self._daemons):
                return False
            with contextlib.suppress(subprocess.CalledProcessError):
                if ready():
                    return True
            time.sleep(0.2)
        return False


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens at now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def one_node(folder: Path, cpus: int = 2) -> Iterator[OneNode]:
    """The cluster for the time of a block."""
    node = OneNode(folder, cpus)
    try:
        node.start()
        yield node
    finally:
        node.stop()


def main() -> int:
    """Run a command on a cluster of its own."""
    folder, *command = sys.argv[1:]
    with one_node(Path(folder), cpus=os.cpu_count() or 2) as node:
        return subprocess.run(command or [os.environ.get("SHELL", "sh")], env=node.environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
