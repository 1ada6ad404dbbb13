"""Providers by name, made of the service's own settings."""

import pytest

from receiver.clock import SystemClock
from receiver.domain.observations import SubmitAccepted
from receiver.providers.registry import ProviderContext, ProviderUnavailable, open_provider
from receiver.settings import ServeSettings
from tests.providers.faulty_server import answer, faulty_server

MOVIE = {"prompt": "A heron", "image_model": "A", "video_model": "B", "duration": 5}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> ProviderContext:
    monkeypatch.setenv("RECEIVER_SAMSAR_API_KEY", "key-1")
    monkeypatch.setenv("RECEIVER_SAMSAR_AUTH_HEADER", "api_key")
    monkeypatch.setenv("RECEIVER_IMAGE_MODELS", "A")
    monkeypatch.setenv("RECEIVER_VIDEO_MODELS", "B")
    return ProviderContext(ServeSettings(), SystemClock())


async def test_samsar_is_made_of_the_settings(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty_server(answer(200, b'{"request_id": 1}')) as server:
        monkeypatch.setenv("RECEIVER_SAMSAR_BASE_URL", server.url)
        provider = open_provider("samsar", ProviderContext(ServeSettings(), SystemClock()))
        assert provider.name == "samsar"
        assert provider.check("create_movie", MOVIE) == []
        assert await provider.submit("create_movie", MOVIE, "http://a/") == SubmitAccepted("1")
        await provider.close()
    assert "\r\napi_key: key-1\r\n" in server.heads[0]


async def test_the_sandbox_is_called_where_it_listens(context: ProviderContext) -> None:
    async with faulty_server(answer(200, b'{"request_id": 1}')) as server:
        provider = open_provider(
            "sandbox",
            ProviderContext(
                context.settings, SystemClock(), {"sandbox": server.url.removesuffix("/v1/video/")}
            ),
        )
        assert provider.name == "sandbox"
        assert await provider.submit("create_movie", MOVIE, "http://a/") == SubmitAccepted("1")
        await provider.close()
    assert "\r\nAPI-KEY: key-1\r\n" in server.heads[0]


def test_what_cannot_be_opened_says_why(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ProviderUnavailable,
        match="known: samsar, sandbox, replicate, sandbox-replicate, fal, sandbox-fal",
    ):
        open_provider("nobody", context)
    with pytest.raises(ProviderUnavailable, match="sandbox is not running"):
        open_provider("sandbox", context)
    monkeypatch.delenv("RECEIVER_SAMSAR_API_KEY")
    monkeypatch.setenv("RECEIVER_PROVIDER", "sandbox")
    with pytest.raises(ProviderUnavailable, match="RECEIVER_SAMSAR_API_KEY"):
        open_provider("samsar", ProviderContext(ServeSettings(), SystemClock()))
