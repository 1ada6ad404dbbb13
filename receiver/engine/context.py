"""The services that the use cases share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from receiver.clock import Clock
from receiver.domain.prices import PriceList
from receiver.domain.schedule import Rules
from receiver.engine.status_calls import StatusCalls
from receiver.telemetry.metrics import Metrics
from receiver.upstream.contract import CheckKind, Provider
from store.database import Store
from store.ids import Ids
from store.records.jobs import Job

CallbackAddress: TypeAlias = Callable[[Job], str]
"""Returns the callback URL of a job."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What the use cases depend on; built by the composition root."""

    store: Store
    holder: str
    """The name under which this process leases work: no two processes have the same."""
    clock: Clock
    ids: Ids
    rules: Rules
    providers: Mapping[str, Provider]
    """Those that run, by name, the default one first."""
    known_kinds: Mapping[str, CheckKind]
    """By name, for every provider that could run: its `Provider.check_kind`. The store can have
    jobs of those that do not run any more."""
    metrics: Metrics
    status_calls: StatusCalls
    keys_used: set[str] = field(default_factory=set)
    """Hashes of keys that were used in this hour, and are not yet noted in the store."""
    user_storage: int | None = None
    """Maximum number of bytes of the stored inputs and results of one user; None for no limit."""
    prices: PriceList | None = None

    @property
    def default_provider(self) -> str:
        """The provider of a submission that names none."""
        return next(iter(self.providers))
