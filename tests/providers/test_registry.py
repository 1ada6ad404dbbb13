"""Providers by name, created from the service's own settings."""

from functools import partial
from operator import eq

import pytest

from receiver.clock import SystemClock
from receiver.config.environment import load
from receiver.domain.answers import SubmitAccepted
from receiver.providers.registry import Providers
from receiver.providers.settings import ServiceSettings, with_providers
from store.rows import to_json
from tests.providers.conformance.subjects import SAMSAR, closing
from tests.providers.faulty_server import answer, faulty_server
from tests.providers.path_server import path_server
from tests.support.service import eventually


def providers() -> Providers:
    """Those of the environment."""
    return Providers(load(with_providers(ServiceSettings)))


@pytest.mark.parametrize(
    ("name", "key_header"), [("samsar", "api_key: key-1"), ("sandbox", "API-KEY: key-1")]
)
async def test_samsar_is_created_from_the_settings(
    name: str, key_header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty_server(answer(200, b'{"request_id": 1}')) as server:
        monkeypatch.setenv("RECEIVER_SAMSAR_API_KEY", "key-1")
        monkeypatch.setenv("RECEIVER_SAMSAR_AUTH_HEADER", "api_key")
        monkeypatch.setenv("RECEIVER_SAMSAR_BASE_URL", server.url)
        monkeypatch.setenv("RECEIVER_IMAGE_MODELS", "A")
        monkeypatch.setenv("RECEIVER_VIDEO_MODELS", "B")
        sandbox = server.url.removesuffix("/v1/video/") if name == "sandbox" else None
        async with closing(providers().open(name, SystemClock(), sandbox)) as provider:
            assert provider.name == name
            movie = SAMSAR.good_input
            assert provider.check("create_movie", movie) == []
            assert await provider.submit(
                "create_movie", to_json(movie), "http://a/", "job_1"
            ) == SubmitAccepted("1")
    assert f"\r\n{key_header}\r\n" in server.heads[0]


async def test_what_is_set_for_a_provider_is_not_its_sandboxs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECEIVER_PROVIDER", "sandbox")
    monkeypatch.setenv("RECEIVER_REPLICATE_WEBHOOK_SECRET", "whsec_c2VjcmV0")
    monkeypatch.setenv("RECEIVER_FAL_JWKS_URL", "http://127.0.0.1:1/jwks.json")
    async with path_server() as server:

        async def calls() -> int:
            return len(server.calls)

        for count, name in enumerate(("sandbox-replicate", "sandbox-fal"), 1):
            provider = providers().open(name, SystemClock(), server.origin)
            provider.start()
            await eventually(calls, partial(eq, count))
            await provider.close()
    assert server.asked() == ["GET /v1/webhooks/default/secret", "GET /.well-known/jwks.json"]
