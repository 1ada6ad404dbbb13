"""Which providers there are: a name, and how it is made of the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from receiver.clock import Clock
from receiver.providers.contract import Provider
from receiver.providers.samsar import Samsar
from receiver.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider can be made of."""

    settings: ServeSettings
    clock: Clock
    sandbox_url: str | None = None
    """Base URL of the embedded sandbox, ending in `/`; None where none runs."""


class ProviderUnavailable(ValueError):
    """No provider has this name, or what it needs is not set; the text says which."""


def open_provider(name: str, surroundings: Surroundings) -> Provider:
    """The provider `name`, to be closed by the caller.

    Raises:
        ProviderUnavailable: see there.
    """
    try:
        factory = FACTORIES[name]
    except KeyError:
        known = ", ".join(FACTORIES)
        raise ProviderUnavailable(f"no provider is called {name!r}; known: {known}") from None
    return factory(surroundings)


def _samsar(given: Surroundings) -> Samsar:
    settings = given.settings
    if settings.samsar_api_key is None:
        raise ProviderUnavailable("the provider samsar needs RECEIVER_SAMSAR_API_KEY")
    return Samsar(
        clock=given.clock,
        base_url=settings.samsar_base_url,
        api_key=settings.samsar_api_key.get_secret_value(),
        auth_header=settings.samsar_auth_header,
        image_models=settings.image_models,
        video_models=settings.video_models,
        submit_timeout=settings.submit_timeout,
    )


def _sandbox(given: Surroundings) -> Samsar:
    """The embedded provider, which is called as the real one is: over HTTP."""
    settings = given.settings
    if given.sandbox_url is None:
        raise ProviderUnavailable("no embedded sandbox runs here")
    key = settings.samsar_api_key
    return Samsar(
        name="sandbox",
        clock=given.clock,
        base_url=given.sandbox_url,
        # It takes any key where none is set.
        api_key="sandbox" if key is None else key.get_secret_value(),
        image_models=settings.image_models,
        video_models=settings.video_models,
        submit_timeout=settings.submit_timeout,
    )


FACTORIES: Mapping[str, Callable[[Surroundings], Provider]] = {
    "samsar": _samsar,
    "sandbox": _sandbox,
}
