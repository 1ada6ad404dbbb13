"""The known providers: their names, and how to create them from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from receiver.clock import Clock
from receiver.providers.answers import Account
from receiver.providers.contract import Provider
from receiver.providers.fal import Fal
from receiver.providers.replicate import Replicate
from receiver.providers.samsar import Samsar
from receiver.settings import KEY_OF, ServeSettings

API_OF: Final = {
    "samsar": "samsar",
    "sandbox": "samsar",
    "replicate": "replicate",
    "sandbox-replicate": "replicate",
    "fal": "fal",
    "sandbox-fal": "fal",
}
"""By each known name: whose API it has."""
_SANDBOX_PATHS: Final = {"samsar": "/v1/video/", "replicate": "/v1/", "fal": "/"}


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What providers are created from."""

    settings: ServeSettings
    clock: Clock
    sandboxes: Mapping[str, str] = field(default_factory=dict)
    """The origin of each embedded provider's sandbox, by the provider's name."""


class ProviderUnavailable(ValueError):
    """No provider has this name, or a setting that it needs is missing; the message says which."""


def open_provider(name: str, context: ProviderContext) -> Provider:
    """The provider `name`, to be closed by the caller.

    Raises:
        ProviderUnavailable: it is unknown, or a setting is missing.
    """
    if name not in API_OF:
        known = ", ".join(API_OF)
        raise ProviderUnavailable(f"no provider is called {name!r}; known: {known}")
    settings = context.settings
    if (base_url := settings.base_url_of(name)) is not None:
        return _remote(_account(name, base_url, context), settings)
    if name not in context.sandboxes:
        raise ProviderUnavailable(f"{name} is not running in this process")
    origin = context.sandboxes[name]
    account = _account(name, origin + _SANDBOX_PATHS[API_OF[name]], context)
    return _embedded(account, origin, settings)


def _account(name: str, base_url: str, context: ProviderContext) -> Account:
    setting = KEY_OF[API_OF[name]]
    key: SecretStr | None = getattr(context.settings, setting)
    if key is None and name in KEY_OF:
        raise ProviderUnavailable(f"RECEIVER_{setting.upper()} is not set")
    return Account(
        name=name,
        base_url=base_url,
        key="sandbox" if key is None else key.get_secret_value(),
        clock=context.clock,
        submit_timeout=context.settings.submit_timeout,
    )


def _remote(account: Account, settings: ServeSettings) -> Provider:
    match account.name:
        case "replicate":
            secrets = settings.replicate_webhook_secret or ()
            return Replicate(account, [secret.get_secret_value() for secret in secrets])
        case "fal":
            return Fal(account, settings.fal_jwks_url, settings.fal_user_id)
        case _:
            return _samsar(account, settings, settings.samsar_auth_header)


def _embedded(account: Account, origin: str, settings: ServeSettings) -> Provider:
    match API_OF[account.name]:
        case "replicate":
            return Replicate(account)
        case "fal":
            return Fal(account, f"{origin}/.well-known/jwks.json")
        case _:
            return _samsar(account, settings, "API-KEY")


def _samsar(account: Account, settings: ServeSettings, auth_header: str) -> Samsar:
    return Samsar(
        account,
        image_models=settings.image_models,
        video_models=settings.video_models,
        auth_header=auth_header,
    )
