"""What the composition root asks of a provider's folder."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from receiver.config.environment import Settings
from receiver.domain.client_webhooks import ClientWebhooks
from receiver.domain.prices import PriceList
from receiver.http_api.credentials import Operation
from receiver.simulator.api import SimulatorApi
from receiver.upstream.api import Account
from receiver.upstream.contract import Provider

S = TypeVar("S", bound=Settings)


class Plugin(ABC, Generic[S]):
    """One provider with its settings, `S`: how it is opened, what is served to its own clients, and
    its simulated twin. Methods with a body here are optional."""

    routes: Sequence[Operation[Any]] = ()
    """The provider's own API, for its clients; served if the provider or its twin runs."""

    @abstractmethod
    def check_kind(self, kind: str) -> str | None:
        """See `Provider.check_kind`."""

    @abstractmethod
    def open(self, settings: S, account: Account) -> Provider:
        """Create the provider; no I/O."""

    def settings_for_twin(self, base_url: str) -> Mapping[str, object]:
        """The settings that are different for the twin at this address."""
        return {}

    @abstractmethod
    def simulator(self, settings: S, key: str | None, prices: PriceList | None) -> SimulatorApi:
        """The twin's API. It accepts `key` alone; None accepts any. Its invoice has `prices`."""

    def client_webhooks(self, public_url: str) -> ClientWebhooks | None:
        """The shape of webhooks to the provider's own clients; None if it is ours. Addresses in
        them begin with `public_url`."""
        return None

    def words(self, settings: S) -> Mapping[str, Collection[str]]:
        """By name of a schema in the OpenAPI document: the words that the settings allow."""
        return {}

    def cautions(self, settings: S) -> Iterator[tuple[str, str, str]]:
        """What `receiver doctor` warns about, if the provider runs: the subject, what is wrong, and
        what to do."""
        yield from ()
