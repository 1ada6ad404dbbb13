"""The CPU and memory that processes and the machine have used, from proc(5)."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all of its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU seconds of these processes and their children, all threads together."""
    return sum(_ticks(each) for pid in pids for each in family(pid)) / _TICKS_PER_SECOND


def machine_cpu_seconds() -> float:
    """CPU seconds of everything on this machine, since it booted."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (
        int(field) for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq) / _TICKS_PER_SECOND


def resident(pids: Iterable[int]) -> int:
    """Bytes of these processes and their children that are resident in memory."""
    return _bytes(pids, "VmRSS")


def peak(pids: Iterable[int]) -> int:
    """The sum of each process's peak of resident memory, in bytes."""
    return _bytes(pids, "VmHWM")


def _ticks(pid: int) -> int:
    """Ticks in user mode and in the kernel, including children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0  # the process has just ended
    return sum(map(int, fields[11:15]))


def _bytes(pids: Iterable[int], prefix: str) -> int:
    """The sum, in bytes, of these lines of the status files, which are in KiB."""
    files = (Path(f"/proc/{each}/status") for pid in pids for each in family(pid))
    lines = (line for each in files for line in each.read_text().splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(prefix))
