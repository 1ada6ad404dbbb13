"""Samsar's settings."""

from typing import Final

from pydantic import Field

from receiver.config import values as kinds
from receiver.config.environment import Settings
from receiver.providers.entry import Entry


class SamsarSettings(Settings):
    samsar_api_key: kinds.HeaderValue | None = Field(None, repr=False)
    """Samsar's API key; needed for `samsar`. The sandbox accepts only this key, or any
    key if it is not set."""
    samsar_base_url: kinds.FolderUrl = "https://api.samsar.one/v1/video/"
    """The provider's API; its paths are appended."""
    samsar_auth_header: kinds.HeaderName = "API-KEY"
    """The header for the operator's key; `Authorization` sends `Bearer KEY`."""
    image_models: kinds.Listed[str] = ("IMAGEN3", "FLUX1.1PRO")
    """Samsar's image models that submissions can name."""
    video_models: kinds.Listed[str] = ("LUMA", "KLINGIMGTOVIDPRO")
    """Samsar's video models for create_movie; create_narrative also accepts RUNWAYML."""


ENTRY: Final = Entry(
    name="samsar",
    twin="sandbox",
    settings=SamsarSettings,
    key="samsar_api_key",
    plugin="receiver.providers.samsar.plugin:SamsarPlugin",
)
