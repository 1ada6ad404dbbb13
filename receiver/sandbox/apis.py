"""The known sandboxes, and how to create them from the settings."""

from functools import partial

from receiver.providers.registry import API_OF, input_rules, operators_key
from receiver.sandbox.api import MakeApi
from receiver.sandbox.fal import FalApi
from receiver.sandbox.faults import SandboxRules
from receiver.sandbox.replicate import ReplicateApi
from receiver.sandbox.samsar import SamsarApi
from receiver.settings import SandboxSettings


def sandbox_api(provider: str, settings: SandboxSettings) -> MakeApi:
    """The API of a provider's sandbox. It accepts the operator's key alone, if that is set."""
    api = API_OF[provider]
    key = operators_key(api, settings)
    match api:
        case "replicate":
            return partial(ReplicateApi, api_key=key)
        case "fal":
            return partial(FalApi, api_key=key)
        case _:
            return partial(SamsarApi, api_key=key, input_rules=input_rules(settings))


def sandbox_rules(settings: SandboxSettings) -> SandboxRules:
    """The faults from the settings."""
    return SandboxRules(
        render_seconds=settings.sandbox_render,
        drop_callbacks=settings.sandbox_drop_callbacks,
        duplicate_callbacks=settings.sandbox_duplicate_callbacks,
        fail_jobs=settings.sandbox_fail_jobs,
        submit_timeouts=settings.sandbox_submit_timeouts,
    )
