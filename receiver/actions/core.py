"""What every use case works with."""

from collections.abc import Mapping
from dataclasses import dataclass

from receiver.clock import Clock
from receiver.domain.schedule import Rules
from receiver.metrics import Metrics
from receiver.providers.contract import Provider
from store.contract import Store
from store.ids import Ids


@dataclass(frozen=True, slots=True)
class Core:
    """The parts below the use cases, given by the composition root."""

    store: Store
    clock: Clock
    ids: Ids
    rules: Rules
    providers: Mapping[str, Provider]
    metrics: Metrics
