"""The store's exceptions.

StoreError
├── StoreUnavailable      nothing was written; a retry may work
│   ├── StoreBusy         a queue is full
│   ├── StoreLocked       another process has held the database lock for too long
│   ├── StoreFull         no space, or no permission, to write
│   └── OutcomeUnknown    a commit failed, but may have been written
├── StoreCorrupt          the file is not one of our databases, or is damaged
├── AddressInvalid        the address is not usable; also a ValueError
├── SchemaTooNew          a newer release has written this database
├── SchemaTooOld          an older release has written this database
├── SchemaUnsupported     a release before 2.0.0 has written this database
├── UnsupportedServer     the database server is too old or not configured suitably
├── TargetNotEmpty        the target of a copy already contains data
├── BackupElsewhere       this store is backed up with the database's own tools
├── StoreInUse            another service runs on this database
├── StoreMoved            this database has been moved to another one
├── NotFound              no such row, or not in the state that the call needs
├── ProviderIdTaken       another job holds this provider_request_id
├── StorageFull           the user's jobs store as much as they may
├── BudgetExceeded        the submission would lift the user's spend over the budget
├── NoPrice               the user has a budget, and the submission no price
├── KeyReused             an idempotency key was reused with another body
├── KeyInUse               the first request of an idempotency key has no answer yet
└── AmbiguousPrefix       a key prefix that matches several keys
"""

from decimal import Decimal

from store.records.costs import Budget
from store.records.times import Millis


class StoreError(Exception):
    """Base class of the store's exceptions."""


class StoreUnavailable(StoreError):
    """The same call may work later. Nothing was written, unless it is `OutcomeUnknown`."""


class StoreBusy(StoreUnavailable):
    """A queue is full (of writes, of reads, of large callbacks, or of a user's jobs with long
    metadata): load is shed, not queued."""


class StoreLocked(StoreUnavailable):
    """Another process has held the database's lock for too long."""


class StoreFull(StoreUnavailable):
    """The disk is full, read-only, or failing."""


class OutcomeUnknown(StoreUnavailable):
    """The commit failed without saying whether it was written: check before repeating it."""


class StoreCorrupt(StoreError):
    """The file is not one of our databases, or is damaged."""


class AddressInvalid(StoreError, ValueError):
    """The store's address is not usable."""


class SchemaTooNew(StoreError):
    """The database was written by a newer release; this one must not touch it."""


class SchemaTooOld(StoreError):
    """The database was written by an older release; `serve` and `copy` upgrade it."""


class SchemaUnsupported(StoreError):
    """The database was written by a release before 2.0.0, which has to upgrade it first."""


class UnsupportedServer(StoreError):
    """The database server is too old, or the database is not configured suitably."""


class TargetNotEmpty(StoreError):
    """The target of a copy already contains data."""


class BackupElsewhere(StoreError):
    """This store is backed up with the database's own tools. The message names them."""


class StoreInUse(StoreError):
    """Another service runs on this database."""


class StoreMoved(StoreError):
    """This database was copied to another one, which replaces it. The message names that one."""


class NotFound(StoreError):
    """No such row, or it is not in the state that the call needs (a revoked key)."""


class ProviderIdTaken(StoreError):
    """Another job of the provider holds this provider_request_id.

    `provider_request_id` is None if another process has just taken the id. A retry then raises this
    error with the id.
    """

    def __init__(self, provider_request_id: str | None) -> None:
        super().__init__(provider_request_id)
        self.provider_request_id = provider_request_id


class StorageFull(StoreError):
    """The inputs and results of the user's jobs take as many bytes as they may."""


class BudgetExceeded(StoreError):
    """The submission would lift the user's spend over the budget."""

    def __init__(self, budget: Budget, spent: Decimal, resets_at: Millis) -> None:
        super().__init__(budget.text)
        self.budget = budget
        self.spent = spent
        """In the present period."""
        self.resets_at = resets_at


class NoPrice(StoreError):
    """The user has a budget, and there is no price for the submission."""


class KeyReused(StoreError):
    """The idempotency key was used before, with another body."""


class KeyInUse(StoreError):
    """The first request with this idempotency key has no answer yet."""


class AmbiguousPrefix(StoreError):
    """The prefix matches more than one active key. `prefixes` lists theirs."""

    def __init__(self, prefixes: list[str]) -> None:
        super().__init__(f"the prefix matches {len(prefixes)} keys")
        self.prefixes = prefixes
