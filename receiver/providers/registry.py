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
    api = API_OF[name]
    base_url = settings.base_url_of(name)
    is_embedded = base_url is None
    if base_url is None:
        if name not in context.sandboxes:
            raise ProviderUnavailable(f"{name} is not running in this process")
        base_url = context.sandboxes[name] + _SANDBOX_PATHS[api]
    account = Account(
        name=name,
        base_url=base_url,
        key=_key(api, settings, is_embedded=is_embedded),
        clock=context.clock,
        submit_timeout=settings.submit_timeout,
    )
    match api:
        case "replicate":
            secrets = () if is_embedded else settings.replicate_webhook_secret or ()
            return Replicate(account, [secret.get_secret_value() for secret in secrets])
        case "fal" if is_embedded:
            return Fal(account, f"{base_url}.well-known/jwks.json")
        case "fal":
            return Fal(account, settings.fal_jwks_url, settings.fal_user_id)
        case _:
            return Samsar(
                account,
                image_models=settings.image_models,
                video_models=settings.video_models,
                auth_header="API-KEY" if is_embedded else settings.samsar_auth_header,
            )


def _key(api: str, settings: ServeSettings, *, is_embedded: bool) -> str:
    """The operator's key; a sandbox accepts any if none is set."""
    setting = KEY_OF[api]
    key: SecretStr | None = getattr(settings, setting)
    if key is not None:
        return key.get_secret_value()
    if is_embedded:
        return "sandbox"
    raise ProviderUnavailable(f"RECEIVER_{setting.upper()} is not set")
