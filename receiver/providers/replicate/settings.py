"""Replicate's settings."""

from typing import Final

from pydantic import Field

from receiver.config import values as kinds
from receiver.config.environment import Settings
from receiver.providers.entry import Entry


class ReplicateSettings(Settings):
    replicate_api_token: kinds.HeaderValue | None = Field(None, repr=False)
    """Replicate's API token; needed for `replicate`. The sandbox accepts only this token, or any
    token if it is not set."""
    replicate_base_url: kinds.FolderUrl = "https://api.replicate.com/v1/"
    """Replicate's API; its paths are appended."""
    replicate_webhook_secret: kinds.WebhookSecrets = Field((), repr=False)
    """`whsec_…`, comma-separated: verifies Replicate's callbacks. Not set, Replicate is asked."""


ENTRY: Final = Entry(
    name="replicate",
    twin="sandbox-replicate",
    settings=ReplicateSettings,
    key="replicate_api_token",
    plugin="receiver.providers.replicate.plugin:ReplicatePlugin",
    measures=("predict_time",),
)
