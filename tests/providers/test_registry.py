"""Providers by name, made of the service's own settings."""

import pytest

from receiver.clock import SystemClock
from receiver.domain.observations import SubmitAccepted
from receiver.providers.registry import ProviderUnavailable, Surroundings, open_provider
from receiver.settings import ServeSettings
from tests.providers.faulty_server import answer, faulty_server

MOVIE = {"prompt": "A heron", "image_model": "A", "video_model": "B", "duration": 5}


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.setenv("RECEIVER_SAMSAR_API_KEY", "key-1")
    monkeypatch.setenv("RECEIVER_SAMSAR_AUTH_HEADER", "api_key")
    monkeypatch.setenv("RECEIVER_IMAGE_MODELS", "A")
    monkeypatch.setenv("RECEIVER_VIDEO_MODELS", "B")
    return Surroundings(ServeSettings(), SystemClock())


async def test_samsar_is_made_of_the_settings(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty_server(answer(200, b'{"request_id": 1}')) as server:
        monkeypatch.setenv("RECEIVER_SAMSAR_BASE_URL", server.url)
        provider = open_provider("samsar", Surroundings(ServeSettings(), SystemClock()))
        assert provider.name == "samsar"
        assert provider.check("create_movie", MOVIE) == []
        assert await provider.submit("create_movie", MOVIE, "http://a/") == SubmitAccepted("1")
        await provider.close()
    assert "\r\napi_key: key-1\r\n" in server.heads[0]


async def test_the_sandbox_is_called_where_it_listens(surroundings: Surroundings) -> None:
    async with faulty_server(answer(200, b'{"request_id": 1}')) as server:
        provider = open_provider(
            "sandbox", Surroundings(surroundings.settings, SystemClock(), server.url)
        )
        assert provider.name == "sandbox"
        assert await provider.submit("create_movie", MOVIE, "http://a/") == SubmitAccepted("1")
        await provider.close()
    assert "\r\nAPI-KEY: key-1\r\n" in server.heads[0]


def test_what_cannot_be_opened_says_why(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProviderUnavailable, match="known: samsar, sandbox"):
        open_provider("nobody", surroundings)
    with pytest.raises(ProviderUnavailable, match="no embedded sandbox"):
        open_provider("sandbox", surroundings)
    monkeypatch.delenv("RECEIVER_SAMSAR_API_KEY")
    monkeypatch.setenv("RECEIVER_PROVIDER", "sandbox")
    with pytest.raises(ProviderUnavailable, match="RECEIVER_SAMSAR_API_KEY"):
        open_provider("samsar", Surroundings(ServeSettings(), SystemClock()))
