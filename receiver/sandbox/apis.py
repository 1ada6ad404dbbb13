"""The known sandboxes, and how to create them from the settings."""

from functools import partial

from pydantic import SecretStr

from receiver.providers.samsar_input import InputRules
from receiver.sandbox.api import MakeApi
from receiver.sandbox.fal import FalApi
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.replicate import ReplicateApi
from receiver.sandbox.samsar import SamsarApi
from receiver.settings import SandboxSettings


def sandbox_api(provider: str, settings: SandboxSettings) -> tuple[MakeApi, str | None]:
    """The API of a provider's sandbox, and the only key that it accepts, if one is set. The
    provider's name may begin with `sandbox-`; `sandbox` alone is Samsar's."""
    match provider.removeprefix("sandbox-"):
        case "replicate":
            return ReplicateApi, _secret(settings.replicate_api_token)
        case "fal":
            return FalApi, _secret(settings.fal_key)
        case _:
            rules = InputRules(frozenset(settings.image_models), frozenset(settings.video_models))
            return partial(SamsarApi, input_rules=rules), _secret(settings.samsar_api_key)


def sandbox_rules(settings: SandboxSettings) -> SandboxRules:
    """The faults from the settings."""
    return SandboxRules(
        render_seconds=settings.sandbox_render,
        drop_callbacks=settings.sandbox_drop_callbacks,
        duplicate_callbacks=settings.sandbox_duplicate_callbacks,
        fail_jobs=settings.sandbox_fail_jobs,
        submit_timeouts=settings.sandbox_submit_timeouts,
    )


def is_sandbox(provider: str) -> bool:
    """Whether this provider is an embedded sandbox."""
    return provider == "sandbox" or provider.startswith("sandbox-")


def _secret(key: SecretStr | None) -> str | None:
    return None if key is None else key.get_secret_value()
