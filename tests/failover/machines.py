"""Machines that can be killed, paused and cut off: namespaces on one bridge."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BRIDGE, HERE, NETWORK = "machines", "10.78.0.1", "10.78.0.0/24"
"""The bridge that connects the machines, this process's address on it, and its network."""

WAIT_SECONDS = 10.0

# Machines have a processor of their own: clients must not take it from them, or leases end. The
# interface is moved here from outside. The file is from a machine's previous life, whose ids of
# processes repeat.
BOOT = """
until ip link show eth0; do sleep 0.05; done >/dev/null 2>&1
ip link set lo up && ip addr add {address}/24 dev eth0 && ip link set eth0 up
rm -f {folder}/data/postmaster.pid
exec nice -n -10 setpriv --reuid postgres --regid postgres --clear-groups sh -c {command!r}
"""


def make_bridge() -> None:
    """Set up this process's side of the network; it must be alone in a network namespace."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", BRIDGE, "type", "bridge")
    _run("ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")


@dataclass
class Machine:
    """A machine with an address and a folder of its own."""

    number: int
    folder: Path
    command: str = ""
    """A shell command: what it runs, as the user postgres."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def address(self) -> str:
        return f"10.78.0.{10 + self.number}"

    def boot(self) -> None:
        """Start it."""
        script = BOOT.format(address=self.address, folder=self.folder, command=self.command)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--net", "--ipc", "--pid", "--fork", "--mount-proc"),
                    *("sh", "-c", script),
                ],
                cwd="/",
                stdout=log,
                stderr=log,
            )
        pid = self._process.pid
        until = time.monotonic() + WAIT_SECONDS
        while _network(pid) == _network(os.getpid()):
            assert time.monotonic() < until, "no network namespace"
            time.sleep(0.01)
        cable = ("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0")
        _run(*cable, "netns", str(pid))
        _run("ip", "link", "set", self.name, "master", BRIDGE, "up")

    def kill(self) -> None:
        """Cut its power: SIGKILL to all of its processes."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            # It ends once its namespace is empty.
            self._process.wait(WAIT_SECONDS)
            self._process = None
            # The interface goes with the namespace, a moment later.
            subprocess.run(["ip", "link", "del", self.name], check=False, stderr=subprocess.DEVNULL)

    def pause(self) -> None:
        """SIGSTOP all of its processes; the kernel still acknowledges packets."""
        self._send(signal.SIGSTOP)
        self._send(signal.SIGSTOP)  # what was forked meanwhile

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def cut_off(self) -> None:
        """Pull its network cable."""
        _run("ip", "link", "set", self.name, "down")

    def connect(self) -> None:
        _run("ip", "link", "set", self.name, "up")

    def _send(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> Iterator[int]:
        """All of its processes."""
        assert self._process is not None, "the machine is off"
        mine = _network(self._process.pid)
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != self._process.pid:
                try:
                    if _network(int(entry.name)) == mine:
                        yield int(entry.name)
                except OSError:
                    continue  # it has ended


def _network(pid: int) -> Path:
    """The network namespace of a process."""
    return Path(f"/proc/{pid}/ns/net").readlink()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
