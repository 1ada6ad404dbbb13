"""Shared configuration: optional folders, Hypothesis, parallelism, temporary files."""

import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

# The browser tests need an extra of their own, which may not be installed.
collect_ignore = [] if find_spec("playwright") else ["browser"]

# A shell's background job ignores SIGINT, and so would the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every run uses the same examples, so that two versions are compared fairly.
# `pytest --hypothesis-profile=default` looks for new ones; what it finds becomes a test of its own.
# No example fails because the machine is busy.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

# httpcore tries to import sniffio, which is optional, for each call. Python does not cache a failed
# import, and the search took a tenth of the time of the tests that use HTTP.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # None: its import fails at once

MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 4 * 2**30

SHARED = {"endless", "shared", "shared_service", "signing_service"}
"""Fixtures that live in the event loop of the test file."""

WORKERS = 4
"""Twice the cores of a small machine: the tests wait almost as long as they compute."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory if there is enough of it: every commit of a store syncs, and
    on a disk that takes longer than the rest of the test. Set TMPDIR to choose another place.

    With PYTHONDONTWRITEBYTECODE set, keep the bytecode in pytest's cache: otherwise each process of
    the run, and each program that a test starts, would compile every module.

    The settings of this machine are not those of the tests.
    """
    if Path(".env").exists():
        raise pytest.UsageError("Move .env away: the tests would read its settings.")
    for name in [name for name in os.environ if name.startswith(("RECEIVER_", "OTEL_"))]:
        del os.environ[name]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    if "TMPDIR" not in os.environ and _can_hold_files(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", "") and hasattr(config, "cache"):
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the async tests that use a fixture of `SHARED` in its event loop."""
    for item in items:
        if not (isinstance(item, pytest.Function) and iscoroutinefunction(item.function)):
            continue
        if not SHARED.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


def pytest_collection_finish() -> None:
    """Exempt what was imported and collected from garbage collection: it lives until the end."""
    gc.freeze()


def _can_hold_files(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC  # PostgreSQL may run from it
        and shutil.disk_usage(folder).free > ENOUGH_MEMORY
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run folders of the default suite in several processes. Run single files and tests, and those
    that need the machine to themselves (`-m`), in one."""
    is_default = config.option.markexpr == config.getini("addopts")[-1]
    return WORKERS if is_default and any(Path(arg).is_dir() for arg in config.args) else 0


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Read the system's trusted certificate authorities once per run: it takes 10 ms per client."""
    with pytest.MonkeyPatch.context() as patch:
        made_once = cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", made_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_such_names() -> Iterator[None]:
    """Names in `.invalid` do not exist, even if a name server takes seconds to answer or invents an
    address."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *given: Any, **more: Any) -> Any:
        name = host.decode("ascii") if isinstance(host, bytes) else str(host)
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield
