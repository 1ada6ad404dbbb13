"""The service as an application, in the tests' own process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from receiver.asgi import Application, create_app, lifespan
from receiver.server.serve import listen, origin, serving
from store.open import open_store
from tests.http_api.conftest import quiet_log
from tests.support.service import TIMEOUT, make_key

__all__ = ["make", "quiet_log"]

Make: TypeAlias = Callable[..., Application]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes an application with these settings."""

    def make(**given: str) -> Application:
        defaults = {
            "database_url": f"sqlite:///{tmp_path / 'receiver.db'}",
            "provider": "sandbox",
            "rate_limit": "",
        }
        for name, value in (defaults | given).items():
            monkeypatch.setenv(f"RECEIVER_{name.upper()}", value)
        return create_app()

    return make


@asynccontextmanager
async def mounted(make: Make, folder: Path, **given: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service below `/jobs` of another application; yields a client with a key."""
    with listen("127.0.0.1", 0) as listener:
        url = f"{origin(listener)}/jobs"
        app = make(public_url=url, **given)
        outer = Starlette(routes=[Mount("/jobs", app)])
        async with lifespan(app), serving(outer, listener, grace=1):
            store = await open_store(f"sqlite:///{folder / 'receiver.db'}")
            key = await make_key(store, "ada")
            await store.close()
            async with httpx.AsyncClient(
                base_url=url, headers={"API-KEY": key}, trust_env=False, timeout=TIMEOUT
            ) as client:
                yield client
