"""What all tests share: which folders are left out, how many run at once, where files go."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

# Extras of their own, whose tools may not be installed.
collect_ignore = [] if find_spec("playwright") else ["browser"]

# A change is judged by the same examples as the one before it. Others are looked for by
# `pytest --hypothesis-profile=default`, and what they find becomes a test of its own.
# None fails because the machine is busy.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

# For each call httpcore tries to import sniffio, which is optional. Python does not remember that a
# module is missing, and the search took a tenth of the tests' time over HTTP.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # None: its import fails at once

MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 4 * 2**30

WORKERS = 4
"""Twice the cores of a small machine: the tests wait for almost as long as they compute."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory where there is plenty: every commit of a store is a sync, and
    on a disk that takes longer than all the rest of a test. Set TMPDIR to have them elsewhere.

    Where bytecode may not stand beside the sources, keep it in pytest's cache: else each process of
    the run would compile all of them, and each program that a test starts.
    """
    if "TMPDIR" not in os.environ and _can_hold_files(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", "") and hasattr(config, "cache"):
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def pytest_collection_finish() -> None:
    """What is imported and collected stays to the end: the garbage collector need not visit it."""
    gc.freeze()


def _can_hold_files(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC  # programs of PostgreSQL may go there
        and shutil.disk_usage(folder).free > ENOUGH_MEMORY
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several processes for folders of the default suite; one for what was named more closely, and
    for what measures or needs the machine to itself (`-m`)."""
    is_default = config.option.markexpr == config.getini("addopts")[-1]
    return WORKERS if is_default and any(Path(arg).is_dir() for arg in config.args) else 0


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Whom the system trusts is the same in a whole run; reading it takes 10 ms for each client."""
    with pytest.MonkeyPatch.context() as patch:
        made_once = cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", made_once)
        yield
