"""The providers of a service, made from its settings."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from receiver.clock import Clock
from receiver.domain.client_webhooks import ClientWebhooks
from receiver.http_api.credentials import Operation
from receiver.providers.entry import Entry
from receiver.providers.plugin import Plugin
from receiver.providers.settings import PriceSettings, ServiceSettings
from receiver.simulator.api import SimulatorApi
from receiver.upstream.api import Account
from receiver.upstream.contract import CheckKind, Provider


def simulator_api(name: str, settings: PriceSettings) -> SimulatorApi:
    """The API of a provider's simulated twin. It accepts the operator's key alone, if that is
    set."""
    entry = settings.known[name]
    return _plugin(entry).simulator(settings, _key(entry, settings), settings.prices)


class Providers:
    """All that are known. Those that run have their names in the settings."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._plugins = {entry: _plugin(entry) for entry in settings.known.values()}

    def open(self, name: str, clock: Clock, simulator: str | None = None) -> Provider:
        """Create one of those that run; the caller closes it. `simulator` is the origin of its
        embedded simulator, if it has one."""
        settings, entry = self._settings, self._settings.known[name]
        plugin, base_url = self._plugins[entry], settings.base_url_of(name)
        if base_url is None:
            assert simulator is not None, "an embedded provider is called where its simulator is"
            base_url = simulator + simulator_api(name, settings).path
            # What is set for the real provider is not the twin's; but its key is.
            settings = settings.model_copy(update=dict(plugin.settings_for_twin(base_url)))
        account = Account(
            name=name,
            base_url=base_url,
            key=_key(entry, settings) or ("sandbox" if name == entry.twin else ""),
            clock=clock,
            submit_timeout=settings.submit_timeout,
        )
        return plugin.open(settings, account)

    def known_kinds(self) -> Mapping[str, CheckKind]:
        """By name, of every provider and twin: what is wrong with a kind."""
        return {
            name: self._plugins[entry].check_kind for name, entry in self._settings.known.items()
        }

    def client_webhooks(self) -> Mapping[str, ClientWebhooks]:
        """By `Job.source`: the shapes of webhooks to the providers' own clients."""
        url = self._settings.public_url
        shapes = {entry.name: it.client_webhooks(url) for entry, it in self._plugins.items()}
        return {name: shape for name, shape in shapes.items() if shape is not None}

    def client_routes(self) -> Iterator[Operation[Any]]:
        """The routes for the clients of the providers that run."""
        for plugin in self._running():
            yield from plugin.routes

    def words(self) -> Mapping[str, Collection[str]]:
        """By name of a schema in the OpenAPI document: the words that it allows."""
        found: dict[str, Collection[str]] = {
            "Provider": self._settings.provider_names,
            "KnownProvider": list(self._settings.known),
            "Source": ["api", *(entry.name for entry in self._plugins)],
        }
        for plugin in self._plugins.values():
            found |= plugin.words(self._settings)
        return found

    def cautions(self) -> Iterator[tuple[str, str, str]]:
        """What `receiver doctor` warns about: the subject, what is wrong, and what to do."""
        for plugin in self._running():
            yield from plugin.cautions(self._settings)

    def _running(self) -> list[Plugin[Any]]:
        """Those of which the provider or its twin runs."""
        named = {self._settings.known[name] for name in self._settings.provider_names}
        return [plugin for entry, plugin in self._plugins.items() if entry in named]


def _plugin(entry: Entry) -> Plugin[Any]:
    made: Plugin[Any] = entry.load()
    return made


def _key(entry: Entry, settings: PriceSettings) -> str | None:
    """The operator's key, if it is set."""
    key: SecretStr | None = getattr(settings, entry.key)
    return None if key is None else key.get_secret_value()
