"""The providers: a folder each, whose `plugin.py` says what it has. Only the composition root
imports them. To add one, write its folder and its entry in `PLUGINS` (docs/providers.md)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pydantic import SecretStr

from receiver.clock import Clock
from receiver.config.settings import KEY_OF, SandboxSettings, ServeSettings
from receiver.domain.client_webhooks import ClientWebhooks
from receiver.http_api.credentials import Row
from receiver.providers.fal.plugin import FalPlugin
from receiver.providers.plugin import Plugin
from receiver.providers.replicate.plugin import ReplicatePlugin
from receiver.providers.samsar.plugin import SamsarPlugin
from receiver.simulator.api import SandboxApi
from receiver.upstream.api import Account
from receiver.upstream.contract import CheckKind, Provider

PLUGINS: Final[tuple[Plugin, ...]] = (SamsarPlugin(), ReplicatePlugin(), FalPlugin())

_BY_NAME: Final = {name: plugin for plugin in PLUGINS for name in (plugin.name, plugin.twin)}


def open_provider(
    name: str, settings: ServeSettings, clock: Clock, simulator: str | None = None
) -> Provider:
    """Create one of the configured providers; the caller closes it. `simulator` is the origin of
    its embedded simulator, if it has one."""
    plugin, base_url = _BY_NAME[name], settings.base_url_of(name)
    if base_url is None:
        assert simulator is not None, "an embedded provider is called where its simulator listens"
        base_url = simulator + plugin.path_of_twin
        # What is set for the real provider is not the twin's; but its key is.
        settings = settings.model_copy(update=dict(plugin.settings_for_twin(base_url)))
    account = Account(
        name=name,
        base_url=base_url,
        key=_key(plugin, settings) or "sandbox",
        clock=clock,
        submit_timeout=settings.submit_timeout,
    )
    return plugin.open(settings, account)


def simulator_api(name: str, settings: SandboxSettings) -> SandboxApi:
    """The API of a provider's simulated twin. It accepts the operator's key alone, if that is
    set."""
    plugin = _BY_NAME[name]
    return plugin.simulator(settings, _key(plugin, settings), settings.prices)


def known_kinds() -> Mapping[str, CheckKind]:
    """By name, of every provider and twin: what is wrong with a kind."""
    return {name: plugin.check_kind for name, plugin in _BY_NAME.items()}


def client_webhooks(public_url: str) -> Mapping[str, ClientWebhooks]:
    """By `Job.source`: the shapes of webhooks to the providers' own clients."""
    shapes = {plugin.name: plugin.client_webhooks(public_url) for plugin in PLUGINS}
    return {name: shape for name, shape in shapes.items() if shape is not None}


def client_routes(settings: ServeSettings) -> Iterator[Row[Any]]:
    """The routes for the clients of the providers that run."""
    for plugin in running(settings):
        yield from plugin.routes


def words(settings: ServeSettings) -> Mapping[str, Collection[str]]:
    """By name of a schema in the OpenAPI document: the words that it allows."""
    found: dict[str, Collection[str]] = {
        "Provider": settings.provider_names,
        "KnownProvider": list(_BY_NAME),
    }
    for plugin in PLUGINS:
        found |= plugin.words(settings)
    return found


def running(settings: ServeSettings) -> list[Plugin]:
    """The plug-ins of which the provider or its twin runs."""
    names = settings.provider_names
    return [plugin for plugin in PLUGINS if plugin.name in names or plugin.twin in names]


def _key(plugin: Plugin, settings: SandboxSettings) -> str | None:
    """The operator's key, if it is set."""
    key: SecretStr | None = getattr(settings, KEY_OF[plugin.name])
    return None if key is None else key.get_secret_value()
