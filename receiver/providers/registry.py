"""The known providers: their names, and how to create them from the settings."""

from typing import Final

from pydantic import SecretStr

from receiver.clock import Clock
from receiver.config.settings import KEY_OF, SandboxSettings, ServeSettings, sandbox_of
from receiver.providers.fal import Fal
from receiver.providers.replicate import Replicate
from receiver.providers.samsar import InputRules, Samsar
from receiver.upstream.api import Account
from receiver.upstream.contract import Provider

API_OF: Final = {name: api for api in KEY_OF for name in (api, sandbox_of(api))}
"""By provider name: the API that it has."""
KIND_CHECKS: Final = (Samsar.check_kind, Replicate.check_kind, Fal.check_kind)
"""One for each API: see `Provider.check_kind`."""
SANDBOX_PATHS: Final = {"samsar": "/v1/video/", "replicate": "/v1/", "fal": "/"}
"""By API: the path at which a sandbox serves it."""


def operators_key(api: str, settings: SandboxSettings) -> str | None:
    """The operator's key for an API, if it is set."""
    key: SecretStr | None = getattr(settings, KEY_OF[api])
    return None if key is None else key.get_secret_value()


def input_rules(settings: SandboxSettings) -> InputRules:
    """Samsar's rules, with the configured models."""
    return InputRules(settings.image_models, settings.video_models)


def open_provider(
    name: str, settings: ServeSettings, clock: Clock, sandbox: str | None = None
) -> Provider:
    """Create one of the configured providers; the caller closes it. `sandbox` is the origin of its
    embedded sandbox, if it has one."""
    api = API_OF[name]
    base_url = settings.base_url_of(name)
    if base_url is None:
        assert sandbox is not None, "an embedded provider is called where its sandbox listens"
        base_url = sandbox + SANDBOX_PATHS[api]
        # These settings are for the real provider; its key applies to the sandbox too.
        own: dict[str, object] = {
            "samsar_auth_header": "API-KEY",
            "replicate_webhook_secret": (),
            "fal_jwks_url": f"{base_url}.well-known/jwks.json",
            "fal_user_id": None,
        }
        settings = settings.model_copy(update=own)
    account = Account(
        name=name,
        base_url=base_url,
        key=operators_key(api, settings) or "sandbox",
        clock=clock,
        submit_timeout=settings.submit_timeout,
    )
    match api:
        case "replicate":
            secrets = [each.get_secret_value() for each in settings.replicate_webhook_secret]
            return Replicate(account, secrets)
        case "fal":
            return Fal(account, settings.fal_jwks_url, settings.fal_user_id)
        case "samsar":
            return Samsar(account, input_rules(settings), auth_header=settings.samsar_auth_header)
        case _:
            raise AssertionError(f"no provider is made for {api}")
