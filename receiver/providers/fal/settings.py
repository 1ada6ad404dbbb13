"""fal's settings."""

from typing import Final

from pydantic import Field

from receiver.config import values as kinds
from receiver.config.environment import Settings
from receiver.providers.entry import Entry


class FalSettings(Settings):
    fal_key: kinds.HeaderValue | None = Field(None, repr=False)
    """fal's API key; needed for `fal`. The sandbox accepts only this key, or any key if it is not
    set."""
    fal_base_url: kinds.FolderUrl = "https://queue.fal.run/"
    """fal's queue; its paths are appended."""
    fal_jwks_url: kinds.BaseUrl = "https://rest.fal.ai/.well-known/jwks.json"
    """The address of the keys that verify fal's callbacks."""
    fal_user_id: str | None = None
    """Your fal user id: callbacks signed for other users are refused. fal signs for all of its
    customers with the same keys."""


ENTRY: Final = Entry(
    name="fal",
    twin="sandbox-fal",
    settings=FalSettings,
    key="fal_key",
    plugin="receiver.providers.fal.plugin:FalPlugin",
    measures=("billable_units",),
)
