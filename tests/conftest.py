"""What all tests share: which folders are left out, and how hypothesis chooses."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

import httpcore
import httpx
import pytest
from hypothesis import settings

# Extras of their own, whose tools may not be installed.
collect_ignore = [] if find_spec("playwright") else ["browser"]

# A change is judged by the same examples as the one before it. Others are looked for by
# `pytest --hypothesis-profile=default`, and what they find becomes a test of its own.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Whom the system trusts is the same for every service of a run; to read it takes 20 ms, which
    is a third of a service's start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore, "default_ssl_context", cache(httpcore.default_ssl_context))
        patch.setattr(httpx, "create_ssl_context", cache(httpx.create_ssl_context))
        yield
